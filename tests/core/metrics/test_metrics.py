"""The measures beside scipy, scikit-learn and what they must be by definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stylegan_core import InvalidInput, metrics
from stylegan_core.metrics.separability import linear_svm, with_constant


def features(seed: int, n: int, d: int) -> torch.Tensor:
    draw = np.random.RandomState(seed)
    return torch.from_numpy(draw.randn(n, d) @ draw.randn(d, d) + draw.randn(d))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999), st.integers(1, 12))
def test_frechet_distance_is_the_formula(seed, d) -> None:
    linalg = pytest.importorskip("scipy.linalg")
    (m1, s1), (m2, s2) = (metrics.feature_statistics(features(seed + i, 3 * d + 2, d)) for i in (0, 1))
    root = linalg.sqrtm((s1 @ s2).numpy()).real
    plain = float(((m1 - m2) ** 2).sum() + (s1 + s2).trace()) - 2 * np.trace(root)
    assert metrics.frechet_distance((m1, s1), (m2, s2)) == pytest.approx(plain, rel=1e-6, abs=1e-6)


def test_a_set_equals_itself() -> None:
    x = features(0, 50, 6)
    stats = metrics.feature_statistics(x)
    assert metrics.frechet_distance(stats, stats) == pytest.approx(0, abs=1e-9)
    assert metrics.precision_recall(x, x) == (1, 1)
    assert metrics.precision_recall(x, x + 1e6) == (0, 0)


def test_kernel_distance_is_unbiased_at_few_samples() -> None:
    d = 8
    draw = np.random.RandomState(1)
    values = [metrics.kernel_distance(torch.from_numpy(draw.randn(20, d)), torch.from_numpy(draw.randn(30, d)), seed=i)
              for i in range(60)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(60)
    assert metrics.kernel_distance(features(0, 40, d), features(7, 40, d)) > 0.1


def test_inception_score_of_sure_and_of_unsure_classes() -> None:
    sure = torch.eye(5).repeat(8, 1)
    assert metrics.inception_score(sure, 4) == pytest.approx((5, 0))
    assert metrics.inception_score(torch.full((40, 5), 0.2), 4) == pytest.approx((1, 0))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 999), st.integers(1, 6))
def test_svm_is_at_its_minimum(seed, d) -> None:
    draw = np.random.RandomState(seed)
    x = torch.from_numpy(draw.randn(60, d))
    y = torch.from_numpy(np.where(x[:, 0].numpy() + draw.randn(60) > 0, 1.0, -1.0))
    w = linear_svm(x, y).requires_grad_(True)
    value = w.square().sum() / 2 + (1 - y * (with_constant(x) @ w)).clamp(min=0).square().sum()
    assert torch.autograd.grad(value, w)[0].norm() < 1e-4 * value.detach()


def test_svm_agrees_with_scikit_learn() -> None:
    svm = pytest.importorskip("sklearn.svm")
    draw = np.random.RandomState(3)
    x, y = draw.randn(200, 4), np.where(draw.randn(200) > 0, 1, -1)
    theirs = svm.LinearSVC(tol=1e-10, max_iter=100_000).fit(x, y)
    ours = linear_svm(torch.from_numpy(x), torch.from_numpy(y.astype(float)))
    assert np.allclose(ours, [*theirs.coef_[0], *theirs.intercept_], atol=1e-6)


def test_separability_of_a_straight_and_of_a_hidden_attribute() -> None:
    x = torch.from_numpy(np.random.RandomState(0).randn(400, 5))
    _, bits = metrics.linear_separability(x, torch.stack([x[:, 0], x[:, 1] * x[:, 2], x[:, 0].abs() + 1], dim=1))
    assert bits[0] < 0.05 and bits[1] > 0.9 and bits[2] == 0


def test_images_of_a_face_end_at_256_px() -> None:
    images = torch.linspace(-1, 1, 1024).expand(1, 3, 1024, 1024)
    seen = metrics.ppl_images(images, crop=True)
    assert seen.shape[-2:] == (256, 256) and metrics.ppl_images(images, crop=False).shape[-2:] == (256, 256)
    assert seen[0, 0, 0, 0] == pytest.approx(float((images[0, 0, 0, 256:258].mean() + 1) * 127.5), abs=1e-3)


@pytest.mark.parametrize("call", [
    lambda: metrics.feature_statistics(torch.zeros(1, 4)),
    lambda: metrics.kernel_distance(torch.zeros(9, 4), torch.zeros(9, 5)),
    lambda: metrics.precision_recall(torch.zeros(3, 4), torch.zeros(9, 4)),
    lambda: metrics.frechet_distance((torch.zeros(2), torch.eye(2)), (torch.zeros(3), torch.eye(3))),
    lambda: metrics.linear_separability(torch.zeros(5, 4), torch.zeros(6, 2)),
    lambda: metrics.linear_separability(torch.zeros(5, 4), torch.zeros(5, 2), keep=6),
    lambda: metrics.perceptual_path_length(torch.zeros(0)),
    lambda: metrics.ppl_endpoints(None, torch.zeros(1, 2), torch.zeros(1, 2), torch.zeros(1), space="x"),  # type: ignore[arg-type]
])
def test_bad_input_is_one_sentence(call) -> None:
    with pytest.raises(InvalidInput) as error:
        call()
    assert str(error.value).endswith(".")
