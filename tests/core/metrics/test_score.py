"""What a measure is taken over: the pictures, the paths and the latents, on generators that can be worked out by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

import stylegan_core as sg
from stylegan_core.metrics.attributes import MeasuredAttributes, centred
from stylegan_core.metrics.features import OpenFeatures
from stylegan_core.metrics.path_length import ppl_endpoints
from stylegan_core.metrics.score import compare_sets, measure_features, path_length, sample_pictures, separate
from tests.nodes.support import tiny

SIDE = 16


class Linear(nn.Module):
    """Pixels are the numbers of w, and w is z with its first number the product of the first two."""

    kind, c_dim, z_dim = "stylegan2", 0, SIDE * SIDE

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones((), dtype=torch.float64))
        self.drawn: list[Tensor] = []

    def mapping(self, z: Tensor, c: Tensor | None = None, truncation_psi: float = 1.0) -> Tensor:
        w = z.clone()
        w[:, 0] = z[:, 0] * z[:, 1]
        return w[:, None]

    def synthesis(self, ws: Tensor, **_: object) -> Tensor:
        self.drawn.append(ws)
        return ws.reshape(-1, 1, SIDE, SIDE)


class Squares:
    """In place of LPIPS: the summed squared difference of one channel."""

    trunk = SimpleNamespace(config=SimpleNamespace(name="vgg16"))

    def to(self, _: object) -> Squares:
        return self

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        return (a - b)[:, 0].square().sum((1, 2))


def test_pictures_are_those_of_the_seeds_untruncated_and_in_bytes() -> None:
    model = tiny(1)
    found = torch.cat(list(sample_pictures(model, 5, 7, batch=2)))
    wanted = model.synthesis(model.mapping(sg.sample_z(range(7, 12), model.z_dim))).clamp(-1, 1)
    assert len(found) == 5 and (found - wanted).abs().max() <= 0.5 / 127.5 + 1e-4
    levels = (found + 1) * 127.5
    assert (levels - levels.round()).abs().max() < 1e-3


def test_every_batch_has_noise_of_its_own() -> None:
    model, seen = Linear(), []
    model.synthesis = lambda ws, noise_mode, generator: seen.append(float(torch.rand((), generator=generator))) or ws[None]
    for _ in range(2):
        list(sample_pictures(model, 6, 7, batch=2))  # type: ignore[arg-type]
    assert len(set(seen)) == 3 and seen[:3] == seen[3:]


def test_a_picture_of_another_size_has_the_same_features() -> None:
    small = interpolate(torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1, size=(256, 256),
                        mode="bicubic").clamp(-1, 1)
    network = OpenFeatures()
    one, other = network(small), network(interpolate(small, size=(512, 512), mode="bilinear"))
    assert (one - other).norm() < 0.1 * (one[0] - one[1]).norm()


@pytest.mark.parametrize("crop", [True, False])
def test_a_straight_path_is_as_long_as_its_ends_are_far(crop) -> None:
    """Where pictures are linear in w, the squared step over epsilon squared is |w1 - w0|^2 of what is seen, wherever on it."""
    measure, distances = path_length(Linear(), 6, "w", crop=crop, seed=3, distance=Squares(), batch=4)  # type: ignore[arg-type]
    wanted = []
    for first, count in ((0, 4), (4, 2)):
        draw = np.random.default_rng([3, first])
        z0, z1 = (torch.from_numpy(draw.standard_normal((count, SIDE * SIDE))) for _ in range(2))
        away = Linear().synthesis(Linear().mapping(z1) - Linear().mapping(z0))[:, 0]
        seen = away[:, 6:14, 4:12] if crop else away
        wanted.append(seen.square().sum((1, 2)))
    torch.testing.assert_close(distances, torch.cat(wanted).float(), rtol=2e-2, atol=0)
    assert measure.name.endswith("VGG16") and ("face" if crop else "whole picture") in measure.detail


@pytest.mark.parametrize("space", ["w", "z"])
def test_the_ends_of_paths_are_their_beginnings(space) -> None:
    model = Linear()
    path_length(model, 2, space, end=True, seed=3, distance=Squares(), batch=2)  # type: ignore[arg-type]
    draw = np.random.default_rng([3, 0])
    z0, z1 = (torch.from_numpy(draw.standard_normal((2, SIDE * SIDE))) for _ in range(2))
    wanted = ppl_endpoints(model, z0, z1, torch.zeros(2).double(), space=space)  # type: ignore[arg-type]
    for got, want in zip(model.drawn, wanted, strict=True):
        torch.testing.assert_close(got, want)


def test_a_product_is_parted_by_a_line_in_w_and_not_in_z() -> None:
    """By the latents that drew the very picture that is judged."""
    judge = lambda images: images[:, 0, 0, :1]  # noqa: E731
    measures, bits = separate(Linear(), judge, "Parted", 1, 1200, seed=5, batch=300)  # type: ignore[arg-type]
    z, w = measures
    assert z.name == "Parted in z" and w.name == "Parted in w" and bits.shape == (1, 2)
    assert w.value < 1.05 < 1.5 < z.value, measures
    few, _ = separate(Linear(), judge, "Parted", 1, 40, batch=40)  # type: ignore[arg-type]
    assert [["parts so few" in measure.detail for measure in some] for some in (few, measures)] == [[True] * 2, [False] * 2]


def test_attributes_are_measured_on_the_face_and_unsure_where_there_is_none(monkeypatch) -> None:
    points = torch.tensor([[2.0, 4.0], [10.0, 10.0], [8.0, 8.5], [0.0, 0.0], [3.0, 4.0]])
    faces = iter([[SimpleNamespace(points=points)], []])
    monkeypatch.setattr("stylegan_core.metrics.attributes.detect_faces", lambda *_, **__: [next(faces)])
    judge = MeasuredAttributes()
    judge.detector = object()  # type: ignore[assignment]
    images = torch.stack([torch.full((3, 16, 16), 0.5), torch.zeros(3, 16, 16)])
    images[0, 2] = 0.1
    found = judge(images)
    torch.testing.assert_close(found[0], torch.tensor([0.5 - 0.114 * 0.4, 0.4, 0.0, 0.5 - 0.114 * 0.4, 0.25, 0.6, 0.5]))
    assert found[1, :4].tolist() == [0.0] * 4 and found[1, 4:].isnan().all()
    logits = centred(torch.tensor([[1.0], [2.0], [4.0], [float("nan")]]))
    torch.testing.assert_close(logits[:, 0], torch.tensor([-1.0, 0.0, 2.0, 0.0]) / (5 / 4) ** 0.5)


class Mean(nn.Module):
    """Features: the first two pixels."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name, self.scale = name, nn.Parameter(torch.ones(()))

    def forward(self, images: Tensor) -> Tensor:
        return images[:, 0, 0, :2]


def test_measures_know_the_real_from_the_drawn_and_their_network(monkeypatch) -> None:
    draw = torch.Generator().manual_seed(0)
    real = torch.randn(60, 1, 2, 2, generator=draw)
    near = real[:1] + 0.01 * torch.randn(6, 1, 2, 2, generator=draw)  # all like one of the reals, and none like the others
    seen: list[tuple[int, int]] = []
    by = {name: compare_sets(real.split(16), 60, near.split(4), 6, network=Mean(name),
                             on_step=lambda i, n, _: seen.append((i, n))) for name in ("Inception", "Other")}
    values = {measure.name.split(",")[0]: measure.value for measure in by["Other"]}
    assert values["Precision"] == 1.0 and values["Recall"] < 0.1
    assert [m.name for m in by["Inception"]][:2] == ["KID", "FID"], "of so few, what is unbiased comes first"
    assert not any(m.name in ("KID", "FID") for m in by["Other"]) and by["Other"][0].name == "Kernel distance, Other"
    assert "60 real and 6 generated" in by["Other"][0].detail and seen[-1] == (66, 66)
    monkeypatch.setattr("stylegan_core.metrics.score.FEW", 6)
    assert [m.name for m in measure_features(real[:, 0, 0], near[:, 0, 0], ("fid", "kid"), "Inception")] == ["FID", "KID"]
