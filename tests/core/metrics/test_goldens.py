"""The measures against the numbers of the published codes (float64)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import stylegan_core as sg
from stylegan_core import metrics
from tests.conftest import GOLDENS, Golden

FID, PPL, LS = (Golden(GOLDENS / f"metric_{name}") for name in ("fid", "ppl", "ls"))


def off(got, wanted) -> float:
    """Largest error over the largest magnitude."""
    got, wanted = np.asarray(got, np.float64), np.asarray(wanted, np.float64)
    assert got.shape == wanted.shape
    return float(np.abs(got - wanted).max() / max(np.abs(wanted).max(), 1e-12))


@pytest.mark.parametrize("case", FID.json()["cases"], ids=lambda case: case["tag"])
def test_distances(case) -> None:
    def of(name: str) -> np.ndarray:
        return FID.array(f"{case['tag']}.{name}")

    real, fake = (FID.tensor(f"{case['tag']}.{name}").double() for name in ("real", "fake"))
    tolerance = 1e-3 if case["rank_deficient"] else 1e-5
    for name, unbiased in (("fid", False), ("fid_unbiased", True)):
        pair = [metrics.feature_statistics(x, unbiased) for x in (real, fake)]
        assert off(metrics.frechet_distance(*pair), of(name)) < tolerance
    subsets = zip(of("subsets_real"), of("subsets_fake"), strict=True)
    assert abs(metrics.kernel_distance(real, fake, subsets) - of("kid")) < 1e-6 * max(abs(of("kid")), 0.05)
    expected = float(of("precision")), float(of("recall"))
    assert metrics.precision_recall(real, fake, case["nhood"]) == pytest.approx(expected, abs=1e-9)
    score = metrics.inception_score(FID.tensor(f"{case['tag']}.probs"), case["is_splits"])
    assert score == pytest.approx((float(of("is_mean")), float(of("is_std"))), rel=1e-6)


def test_statistics() -> None:
    for case in FID.json()["cases"]:
        tag = case["tag"]
        mean, cov = metrics.feature_statistics(FID.tensor(f"{tag}.real"))
        assert off(mean, FID.array(f"{tag}.mean_real")) < 1e-6 and off(cov, FID.array(f"{tag}.cov_real")) < 1e-5


@pytest.mark.parametrize("name", PPL.json()["distances"])
def test_path_length_of_distances(name) -> None:
    assert off(metrics.perceptual_path_length(PPL.tensor(name)), PPL.array(f"{name}.ppl")) < 1e-5


@pytest.fixture(scope="module")
def generator():
    return sg.load(PPL.file(PPL.json()["file"]), dtype=torch.float64)


@pytest.mark.parametrize("case", PPL.json()["pairs"], ids=lambda case: case["tag"])
def test_path_length_pairs(case, generator) -> None:
    inputs, before = case["inputs"], generator.w_avg.clone()
    names = PPL.npz_names()
    label = PPL.tensor(f"{inputs}.c").double() if f"{inputs}.c" in names else None
    z0, z1, t = (PPL.tensor(f"{inputs}.{k}").double() for k in ("z0", "z1", "t"))
    ws = metrics.ppl_endpoints(generator, z0, z1, t, PPL.json()["epsilon"], case["space"], label)
    wanted = [PPL.array(f"{inputs}.ws{i}") for i in (0, 1)]
    assert off(ws[1] - ws[0], wanted[1] - wanted[0]) < 1e-5
    for i in (0, 1):
        assert off(ws[i], wanted[i]) < 1e-6
        images = metrics.ppl_images(generator.synthesis(ws[i], noise_mode="const"), case["crop"])
        assert off(images, PPL.array(f"{case['tag']}.images{i}")) < 1e-6
    assert torch.equal(generator.w_avg, before)


@pytest.mark.parametrize("space", ["z", "w"])
@pytest.mark.parametrize("case", LS.json()["cases"], ids=lambda case: case["tag"])
def test_separability(case, space) -> None:
    tag = case["tag"]
    latents, logits = (LS.tensor(f"{tag}.{k}").double() for k in (space, "logits"))
    score, entropies = metrics.linear_separability(latents, logits, case["keep"])
    wanted = LS.array(f"{tag}.entropies")[:, "zw".index(space)]
    assert (np.abs(entropies.numpy() - wanted) < 0.02 + 0.02 * wanted).all()
    assert off(score, LS.array(f"{tag}.score_{space}")) < 0.03


def test_conditional_entropy() -> None:
    assert off(metrics.conditional_entropy(LS.tensor("p")), LS.array("p.entropy")) < 1e-6
