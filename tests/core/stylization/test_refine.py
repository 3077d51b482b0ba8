"""Refinement of style codes by the published program's float64 table."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from stylegan_core.errors import InvalidInput
from stylegan_core.latents import Latents
from stylegan_core.losses.contextual import ContextualLoss
from stylegan_core.networks.dualstylegan import DualStyleGAN
from stylegan_core.networks.judges.features import FeatureTrunk, imagenet_normalize, vgg19
from stylegan_core.stylization import Refinement, RefineOptions, Refiner, refine_style
from tests.core.inversion.test_goldens import lpips_by_rule
from tests.core.networks.test_dualstylegan import mobile, stylegan2
from tests.core.stylization.test_destylize import picture
from tests.rule import fill_all, network, normal


@pytest.mark.slow
def test_published_steps(golden) -> None:
    case = golden("refine_tiny")
    m, double = case.json("manifest.json"), torch.float64
    seed = m["dualstylegan"]["seed"]
    dual = network(fill_all(m["dualstylegan"]), dtype=double)
    vgg = {k.removeprefix("vgg19."): t for k, t in fill_all(m["vgg19"]).items()}
    style, face = (Latents(normal(name, (1, 16, 16), seed).double(), "z+") for name in ("exstyle", "instyle"))
    noise = [normal(f"noise.{i}", (1, 1, *size), seed).double() for i, size in enumerate(dual.base.synthesis.noise_shapes())]
    work = Refiner(dual, face, style, picture(case.file("S.png")), RefineOptions(), lpips_by_rule(m["lpips_vgg16"]).double(),
                   ContextualLoss.vgg(vgg).double(), noise)
    for i, expected in enumerate(case.array("table")):
        seen = work.step()
        row, norms = work.history[-1], [float(x.grad.norm()) for x in (work.colors, work.structures, *work.maps)]
        losses = [row[name] for name in ("perceptual", "contextual", "noise", "total")]
        assert losses == pytest.approx(expected[:4].tolist(), rel=1e-5)
        assert norms == pytest.approx(expected[4:].tolist(), rel=1e-4), i
        assert np.abs(work.codes().detach().numpy() - case.array("latent_after")[i]).max() < 1e-6
        if i == 0:
            assert (F.adaptive_avg_pool2d(seen, 64) - case.tensor("img_step0_down64")).abs().max() < 1e-5
            assert (work.colors.grad - case.tensor("grad_c0")).abs().max() < 1e-6
            assert (work.structures.grad - case.tensor("grad_s0")).abs().max() < 1e-6
            check_taps(vgg, seen, case.array("vgg_tap_stats"))


def check_taps(vgg: dict[str, torch.Tensor], image: torch.Tensor, expected: np.ndarray) -> None:
    widths = [vgg[f"features.{i}.weight"].shape[0] for i in (0, 5, 10, 19, 28)]
    for tap, row in zip(FeatureTrunk(vgg19(widths)).load(vgg).double()(imagenet_normalize(image)), expected, strict=True):
        found = [float(x.detach()) for x in (tap.mean(), tap.amin(), tap.amax(), tap.abs().mean())]
        assert found == pytest.approx(row[[0, 2, 3, 4]].tolist(), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("make", [mobile, stylegan2])
def test_refining_gets_nearer_and_leaves_the_model_alone(make) -> None:
    dual = DualStyleGAN.over(make()).eval().requires_grad_(False)
    torch.manual_seed(1)
    n, d = dual.num_ws, dual.z_dim
    faces, truth = Latents(torch.randn(2, n, d), "z+"), Latents(torch.randn(2, n, d), "z+")
    pictures = dual.synthesis(faces, truth).clamp(-1, 1)
    before = {k: t.clone() for k, t in dual.state_dict().items()}
    steps = []
    with torch.inference_mode():
        refined = refine_style(dual, faces, Latents(torch.randn(2, n, d), "z+"), pictures,
                               RefineOptions(steps=4, lr_color=0.1), on_step=lambda i, total, _: steps.append((i, total)))
    assert steps == [(i, 8) for i in range(1, 9)]
    assert refined.extrinsic.space == "z+" and refined.images.shape == pictures.shape
    assert all(torch.equal(t, before[k]) for k, t in dual.state_dict().items())


def test_what_is_interrupted_keeps_every_style() -> None:
    dual = DualStyleGAN.over(mobile()).eval().requires_grad_(False)
    styles = Latents(torch.randn(3, dual.num_ws, dual.z_dim), "z+")
    pictures = torch.zeros(3, 3, 128, 128)
    whole = refine_style(dual, styles, styles, pictures, RefineOptions(steps=3)).extrinsic.tensor
    work = Refinement(dual, styles, styles, pictures, RefineOptions(steps=3))
    assert not work.begun

    def stop(i: int, total: int, _: object) -> None:
        if i == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work.run(stop)
    reached = work.latents().tensor
    assert work.begun and work.done == 1 and torch.equal(reached[0], whole[0]) and torch.equal(reached[2], styles.tensor[2])
    assert not torch.equal(reached[1], styles.tensor[1]) and not torch.equal(reached[1], whole[1])
    resumed = work.run()
    assert torch.allclose(resumed.extrinsic.tensor, whole, atol=1e-5) and len(resumed.images) == work.done == 3


def test_rows_keep_their_places() -> None:
    dual = DualStyleGAN.over(mobile()).eval().requires_grad_(False)
    style = Latents(torch.randn(1, dual.num_ws, dual.z_dim), "z+")
    image = torch.zeros(1, 3, 128, 128)
    refined = refine_style(dual, style, style, image, RefineOptions(steps=1, lr_structure=0))
    structure = [row for row in range(dual.num_ws) if row not in dual.rows]
    assert torch.equal(refined.extrinsic.tensor[:, structure], style.tensor[:, structure])
    assert not torch.equal(refined.extrinsic.tensor[:, dual.rows], style.tensor[:, dual.rows])


def test_refusals() -> None:
    dual = DualStyleGAN.over(stylegan2()).eval()
    style = Latents(torch.randn(1, dual.num_ws, 16), "z+")
    with pytest.raises(InvalidInput, match="2 pictures"):
        refine_style(dual, style, style, torch.zeros(2, 3, 128, 128))
    with pytest.raises(InvalidInput, match=r"styles in z\+ or w\+"):
        refine_style(dual, style, Latents(torch.randn(1, 16), "z"), torch.zeros(1, 3, 128, 128))
    with pytest.raises(InvalidInput, match="of 2 x 2 px shows nothing"):
        refine_style(dual, style, style, torch.zeros(1, 3, 2, 2))


def test_latents_of_another_number_of_bits() -> None:
    dual = DualStyleGAN.over(mobile()).eval().requires_grad_(False)
    style = Latents(torch.randn(1, dual.num_ws, dual.z_dim), "z+")
    faces = [style.ws(dual.base).to(dtype) for dtype in (torch.float32, torch.float64)]
    first, second = (refine_style(dual, Latents(ws, "w+"), style, torch.zeros(1, 3, 128, 128), RefineOptions(steps=1))
                     for ws in faces)
    assert torch.equal(first.extrinsic.tensor, second.extrinsic.tensor)
