"""train and score, as a person types them."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import stylegan_core as sg
from stylegan_core import metrics
from stylegan_core.cli.main import main
from stylegan_core.engine import read_log
from stylegan_core.metrics.features import OpenFeatures
from tests.conftest import GOLDENS

BASE = GOLDENS / "train_sg2_steps_nvidia/network-snapshot-000000.pkl"
SG1 = GOLDENS / "train_sg1_progressive/network-snapshot-000000.pkl"


@pytest.fixture(scope="module")
def drawings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawings")
    for i in range(12):
        pixels = np.random.default_rng(i).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


def train(drawings, out, *more: str) -> int:
    return main(["train", "--data", str(drawings), "--base", str(BASE), "--out", str(out), "--batch-size", "4", "--tick-kimg",
                 "0.008", "--score-pictures", "8", "--licence", "CC0-1.0", *more])


def test_train_then_go_on(drawings, tmp_path, capsys) -> None:
    assert train(drawings, tmp_path / "run", "--kimg", "0.008") == 0
    said = capsys.readouterr().out + capsys.readouterr().err
    assert "12 pictures, 8 shown" in said and "best.safetensors" in said
    assert train(drawings, tmp_path / "run", "--kimg", "0.016") == 1
    assert "holds a run already; resume it" in capsys.readouterr().err
    assert train(drawings, tmp_path / "run", "--kimg", "0.016", "--resume") == 0
    assert [entry["images"] for entry in read_log(tmp_path / "run")] == [8, 16]
    model = sg.load(tmp_path / "run/last.safetensors")
    assert model.info.licence.endswith("CC0-1.0") and model.info.notes["training"]["images_seen"] == 16


@pytest.mark.parametrize(("more", "sentence"), [
    (["--resolution", "64"], "draws 16 px and not 64"), (["--batch-size", "6"], "multiple of 4"),
    (["--layers", "nowhere"], "no layer range"), (["--kimg", "-1"], "from 0 on"), (["--kimg", "0"], "above 0"),
])
def test_what_is_refused_in_one_line(more, sentence, drawings, tmp_path, capsys) -> None:
    assert train(drawings, tmp_path / "run", *more) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert sentence in said


def test_too_few_pictures(tmp_path, capsys) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "one.png")
    assert train(tmp_path, tmp_path / "run") == 1
    assert "1 of 1 pictures can be used and at least 10" in capsys.readouterr().err


def test_score(drawings, tmp_path, capsys) -> None:
    plot = tmp_path / "scores.png"
    assert main(["score", str(BASE), "--data", str(drawings), "--metric", "fid,kid,pr,ppl", "--count", "12", "--networks",
                 str(tmp_path), "--plot", str(plot)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "Kernel distance, AlexNet", "Frechet distance, AlexNet", "Precision, AlexNet", "Recall, AlexNet",
        "Perceptual path length, AlexNet"], "never plain FID, and the kernel distance first where pictures are few"
    assert all("12 real and 12 generated" in line for line in lines[:4])
    assert Image.open(plot).size[0] == 720
    assert main(["score", str(BASE), "--metric", "fid"]) == 1 and "give --data" in capsys.readouterr().err
    assert main(["score", str(BASE), "--metric", "xyz"]) == 1 and "fid, kid, pr, ppl, ls" in capsys.readouterr().err
    assert main(["score", str(BASE), "--metric", "ls", "--count", "12", "--networks", str(tmp_path)]) == 0
    assert "Separability, measured attributes in w" in capsys.readouterr().out, "never the published measure's name"
    with pytest.raises(sg.InvalidInput, match="attribute classifiers"):
        metrics.measure_separability(sg.load(BASE), tmp_path)


def test_scoring_pictures_in_a_place_that_takes_no_files(drawings, tmp_path, capsys) -> None:
    """A file in the cache's place stands in for a read-only folder, which the tests' user may write to nonetheless."""
    data = tmp_path / "data"
    shutil.copytree(drawings, data)
    (tmp_path / ".stylegan_cache").write_text("in the way")
    before = sorted(tmp_path.rglob("*"))
    assert main(["score", str(BASE), "--data", str(data), "--metric", "kid", "--count", "4", "--networks", str(tmp_path)]) == 0
    assert "12 real and 4 generated" in capsys.readouterr().out
    assert sorted(tmp_path.rglob("*")) == before
    with pytest.raises(sg.SaveError, match="can't be written"):
        sg.training.prepare_pictures(data, 32, tmp_path / ".stylegan_cache")


def test_separability_over_classifiers_of_a_folder(tmp_path, capsys) -> None:
    """NVIDIA's classifiers have the architecture of StyleGAN1's discriminator: one stands in here for two of them."""
    for name in ("00-male", "01-smiling"):
        (tmp_path / f"celebahq-classifier-{name}.pkl").write_bytes(SG1.read_bytes())
    model = sg.load(SG1)
    measures, bits, names = metrics.measure_separability(model, tmp_path, count=16)
    assert names == ["male", "smiling"] and bits.shape == (2, 2) and torch.equal(bits[0], bits[1])
    assert all(m.value >= 1 and "2 attributes, 16 samples" in m.detail for m in measures)
    assert main(["score", str(SG1), "--metric", "ls", "--count", "16", "--networks", str(tmp_path)]) == 0
    assert "Linear separability in w" in capsys.readouterr().out


def test_the_measures_are_the_formulas_over_the_network() -> None:
    reals, fakes = (torch.rand(9, 3, 40, 40, generator=torch.Generator().manual_seed(i)) * 2 - 1 for i in (0, 1))
    network = OpenFeatures()
    found = metrics.compare_sets(reals.split(4), 9, fakes.split(2), 9, ["kid"], network)
    assert found[0].value == pytest.approx(metrics.kernel_distance(network(reals), network(fakes)), rel=1e-4)


def test_inception_alone_may_be_called_fid() -> None:
    from stylegan_core.metrics.score import measure_features

    x = torch.randn(30, 4)
    assert [m.name for m in measure_features(x, x + 1, ["fid", "kid"], "Inception")] == ["KID", "FID"]


@pytest.mark.slow
def test_inception_is_built_from_a_state_dict(tmp_path) -> None:
    from stylegan_core.metrics.inception import Inception
    from stylegan_core.metrics.networks import best_features

    tensors: dict[str, torch.Tensor] = {}
    while True:  # the network says itself what it lacks
        try:
            network = Inception(tensors)
            break
        except sg.LoadError as error:
            (name, told), = re.findall(r"no (\S+)\.conv\.weight of shape \[(.*?)\]", str(error))
            shape = tuple(map(int, told.split(", ")))
            tensors[f"{name}.conv.weight"] = torch.randn(shape) / np.prod(shape[1:]) ** 0.5
            for leaf, value in (("weight", 1.5), ("bias", 0.1), ("running_mean", 0.2), ("running_var", 2.0)):
                tensors[f"{name}.bn.{leaf}"] = torch.full(shape[:1], value)
    assert len(tensors) == 94 * 5 and sum(t.numel() for k, t in tensors.items() if ".conv." in k) == 21_751_136
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    assert network(images).shape == (2, 2048)
    torch.save(tensors, tmp_path / "pt_inception-2015-12-05-6726825d.pth")
    assert torch.allclose(best_features(tmp_path)(images), network(images))
