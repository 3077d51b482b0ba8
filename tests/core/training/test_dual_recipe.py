"""The whole way from drawings to a DualStyleGAN on tiny networks: what comes out, what is kept, what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from PIL import Image

import stylegan_core as sg
from stylegan_core.checkpoints.writing import MAX_NAME
from stylegan_core.engine import read_log
from stylegan_core.errors import InvalidInput, LatentMismatch
from stylegan_core.latents import Latents, ModelSignature
from stylegan_core.networks.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from stylegan_core.networks.mapping import MappingConfig
from stylegan_core.stylization import DestylizeOptions, RefineOptions
from stylegan_core.training import dual_codes, dual_options, dual_recipe
from stylegan_core.training.data import PictureSet, prepare_pictures
from stylegan_core.training.dual_codes import DrawnCodes, work_through
from stylegan_core.training.dual_options import PRESETS, PUBLISHED, DualOptions, choose_kind, gave_up
from stylegan_core.training.dual_recipe import DualJudges, thumbnail_names, train_dual
from stylegan_core.training.processes import Processes
from stylegan_core.training.style_mixture import _silhouette as silhouette
from stylegan_core.training.style_mixture import find_styles, mixture_note
from tests.core.networks.test_dualstylegan import mobile

OPTIONS = DualOptions(kind="cartoon", finetune_kimg=0.008, destylize_steps=1, structure=1 / 3000, style=2 / 1400, batch_size=4,
                      micro_batch=None, hidden=3, refine_steps=1, sampler_epochs=1, align=False, faces=False, preview_every=2,
                      save_every=1)
SEEN = ["pictures", "fine-tuning", "destylization", "training", "refinement", "sampler", "styles"]
FILES = {"dualstylegan", "styles", "styles_encoded", "faces", "style_sampler", "styled", "sampler_state"}


class Near(torch.nn.Module):
    """Stands in for identity: mean difference."""

    def features(self, a):
        return [a]

    def forward(self, a, b):
        a, b = (x[0] if isinstance(x, list) else x for x in (a, b))
        return (a - b).abs().mean((1, 2, 3))


class Eye:
    """An encoder whose codes are a function of the picture."""

    space = "w+"
    info = sg.load(sg.builtin("styles")).info

    def __init__(self, base) -> None:
        self.base, self.signature = base, ModelSignature.of(base)

    def encode(self, images, generator=None, stage=None, passes=1):
        small = torch.nn.functional.adaptive_avg_pool2d(images.float(), 4)[:, :, :2, :4].flatten(1)
        z = small.repeat(1, -(-self.base.z_dim // small.shape[1]))[:, : self.base.z_dim]
        return Latents(self.base.mapping(z).clone(), "w+", self.signature)


def stylegan2():
    torch.manual_seed(4)
    config = StyleGAN2Config(MappingConfig(8, 0, 8, 8, 2, 8), 32, (8,) * 4)
    model = StyleGAN2(config).eval().requires_grad_(False)
    model.w_avg = model.w_avg
    return model


@pytest.fixture(scope="module")
def drawings(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("drawings")
    for i in range(11):
        pixels = np.random.default_rng(i).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"drawing {i:02}.png")
    return folder


@pytest.fixture(scope="module")
def base():
    return stylegan2()


def run(base, drawings, out, options=OPTIONS, **more):
    return train_dual(base, drawings, Eye(base), out, options, licence="CC0-1.0", judges=DualJudges(identity=Near()), **more)


@pytest.fixture(scope="module")
def whole(base, drawings, tmp_path_factory):
    torch.set_num_threads(1)  # made before a test's own fixture says so, and sums in another order are other sums
    out, seen = tmp_path_factory.mktemp("run") / "run", []
    found = run(base, drawings, out, on_step=lambda stage, i, n, shown: seen.append((stage, i, n)))
    return found, out, seen


def test_what_comes_out(base, whole) -> None:
    found, out, seen = whole
    assert list(dict.fromkeys(stage for stage, _, _ in seen)) == SEEN
    assert all(i <= n for _, i, n in seen)
    assert {p.stem for p in out.glob("*.safetensors")} == FILES
    dual, bank, sampler = (sg.load(out / f"{name}.safetensors") for name in ("dualstylegan", "styles", "style_sampler"))
    before, after = base.state_dict(), dual.base.state_dict()
    assert all(torch.equal(after[k], t) for k, t in before.items()), "the generator inside is the base"
    assert bank.names == tuple(f"drawing {i:02}.png" for i in range(11)) == found.styles.names
    assert not torch.equal(bank.codes, sg.load(out / "styles_encoded.safetensors").codes), "refined"
    for network in (dual, bank, sampler):
        assert network.info.licence.endswith("CC0-1.0"), network.kind
    assert bank.info.parents[0]["sha256"] == dual.info.file_sha256
    pictures = sg.transfer_style(dual, Latents(sg.sample_z([1], dual.z_dim), "z", dual.base), bank.latents())
    assert pictures.shape == (11, 3, 32, 32)
    assert sampler.sample(2).ws(dual.base).shape == (2, dual.num_ws, dual.w_dim)


def test_what_is_shown_and_told(whole) -> None:
    found, out, _ = whole
    names = [p.stem for p in sorted((out / "pictures").glob("*.png"))]
    assert names == ["1_fine_tuning", "2_destylized", "3_before_training", "4_00002_structure_6", "4_00004_cartoon",
                     "4_00005_cartoon", "5_refined", "6_sampled", "7_styles"]
    previews = [Image.open(out / "pictures" / f"{name}.png").size for name in names if name[0] in "3456"]
    assert len(set(previews)) == 1, "the same four faces under four styles through every stage"
    assert len(list((out / "thumbnails").glob("*.png"))) == 11
    assert [e["stage"] for e in read_log(out / "stages")] == ["structure 6", "cartoon", "cartoon"]
    report = (out / "report.txt").read_text(encoding="utf-8")
    assert report.strip() == found.report and "11 drawings destylized" in report and "Stage I: with all weights 0" in report
    assert "Given up: stage III runs 0.1% of its iterations" in report and "Sampler: 256 draws reach" in report


def test_a_finished_run_is_not_done_again(base, drawings, whole) -> None:
    _, out, _ = whole
    with pytest.raises(InvalidInput, match="holds a run already; resume it"):
        run(base, drawings, out)
    seen = []
    again = run(base, drawings, out, resume=True, on_step=lambda stage, i, n, shown: seen.append(stage))
    assert set(seen) <= {"styles"} and torch.equal(again.styles.codes.tensor, whole[0].styles.codes.tensor)
    with pytest.raises(InvalidInput, match="other settings: style"):
        run(base, drawings, out, replace(OPTIONS, style=0.5), resume=True)


def test_killed_in_every_stage_it_comes_to_the_same_end(base, drawings, whole, tmp_path) -> None:
    """Each sitting is stopped in the next stage; what was done before stays done."""
    least = {"fine-tuning": 4, "sampler": 2}
    for k, stage in enumerate(SEEN[1:6]):
        begun: list[str] = []

        def stop(at: str, i: int, n: int, shown: object, stage: str = stage, begun: list[str] = begun) -> None:
            begun.append(at)
            if at == stage and i >= least.get(stage, 3):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run(base, drawings, tmp_path / "run", resume=k > 0, on_step=stop)
        assert set(begun) <= set(SEEN[max(k, 1) : k + 2]) | ({"pictures"} if k == 0 else set())
    found, wanted = run(base, drawings, tmp_path / "run", resume=True), whole[0]
    for a, b in ((wanted.model, found.model), (wanted.sampler, found.sampler)):
        theirs = b.state_dict()
        assert not [k for k, t in a.state_dict().items() if not torch.equal(t, theirs[k])]
    assert torch.equal(wanted.styles.codes.tensor, found.styles.codes.tensor)


def test_over_the_built_in_family(drawings, tmp_path) -> None:
    torch.manual_seed(4)
    model = mobile().eval().requires_grad_(False)
    found = run(model, drawings, tmp_path / "run", replace(OPTIONS, finetune_kimg=0, refine_steps=0, style=1 / 1400))
    assert found.model.base.kind == "mobilestylegan" and found.sampler.config.structure_rows == 10
    assert len(found.styles) == 11


def test_stages_may_be_skipped(drawings, tmp_path) -> None:
    base = stylegan2()
    options = replace(OPTIONS, finetune_kimg=0, structure=0, style=0, refine_steps=0, sampler_epochs=0)
    found = run(base, drawings, tmp_path / "run", options)
    assert found.sampler is None and {p.stem for p in (tmp_path / "run").glob("*.safetensors")} == FILES - {
        "style_sampler", "styled", "sampler_state"}
    assert torch.equal(found.styles.codes.tensor, Latents.combine([found.styles.codes]).tensor)
    styled = sg.blend(base, base, 8)
    given = run(base, drawings, tmp_path / "given", replace(options, finetune_kimg=5), styled=styled)
    assert not (tmp_path / "given/finetune").exists() and len(given.styles) == 11


def test_drawings_that_fail_are_named_and_left_out(drawings, tmp_path, monkeypatch) -> None:
    base = stylegan2()
    real = dual_recipe.destylize_all.__globals__["crop_points"]
    seen = iter([True] * 4 + [False] + [True] * 20)
    monkeypatch.setitem(dual_recipe.destylize_all.__globals__, "crop_points", lambda face: [next(seen) or None])
    options = replace(OPTIONS, faces=True, finetune_kimg=0, structure=0, style=0, refine_steps=0, sampler_epochs=0)
    monkeypatch.setattr(dual_recipe._Recipe, "_check_faces", lambda self, data: None)
    found = run(base, drawings, tmp_path / "run", options)
    assert "drawing 04.png" not in found.styles.names and len(found.styles) == 10 and real is not None
    assert "Left out, no face was found behind them: drawing 04.png." in found.report
    seen = iter([False] * 2 + [True] * 20)
    monkeypatch.setitem(dual_recipe.destylize_all.__globals__, "crop_points", lambda face: [next(seen) or None])
    with pytest.raises(InvalidInput, match="9 of 11 drawings could be destylized and at least 10"):
        run(base, drawings, tmp_path / "few", options)


@pytest.mark.parametrize(("scores", "bad"), [
    ([1.0] * 9 + [1.4], 0), ([1.0] * 9 + [1.6], 1), ([0.2, 0.6, 1.0, 1.4, 1.8, 2.0], 0), ([0.8, 0.9, 1.0, 1.1, 1.2, 1.6], 1)])
def test_what_is_redrawn_far_worse_is_left_out(scores, bad) -> None:
    """Half above the median, and far outside of what is usual among these drawings."""
    codes = {"intrinsic": torch.zeros(1, 2, 4), "extrinsic": torch.zeros(1, 2, 4), "face": torch.zeros(1, 3, 4, 4)}
    results = [(codes, {"score": score, "identity": 0.1, "seen": True}) for score in scores]
    found = dual_codes._chosen(results, [str(i) for i in range(len(scores))], "w+", None, 1)  # type: ignore[arg-type]
    assert len(found.failed) == bad and found.rows == tuple(range(len(scores) - bad))


def test_every_drawing_is_worked_on_with_its_own_codes_and_seed(base, tmp_path, monkeypatch) -> None:
    images = np.repeat(np.arange(5, dtype=np.uint8), 3 * 8 * 8).reshape(5, 3, 8, 8)
    data, seen = PictureSet(images, tuple("abcde")), []

    def refine(dual, intrinsic, extrinsic, drawing, options):
        seen.append([round(float(x)) for x in ((drawing.mean() + 1) * 127.5, intrinsic.tensor.mean(), extrinsic.tensor.mean())])
        done = SimpleNamespace(extrinsic=extrinsic, images=drawing)
        return SimpleNamespace(run=lambda tell: done)

    monkeypatch.setattr(dual_codes, "Refinement", refine)
    intrinsic, extrinsic = (Latents(torch.tensor(v).view(2, 1, 1).expand(2, 2, 4), "w+") for v in ([10.0, 20.0], [30.0, 40.0]))
    codes = DrawnCodes((1, 3), ("b", "d"), intrinsic, extrinsic, torch.zeros(2, 3, 4, 4), (0.1, 0.1), 0.1, {})
    found, _ = dual_codes.refine_all(None, codes, data, RefineOptions(), tmp_path, Processes())  # type: ignore[arg-type]
    assert seen == [[1, 10, 30], [3, 20, 40]] and torch.equal(found.tensor, extrinsic.tensor)
    seeds = []

    def destylize(plain, styled, encoder, drawing, options, *_):
        seeds.append((round(float((drawing.mean() + 1) * 127.5)), options.seed))
        return SimpleNamespace(run=Mock(side_effect=InvalidInput("no numbers")))

    monkeypatch.setattr(dual_codes, "Destylizer", destylize)
    with pytest.raises(InvalidInput, match="0 of 5 drawings"):
        dual_codes.destylize_all(base, base, Eye(base), data, DestylizeOptions(seed=7), tmp_path / "codes",
                                 perceptual=Near(), identity=Near())  # type: ignore[arg-type]
    assert seeds == [(i, 7 + i) for i in range(5)]


def test_what_is_refused_before_work_begins(drawings, tmp_path) -> None:
    base = stylegan2()
    with pytest.raises(InvalidInput, match="encoder_wplus.pt"):
        train_dual(base, drawings, None, tmp_path / "a", OPTIONS)
    torch.manual_seed(9)
    with pytest.raises(LatentMismatch, match="encoder"):
        train_dual(base, drawings, Eye(StyleGAN2(base.config).eval()), tmp_path / "b", OPTIONS)
    few = tmp_path / "few"
    few.mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (40, 40), name == "a" and "red" or "blue").save(few / f"{name}.png")
    for _ in range(2):  # what was refused does not stand in the way
        with pytest.raises(InvalidInput, match="2 of 2 pictures can be used and at least 10"):
            run(base, few, tmp_path / "c")
    with pytest.raises(InvalidInput, match="No face was found in any of the 11 drawings"):
        run(base, drawings, tmp_path / "d", replace(OPTIONS, faces=True))
    small = prepare_pictures(drawings, 16, tmp_path / "small")
    with pytest.raises(InvalidInput, match="11 drawings of 16 px in color came; .* 10 or more in color, of 32 px"):
        run(base, small, tmp_path / "e")
    with pytest.raises(InvalidInput, match="no preset"):
        DualOptions(kind="oil")
    with pytest.raises(InvalidInput, match="from 0 on"):
        DualOptions(style=float("nan"))
    with pytest.raises(InvalidInput, match="can't be"):
        DualOptions(batch_size=0)


def test_presets_say_what_they_give_up() -> None:
    assert not gave_up(PUBLISHED)
    small, draft = (gave_up(PRESETS[name]) for name in ("small", "draft"))
    assert len(small) == len(draft) == 9 and any("80 steps a drawing in place of 300" in said for said in small)
    halved = PRESETS["small"].scaled(0.5)
    assert (halved.destylize_steps, halved.refine_steps, halved.style, halved.batch_size) == (40, 20, 0.05, 8)
    assert replace(PRESETS["draft"], refine_steps=0).scaled(0.001).refine_steps == 0
    with pytest.raises(InvalidInput, match="above 0"):
        PUBLISHED.scaled(0.0)
    assert [choose_kind(d) for d in (0.4, 0.7, 1.1)] == ["caricature", "cartoon", "anime"]


def test_a_mixture_of_styles_is_told_by_its_clusters() -> None:
    draw = torch.Generator().manual_seed(0)
    one = torch.randn(40, 30, generator=draw)
    assert mixture_note([str(i) for i in range(40)], one) == ""
    two = torch.cat([one[:20], one[20:] * 0.5 + 4])
    labels, score = find_styles(two)
    assert score > 0.5 and labels[:20].unique().numel() == labels[20:].unique().numel() == 1 and labels[0] != labels[-1]
    note = mixture_note([f"{i}.png" for i in range(40)], two)
    assert "2 styles" in note and "20 like 0.png, 1.png" in note and "20 like 20.png" in note
    assert find_styles(one[:5])[1] == 0
    rows, labels = torch.tensor([[0.0], [1.0], [10.0], [11.0]]), torch.tensor([0, 0, 1, 1])
    assert silhouette(rows, labels) == pytest.approx((9.5 / 10.5 + 8.5 / 9.5) / 2)


def test_work_is_kept_item_by_item_and_half_files_are_made_again(tmp_path) -> None:
    made: list[int] = []

    def make(i, tell):
        made.append(i)
        return {"x": torch.full((2,), float(i))}, {"i": i}

    work_through(tmp_path, 3, make, Processes())
    file = tmp_path / "00001.safetensors"
    file.write_bytes(file.read_bytes()[:-3])
    (tmp_path / "00002.safetensors").unlink()
    found = work_through(tmp_path, 3, make, Processes())
    assert made == [0, 1, 2, 1, 2] and [facts["i"] for _, facts in found] == [0, 1, 2]
    assert [float(tensors["x"][0]) for tensors, _ in found] == [0.0, 1.0, 2.0]


def test_a_device_decides_on_16_bits(monkeypatch) -> None:
    for found, wanted in ((torch.bfloat16, True), (torch.float16, False), (None, False)):
        monkeypatch.setattr(dual_options, "fast_type", lambda device, found=found: found)
        assert OPTIONS.on("cpu") == replace(OPTIONS, bfloat16=wanted)


def test_thumbnails_have_names_that_a_folder_can_hold() -> None:
    names = ["a.png", "b/a.png", "b_a.jpg", "\u9854" * 80 + ".png", "caf\udce9.png", "..png"]
    found = thumbnail_names(names)
    assert found == ["a.png", "b_a 1.png", "b_a 2.png", "\u9854" * 60 + ".png", "caf?.png", "..png"]
    assert max(len(name.encode()) for name in found) <= MAX_NAME
    assert thumbnail_names(["a.png", "A.png", "a 0.png"]) == ["a 0_.png", "A 1.png", "a 0.png"]
