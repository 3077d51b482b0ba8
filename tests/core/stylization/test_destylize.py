"""Destylization by the published program's float64 table, and its promises about interruption and batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from stylegan_core.assets import example_portrait
from stylegan_core.errors import InvalidInput, LatentMismatch
from stylegan_core.faces.batch import take_faces
from stylegan_core.faces.frame import check_aligned
from stylegan_core.latents import Latents, ModelSignature
from stylegan_core.losses.identity import ArcFaceLoss, IdentityLoss
from stylegan_core.networks.dualstylegan import DualStyleGAN
from stylegan_core.networks.encoders.psp import Encoder, EncoderConfig, HeadGroup
from stylegan_core.networks.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from stylegan_core.networks.judges.irse import IRSEConfig
from stylegan_core.networks.mapping import MappingConfig
from stylegan_core.pictures.files import read_image
from stylegan_core.stylization import DestylizeOptions, Destylizer, destylize
from tests.core.inversion.test_goldens import lpips_by_rule
from tests.rule import fill_all, network, normal


def picture(path) -> torch.Tensor:
    return (torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1)[None].double() / 255 - 0.5) / 0.5


@pytest.fixture(scope="module")
def published(golden):
    """The golden's first six of 300 steps, and the object that makes them again."""
    case = golden("destylize_tiny")
    m, double = case.json("manifest.json"), torch.float64
    plain, styled = (network(fill_all(m[name]), dtype=double) for name in ("g", "g_prime"))
    state = fill_all(m["encoder"]) | {f"decoder.{k}": t for k, t in fill_all(m["g"]).items()}
    state["latent_avg"] = normal("latent_avg", (16, 16), m["encoder"]["seed"], 0, 0.3)
    encoder = network(state, {"start_from_latent_avg": True, "output_size": 512}, "encoder.pt", double)
    drawings = torch.cat([picture(case.file(f"S{i}.png")) for i in (0, 1)])
    sizes = plain.synthesis.noise_shapes()
    noise = [normal(f"noise.{i}", (2, 1, *size), m["g"]["seed"]).double() for i, size in enumerate(sizes)]
    identity = ArcFaceLoss(network(fill_all(m["id_irse"]), dtype=double))
    perceptual = lpips_by_rule(m["lpips_vgg16"]).double()
    return case, Destylizer(plain, styled, encoder, drawings, DestylizeOptions(chunk=2), perceptual, identity, noise)


@pytest.mark.slow
def test_published_steps(published) -> None:
    case, work = published
    chunk, table = work.begin(0), case.array("table")
    assert np.abs(chunk.encoded.numpy() - case.array("latent_e")).max() < 1e-10
    for i, expected in enumerate(table):
        seen = chunk.advance()
        if i == 0:
            assert (F.adaptive_avg_pool2d(seen, 64) - case.tensor("img_step0_down64")).abs().max() < 1e-5
            assert (chunk.code.grad - case.tensor("grad_latent_step0")).abs().max() < 1e-6
        row = chunk.history[-1]
        norms = [float(x.grad.norm()) for x in (chunk.code, *chunk.maps)]
        found = [row["lr"], row["perceptual"], row["identity"], row["deviation"], row["noise"], row["total"], *norms]
        assert found == pytest.approx(expected.tolist(), rel=1e-5), i
        assert np.abs(chunk.code.detach().numpy() - case.array("latent_after")[i]).max() < 1e-5
    heads = np.stack([m.detach().flatten()[:16].numpy() for m in chunk.maps])
    assert np.abs(heads - case.array("noise_head_after")).max() < 1e-4
    result = chunk.result()
    for stage, name in (("optimized", "dsty_down64"), ("destylized", "refine_down64")):
        assert (F.adaptive_avg_pool2d(result.faces[stage], 64) - case.tensor(name)).abs().max() < 1e-4
    assert (result.intrinsic.tensor - case.tensor("latent_i")).abs().max() < 1e-5
    assert torch.equal(result.extrinsic.tensor, chunk.encoded)


@pytest.fixture(scope="module")
def family():
    """A tiny generator, its child and an encoder of theirs."""
    torch.manual_seed(0)
    config = StyleGAN2Config(MappingConfig(8, 0, 8, 10, 2, 8), 64, (8,) * 5)
    plain, styled = (StyleGAN2(config).eval().requires_grad_(False) for _ in range(2))
    styled.mapping.load_state_dict(plain.mapping.state_dict())
    signature = ModelSignature.of(plain)
    heads = (HeadGroup(0, 3, 8, 4), HeadGroup(1, 4, 8, 5), HeadGroup(2, 3, 8, 6))
    encoder = Encoder(EncoderConfig(heads, 8, IRSEConfig((16,) * 4), space="z+", average_rows=1,
                                    mapping_hash=signature.mapping_hash, model_resolution=64))
    return plain, styled, encoder.eval().requires_grad_(False)


def test_stages_and_their_codes(family) -> None:
    plain, styled, encoder = family
    drawings, steps = torch.rand(2, 3, 80, 80) * 2 - 1, []
    result = destylize(plain, styled, encoder, drawings, DestylizeOptions(steps=3),
                       on_step=lambda i, n, preview: steps.append((i, n, tuple(preview.shape))))
    assert steps == [(i, 6, (1, 3, 64, 64)) for i in range(1, 7)]
    assert result.intrinsic.space == result.extrinsic.space == "z+"
    assert set(result.faces) == {"encoded", "optimized", "destylized"}
    assert all(face.shape == (2, 3, 64, 64) for face in result.faces.values())
    assert torch.allclose(result.extrinsic.tensor, encoder.encode(drawings).tensor, atol=1e-6)
    assert torch.equal(result.intrinsic.tensor[:, 8:], result.extrinsic.tensor[:, 8:])
    result.intrinsic.check(plain)


def test_runs_under_inference_mode_and_touches_no_model(family) -> None:
    plain, styled, encoder = family
    before = {k: t.clone() for k, t in styled.state_dict().items()}
    with torch.inference_mode():
        result = destylize(plain, styled, encoder, torch.zeros(1, 3, 64, 64), DestylizeOptions(steps=2))
    assert result.intrinsic.tensor.isfinite().all()
    assert all(torch.equal(t, before[k]) for k, t in styled.state_dict().items())


def test_companions_do_not_matter(family) -> None:
    plain, styled, encoder = family
    drawings, noise = torch.rand(2, 3, 64, 64) * 2 - 1, [torch.randn(2, 1, *s) for s in family[0].synthesis.noise_shapes()]
    both = destylize(plain, styled, encoder, drawings, DestylizeOptions(steps=3), noise=noise)
    alone = destylize(plain, styled, encoder, drawings[1:], DestylizeOptions(steps=3), noise=[n[1:] for n in noise])
    assert torch.allclose(both.intrinsic.tensor[1], alone.intrinsic.tensor[0], atol=1e-4)


def test_the_key_names_all_that_matters(family) -> None:
    drawings, noise = torch.zeros(1, 3, 64, 64), [torch.zeros(1, 1, *s) for s in family[0].synthesis.noise_shapes()]
    judge = IdentityLoss.embedded()
    next(judge.parameters()).data.mul_(1.01)
    works = [Destylizer(*family, drawings), Destylizer(*family, drawings + 0.1), Destylizer(*family, drawings, noise=noise),
             Destylizer(*family, drawings, DestylizeOptions(steps=1)), Destylizer(*family, drawings, identity=judge)]
    assert len({work.key for work in works}) == len(works) and Destylizer(*family, drawings).key == works[0].key


def test_interruption_keeps_what_is_finished_and_resumes(family) -> None:
    plain, styled, encoder = family
    drawings, options = torch.rand(2, 3, 64, 64) * 2 - 1, DestylizeOptions(steps=3)

    class Cancelled(Exception):
        pass

    def cancel(i: int, n: int, preview: torch.Tensor) -> None:
        if i == 5:
            raise Cancelled

    work = Destylizer(plain, styled, encoder, drawings, options)
    with pytest.raises(InvalidInput, match="No drawing"):
        work.result()
    with pytest.raises(Cancelled):
        work.run(cancel)
    assert len(work.result().intrinsic) == 1
    resumed = work.run()
    whole = destylize(plain, styled, encoder, drawings, options)
    assert torch.allclose(resumed.intrinsic.tensor, whole.intrinsic.tensor, atol=1e-5)
    assert torch.allclose(resumed.faces["optimized"], whole.faces["optimized"], atol=1e-4)
    assert [len(h) for h in work.history] == [3, 3]


def test_zero_steps_is_encoding_alone(family) -> None:
    plain, styled, encoder = family
    result = destylize(plain, styled, encoder, torch.zeros(1, 3, 64, 64), DestylizeOptions(steps=0))
    assert torch.equal(result.extrinsic.tensor, encoder.encode(torch.zeros(1, 3, 64, 64)).tensor)


def test_refusals(family) -> None:
    plain, styled, encoder = family
    smaller = StyleGAN2(StyleGAN2Config(MappingConfig(8, 0, 8, 8, 2, 8), 32, (8,) * 4))
    with pytest.raises(InvalidInput, match="its own fine-tuned child"):
        destylize(plain, smaller, encoder, torch.zeros(1, 3, 64, 64))
    stranger = StyleGAN2(plain.config).eval()
    with pytest.raises(LatentMismatch):
        destylize(stranger, styled, encoder, torch.zeros(1, 3, 64, 64))
    with pytest.raises(InvalidInput, match="chunk = 0"):
        DestylizeOptions(chunk=0)
    with pytest.raises(InvalidInput, match="Align Faces"):
        destylize(plain, styled, encoder, torch.zeros(1, 4, 64, 64))
    assert Latents(torch.zeros(1, 10, 8), "z+", plain).model == encoder.signature


class Cancelled(Exception):
    pass


def cancelled_at(step: int):
    def cancel(i: int, n: int, preview: torch.Tensor) -> None:
        if i == step:
            raise Cancelled

    return cancel


def test_finished_drawings_wait_in_a_folder(family, tmp_path) -> None:
    plain, styled, encoder = family
    drawings, options = torch.rand(3, 3, 64, 64) * 2 - 1, DestylizeOptions(steps=3)
    with pytest.raises(Cancelled):
        destylize(plain, styled, encoder, drawings, options, on_step=cancelled_at(7), keep=tmp_path)
    work = Destylizer(plain, styled, encoder, drawings, options)
    kept = tmp_path / work.key
    assert len(Latents.load(kept / "intrinsic.safetensors")) == len(Latents.load(kept / "extrinsic.safetensors")) == 2
    steps = []
    resumed = work.run(lambda i, n, _: steps.append((i, n)), keep=tmp_path)
    whole = destylize(plain, styled, encoder, drawings, options)
    assert steps == [(7, 9), (8, 9), (9, 9)] and not kept.exists()
    for name in ("intrinsic", "extrinsic", "optimized"):
        assert torch.allclose(getattr(resumed, name).tensor, getattr(whole, name).tensor, atol=1e-5), name
    assert all(resumed.faces[stage].shape == whole.faces[stage].shape for stage in whole.faces)


def test_other_work_finds_nothing_kept(family, tmp_path) -> None:
    plain, styled, encoder = family
    drawings = torch.rand(2, 3, 64, 64) * 2 - 1
    with pytest.raises(Cancelled):
        destylize(plain, styled, encoder, drawings, DestylizeOptions(steps=2), on_step=cancelled_at(3), keep=tmp_path)
    twice, thrice = DestylizeOptions(steps=2), DestylizeOptions(steps=3)
    works = ((drawings, twice), (drawings, thrice), (drawings * 0.5, twice))
    keys = {Destylizer(plain, styled, encoder, images, options).key for images, options in works}
    keys.add(Destylizer(plain, plain, encoder, drawings, DestylizeOptions(steps=2)).key)
    assert len(keys) == 4


def test_unaligned_drawings_are_sent_to_align_faces(family) -> None:
    plain, styled, encoder = family
    photo = read_image(example_portrait())
    for images in (photo, torch.zeros(1, 3, 64, 80)):
        with pytest.raises(InvalidInput, match="Align Faces"):
            destylize(plain, styled, encoder, images)
    check_aligned(take_faces(photo, 128)[0])


def test_of_dualstylegans_the_generators_inside_count(family) -> None:
    plain, styled, encoder = family
    drawing, options = torch.zeros(1, 3, 64, 64), DestylizeOptions(steps=1)
    inside = destylize(plain, styled, encoder, drawing, options)
    given = destylize(DualStyleGAN.over(plain).eval(), DualStyleGAN.over(styled).eval(), encoder, drawing, options)
    assert torch.equal(given.intrinsic.tensor, inside.intrinsic.tensor)
