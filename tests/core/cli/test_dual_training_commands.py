"""train-dual and train-sampler, as a person types them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import stylegan_core as sg
from stylegan_core.cli.main import main
from tests.conftest import GOLDENS

PRETRAIN = GOLDENS / "ckpt_formats/generator-pretrain.pt"
ENCODER = GOLDENS / "psp_zplus_tiny/encoder.pt"
SHORT = ("--preset", "draft", "--skip", "fine-tuning, structure", "--style", "0.001", "--refine-steps", "1",
         "--destylize-steps", "0", "--sampler-epochs", "1", "--hidden", "3", "--judge-resolution", "32")


@pytest.fixture(scope="module")
def drawings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawings")
    for i in range(10):
        pixels = np.random.default_rng(i).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> str:
    """The generator inside a tiny pSp file, for which its encoder serves."""
    return str(sg.save(sg.load(ENCODER, which="decoder"), tmp_path_factory.mktemp("base") / "base.safetensors"))


def train(base, drawings, out, *more: str) -> int:
    return main(["train-dual", "--data", str(drawings), "--base", base, "--encoder", str(ENCODER), "--out", str(out),
                 "--no-align", "--no-faces", "--licence", "CC0-1.0", *SHORT, *more])


def test_train_dual_then_go_on(base, drawings, tmp_path, capsys) -> None:
    assert train(base, drawings, tmp_path / "run") == 0
    said = capsys.readouterr().out
    assert "10 drawings destylized" in said and "Given up: stage III runs 0.1%" in said and "dualstylegan.safetensors" in said
    bank = sg.load(tmp_path / "run/styles.safetensors")
    assert len(bank) == 10 and bank.info.licence.endswith("CC0-1.0") and bank.config.space == "z+"
    assert train(base, drawings, tmp_path / "run") == 1
    assert "holds a run already; resume it" in capsys.readouterr().err
    assert train(base, drawings, tmp_path / "run", "--resume") == 0


def test_what_is_refused_in_one_line(base, drawings, tmp_path, capsys) -> None:
    assert train(base, drawings, tmp_path / "run", "--skip", "sculpture") == 1
    assert 'no stage "sculpture" to skip; use fine-tuning, structure' in capsys.readouterr().err
    assert main(["train-dual", "--data", str(drawings), "--base", str(PRETRAIN), "--out", str(tmp_path / "a")]) == 1
    assert "an encoder of its base" in capsys.readouterr().err
    assert main(["train-dual", "--data", str(drawings), "--base", str(PRETRAIN), "--encoder", "encoder", "--out",
                 str(tmp_path / "b")]) == 1
    assert "The encoder gives 17 rows of 512" in capsys.readouterr().err
    assert train(base, drawings, drawings / "run") == 1
    assert "among the drawings; choose another folder" in capsys.readouterr().err


def test_train_sampler(tmp_path, capsys) -> None:
    out = tmp_path / "sampler.safetensors"
    assert main(["train-sampler", "styles", str(out), "--epochs", "1"]) == 0
    assert "256 draws reach" in capsys.readouterr().out
    sampler, bank = sg.load(out), sg.load(sg.builtin("styles"))
    assert sampler.config.structure_rows == 10 and sampler.info.parents[0]["sha256"] == bank.info.file_sha256
    assert [p.name for p in tmp_path.iterdir()] == ["sampler.safetensors"]
    assert main(["train-sampler", "styles", str(out), "--epochs", "1"]) == 1 and "exists" in capsys.readouterr().err
    foreign = GOLDENS / "codes_npy/exstyle_code.npy"
    assert main(["train-sampler", str(foreign), str(tmp_path / "x"), "--epochs", "1"]) == 1
    assert "latents" in capsys.readouterr().err
