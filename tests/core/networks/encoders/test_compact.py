"""The small encoder: its codes' shape and space, its file, its partner; and what the built-in one recovers."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import stylegan_core as sg
from stylegan_core.errors import LatentMismatch, LoadError
from stylegan_core.networks.encoders.compact import SEEN, CompactEncoder, CompactEncoderConfig


def tiny(**facts) -> CompactEncoder:
    torch.manual_seed(0)
    return CompactEncoder(CompactEncoderConfig(num_ws=5, w_dim=16, width=8, hidden=12, own_dims=4, **facts)).eval()


def test_codes_are_what_the_coordinates_mean() -> None:
    encoder = tiny()
    encoder.axes, encoder.center = torch.randn(16, 16), torch.randn(16)
    x = torch.rand(2, 3, SEEN, SEEN) * 2 - 1
    with torch.no_grad():
        spots = encoder.coordinates(x)
        want = F.leaky_relu(encoder.center + torch.einsum("brj,ij->bri", spots, encoder.axes), 0.2)
        assert torch.allclose(encoder.to_code(spots), want, atol=1e-6)
        own = spots - spots[:, :1]
        assert own[..., :4].abs().max() > 0 and not own[..., 4:].any(), "rows differ in the leading coordinates alone"


@pytest.mark.parametrize("size", [(96, 96), (256, 256), (300, 260)])
def test_any_size(size) -> None:
    latents = tiny().encode(torch.rand(2, 3, *size) * 2 - 1)
    assert latents.space == "w+" and latents.tensor.shape == (2, 5, 16)


def test_round_trip(tmp_path) -> None:
    encoder = tiny(mapping_hash="00ff", model_resolution=64, model_family="stylegan2")
    path = sg.save(encoder, tmp_path / "encoder")
    back = sg.load(path)
    assert isinstance(back, CompactEncoder) and back.config == encoder.config and sg.inspect(path).kind == "encoder"
    x = torch.rand(1, 3, 256, 256)
    with torch.no_grad():
        torch.testing.assert_close(back.encode(x).tensor, encoder.encode(x).tensor)


def test_contradicting_shapes_are_refused() -> None:
    shapes = {key: tuple(t.shape) for key, t in tiny().state_dict().items()}
    with pytest.raises(LoadError, match="common"):
        CompactEncoderConfig.from_shapes({**shapes, "common.weight": (16, 13)}, {})


def test_another_generator_is_refused() -> None:
    with pytest.raises(LatentMismatch):
        tiny(mapping_hash="00ff").encode(torch.rand(1, 3, 64, 64), sg.load(sg.builtin("base-256")))


@pytest.mark.slow
def test_the_builtin_one_finds_samples_it_has_not_seen() -> None:
    base, encoder = sg.load(sg.builtin("base-256")), sg.load(sg.builtin("encoder"))
    ws = base.mapping(sg.sample_z(list(range(2_000_000, 2_000_006)), base.z_dim), truncation_psi=0.7)
    with torch.no_grad():
        got = encoder.encode(base.synthesis(ws), base).tensor
    error = lambda codes: float((codes - ws).square().mean())  # noqa: E731
    assert error(got) < 0.5 * error(base.w_avg.expand_as(ws)), "nearer than the average face by far"
