"""LPIPS: golden values and gradients, order of the embedded network, small pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage import data
from torch.nn import functional

from stylegan_core.assets import load_asset
from stylegan_core.errors import InvalidInput, LoadError
from stylegan_core.losses.perceptual import LPIPS, SCALE, SHIFT
from stylegan_core.networks.judges.features import FeatureTrunk, alexnet, enlarge_to, imagenet_normalize, vgg16, vgg19
from tests.rule import fill_all


@pytest.fixture(scope="module")
def lpips() -> LPIPS:
    return LPIPS.embedded()


@pytest.fixture(scope="module")
def photos() -> torch.Tensor:
    pictures = [data.astronaut()[20:212, 120:312], data.coffee()[:192, 100:292]]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def load(path) -> dict:
    return torch.load(path, map_location="cpu", weights_only=True)


def check_golden(loss: LPIPS, files) -> None:
    a, b = files.tensor("a"), files.tensor("b").requires_grad_()
    torch.testing.assert_close(loss.layers(a, b)[0], files.tensor("per_layer"), rtol=1e-4, atol=1e-7)
    value = loss(a, b)
    torch.testing.assert_close(value, files.tensor("value"), rtol=1e-4, atol=0)
    value.sum().backward()
    expected = files.tensor("grad_b")
    assert (b.grad - expected).abs().max() < 1e-4 * expected.abs().max()


def test_narrow_vgg(golden) -> None:
    files = golden("lpips_narrow")
    check_golden(LPIPS.vgg(load(files.file("vgg16_narrow.pth")), load(files.file("lpips_lin.pth"))), files)


def test_full_vgg(golden) -> None:
    files = golden("lpips_vgg_rule")
    trunk = {k.removeprefix("vgg16."): v for k, v in fill_all(files.json("manifest.json")).items()}
    loss = LPIPS.vgg(trunk, load(files.file("lpips_vgg_v0.1.pth")))
    check_golden(loss, files)
    shift, scale = (torch.tensor(values).view(1, 3, 1, 1) for values in (SHIFT, SCALE))
    features = loss.trunk((files.tensor("a") - shift) / scale)
    stats = torch.stack([torch.stack([f.mean(), f.std(), f.min(), f.max(), f.abs().mean()]) for f in features])
    torch.testing.assert_close(stats, files.tensor("feat_stats"), rtol=1e-3, atol=1e-4)


def test_features_are_reusable(lpips, photos) -> None:
    fixed = lpips.features(photos)
    moved = photos.flip(3)
    assert torch.equal(lpips(fixed, moved), lpips(photos, moved))
    assert torch.equal(lpips(photos, moved), lpips(photos, lpips.features(moved)))


def test_per_image_and_symmetric(lpips, photos) -> None:
    other = photos.flip(0)
    values = lpips(photos, other)
    assert values.shape == (2,)
    torch.testing.assert_close(values, lpips(other, photos))
    torch.testing.assert_close(values[:1], lpips(photos[:1], other[:1]), rtol=1e-4, atol=1e-6)
    assert torch.equal(lpips(photos, photos), torch.zeros(2))


def test_grows_with_the_damage(lpips, photos) -> None:
    noise = torch.from_numpy(np.random.RandomState(0).randn(*photos.shape)).float()
    noisy = [lpips(photos, photos + s * noise).mean() for s in (0.05, 0.1, 0.2, 0.4)]
    coarse = [functional.interpolate(functional.avg_pool2d(photos, s), scale_factor=s) for s in (2, 4, 8)]
    blurred = [lpips(photos, picture).mean() for picture in coarse]
    assert noisy == sorted(noisy) and blurred == sorted(blurred) and noisy[0] > 0.01


def test_gradient_descends(lpips, photos) -> None:
    guess = torch.zeros_like(photos).requires_grad_()
    optimizer = torch.optim.Adam([guess], lr=0.05)
    values = []
    for _ in range(6):
        loss = lpips(guess, photos).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[-1] < values[0]
    assert not any(p.requires_grad for p in lpips.parameters())


def test_gradient_of_equal_and_blank_pictures_is_finite(lpips) -> None:
    blank = torch.zeros(1, 3, 64, 64, requires_grad=True)
    lpips(blank, blank.detach()).sum().backward()
    assert blank.grad.isfinite().all()


@pytest.mark.parametrize("size", [(1, 1), (7, 30), (31, 31), (16, 200)])
def test_small_pictures(lpips, size) -> None:
    a, b = torch.zeros(2, 3, *size), torch.ones(2, 3, *size)
    assert (lpips(a, b) > 0).all()


def test_errors(lpips, photos) -> None:
    with pytest.raises(InvalidInput, match="equal size"):
        lpips(photos, photos[..., :96])
    with pytest.raises(InvalidInput, match=r"\[batch, 3"):
        lpips(photos[:, :1], photos)
    tensors = load_asset("lpips_alex")
    with pytest.raises(LoadError, match="features.0.bias"):
        LPIPS.from_tensors(alexnet(), {k: v for k, v in tensors.items() if k != "features.0.bias"}, tensors)
    with pytest.raises(LoadError, match="head 4"):
        LPIPS.from_tensors(alexnet(), tensors, {k: v for k, v in tensors.items() if k != "heads.4.weight"})
    with pytest.raises(LoadError, match="13 convolutions"):
        LPIPS.vgg(tensors, tensors)


@pytest.mark.parametrize("config", [alexnet(), vgg16([4] * 5), vgg19([4] * 5)], ids=lambda c: c.name)
def test_smallest_picture_of_each_trunk(config) -> None:
    shapes = [f.shape[1:] for f in FeatureTrunk(config)(torch.zeros(1, 3, config.min_size, config.min_size))]
    assert [s[0] for s in shapes] == list(config.tap_widths) and shapes[-1][1:] == (1, 1)
    with pytest.raises(RuntimeError):
        FeatureTrunk(config)(torch.zeros(1, 3, config.min_size - 1, config.min_size - 1))


def test_trunk_keys_are_torchvisions() -> None:
    assert [int(k.split(".")[1]) for k in FeatureTrunk(alexnet()).state_dict() if k.endswith("weight")] == [0, 3, 6, 8, 10]
    last = list(FeatureTrunk(vgg19([2] * 5)).state_dict())[-1]
    assert last == "features.28.bias"
    shallow = FeatureTrunk(vgg19([2] * 5).with_taps([0, 2]))
    assert list(shallow.state_dict())[-1] == "features.5.bias" and len(shallow(torch.zeros(1, 3, 8, 8))) == 2


def test_helpers() -> None:
    assert enlarge_to(torch.zeros(1, 3, 8, 20), 16).shape == (1, 3, 16, 40)
    middle = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1) * 2 - 1
    assert imagenet_normalize(middle).abs().max() < 1e-6
