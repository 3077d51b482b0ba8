"""A style from one drawing: which rows are mixed, that the codes come to look like it, that a run goes on bit by bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import interpolate

import stylegan_core as sg
from stylegan_core.engine import gradients
from stylegan_core.latents import rows_between
from stylegan_core.networks import Discriminator, DiscriminatorConfig
from stylegan_core.pictures.files import read_image
from stylegan_core.training.judges import layer_features
from stylegan_core.training.one_drawing import OneDrawing, OneDrawingOptions
from stylegan_core.training.recipe import fine_tune
from tests.conftest import GOLDENS
from tests.nodes.support import tiny

OPTIONS = OneDrawingOptions(steps=6, batch=2, inversion_steps=3, lr=0.02)


def drawing() -> torch.Tensor:
    y, x = torch.meshgrid(torch.linspace(-1, 1, 48), torch.linspace(-1, 1, 48), indexing="ij")
    return torch.stack([(x * y).sign(), x.sign(), y])[None]


@pytest.mark.parametrize(("structure", "px"), [("kept", "64-"), ("taken", "16-")])
def test_only_the_chosen_rows_are_mixed(structure, px) -> None:
    base = tiny(1, (16,) * 5)  # 128 px
    run = OneDrawing(base, drawing(), OneDrawingOptions(steps=1, inversion_steps=1, structure=structure, own_share=0.0))
    codes, mixed = run.codes(0, 3), rows_between(base, px)
    kept = [row for row in range(base.num_ws) if row not in mixed]
    assert torch.equal(codes[:, kept], run.ws[:, kept].expand(3, -1, -1))
    assert not torch.allclose(codes[0, mixed], codes[1, mixed])
    assert torch.equal(run.codes(0, 3, share=1.0), run.ws.expand(3, -1, -1))
    run.options = replace(run.options, seed=1)
    assert not torch.allclose(run.codes(0, 3)[:, mixed], codes[:, mixed]), "another seed, other faces"


def test_what_the_mixed_rows_say_the_child_no_longer_hears() -> None:
    base = sg.load(GOLDENS / "train_sg2_steps_nvidia/network-snapshot-000000.pkl")
    run = OneDrawing(base, drawing(), OneDrawingOptions(steps=60, batch=2, inversion_steps=2, lr=0.03, structure="taken",
                                                        own_share=0.0))
    assert run.judge is not None, "its file has one"

    def far(model) -> float:
        with torch.no_grad():
            return float((model.synthesis(run.codes(10_000, 8)) - run.wanted).abs().mean())

    run.run()
    assert far(run.child()) < 0.5 * far(base)
    child, raw = (dict(net.synthesis.named_parameters()) for net in (run.child(), run.model))
    for name, mean in run.fitting.average.tensors.items():
        assert torch.equal(child[name], mean) and not torch.equal(raw[name], mean), "the averaged weights"
    mapping = run.child().mapping.state_dict()
    assert all(torch.equal(t, mapping[k]) for k, t in base.mapping.state_dict().items()), "latents of the base fit the child"


def test_a_step_is_the_mean_over_its_codes_at_every_phase_of_the_network() -> None:
    base = sg.load(GOLDENS / "train_sg2_steps_nvidia/network-snapshot-000000.pkl")
    run = OneDrawing(base, drawing(), OneDrawingOptions(steps=1, batch=3, inversion_steps=2, structure="taken", seed=2))
    said, expected, loss = run._step(5), {"lpips": [], "color": [], "judge": []}, []
    trained = dict(run.model.synthesis.named_parameters())
    trained = [trained[name] for name in run.fitting.average.tensors]
    moved = [p.grad.clone() for p in trained]
    for k in range(3):
        images = run.model.synthesis(run.codes(15 + k, 1), noise_mode="const")
        y, x = (3, 0, 1)[k], 1
        expected["lpips"].append(run.lpips(images[..., y:, x:], run.wanted[..., y:, x:]).mean())
        small = interpolate(images - run.wanted, (32, 32), mode="bicubic")  # 16 px here, so made larger
        expected["color"].append(small.abs().mean())
        pairs = zip(layer_features(run.judge, images), layer_features(run.judge, run.wanted), strict=True)
        expected["judge"].append(sum((a - b).abs().mean() for a, b in pairs) / 2)
        loss.append(expected["lpips"][k] + 0.5 * expected["color"][k] + 0.2 * expected["judge"][k])
    for name, values in expected.items():
        torch.testing.assert_close(said[name], sum(values).detach() / 3, msg=name)
    for found, wanted in zip(moved, torch.autograd.grad(sum(loss) / 3, trained), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-6)
    phases = set()
    run._perceived = lambda small, y, x: phases.add((y, x)) or small.sum() * 0
    for number in range(16):
        run._step(number)
    assert len(phases) == 16


def test_a_run_goes_on_where_it_was(tmp_path) -> None:
    base = tiny(1)

    def learn(name: str, resume: bool = False, stop: int | None = None):
        def on_step(step: int, *_: object) -> None:
            if step == stop:
                raise KeyboardInterrupt

        return fine_tune(base, drawing(), tmp_path / name, "one drawing", resume, data_licence="CC0-1.0", on_step=on_step,
                         steps=6, inversion_steps=3).model

    whole = learn("whole")
    with pytest.raises(KeyboardInterrupt):
        learn("parts", stop=3)
    assert sg.load(tmp_path / "parts/last.safetensors").info.notes["one_drawing"]["steps"] == 3, "cancelling keeps what it has"
    again = learn("parts", resume=True)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))
    assert again.info.licence.endswith("CC0-1.0") and len(again.info.parents) == 1


def test_features_of_a_discriminator_are_its_blocks() -> None:
    judge = Discriminator(DiscriminatorConfig(32, (8, 8, 8, 8)))
    found = layer_features(judge, torch.randn(2, 3, 32, 32))
    assert [tuple(f.shape) for f in found] == [(2, 8, 16, 16), (2, 8, 8, 8), (2, 8, 4, 4)]
    with gradients():
        assert not judge.get_submodule("b32.conv1")._forward_hooks, "nothing stays behind"


@pytest.mark.parametrize(("given", "sentence"), [
    (torch.zeros(2, 3, 32, 32), "one square picture"), (torch.zeros(1, 3, 32, 48), "one square picture"),
])
def test_what_is_no_drawing(given, sentence) -> None:
    with pytest.raises(sg.InvalidInput, match=sentence):
        OneDrawing(tiny(1), given, OPTIONS)


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"structure": "bent"}, "kept or taken"), ({"own_share": 1.5}, "0 to 1"), ({"steps": 0}, "at least 1"),
])
def test_options_that_can_not_be(changes, sentence) -> None:
    with pytest.raises(sg.InvalidInput, match=sentence):
        OneDrawingOptions(**changes)


def test_from_the_command_line(tmp_path, capsys) -> None:
    from stylegan_core.cli.main import main

    sg.save(tiny(1), tmp_path / "base.safetensors")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(tmp_path / "drawing.png")
    arguments = ["train", "--data", str(tmp_path / "drawing.png"), "--base", str(tmp_path / "base.safetensors"), "--out",
                 str(tmp_path / "run"), "--preset", "one drawing", "--steps", "2"]
    assert main([*arguments, "--kimg", "1"]) == 1 and "--kimg has no place" in capsys.readouterr().err
    assert main([*arguments, "--structure", "taken"]) == 0
    said = capsys.readouterr().out
    assert "2 steps without a discriminator's features (lpips" in said and "Licence inherited" in said
    assert "last.safetensors" in said
    assert read_image(tmp_path / "run/samples.png").shape[2] > 32
