"""Identity: the embedded ResNet on portraits, IR-SE50 against its golden."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from torch.nn import functional

from stylegan_core.errors import InvalidInput, LoadError
from stylegan_core.faces import align_face
from stylegan_core.losses.identity import SAME_PERSON, ArcFaceLoss, IdentityLoss, identity_distance
from stylegan_core.networks.judges.dlib_face import ResidualBlock, _dequantized
from tests.rule import fill_all

POINTS = [[204.0, 101.5], [246.0, 102.5], [225.0, 127.0], [202.0, 139.5], [245.0, 140.5]]


@pytest.fixture(scope="module")
def loss() -> IdentityLoss:
    return IdentityLoss.embedded()


@pytest.fixture(scope="module")
def portrait() -> torch.Tensor:
    picture = torch.from_numpy(data.astronaut()).permute(2, 0, 1).float() / 127.5 - 1
    return align_face(picture, POINTS, 256)[0][None]


def test_one_person_stays_near(loss, portrait) -> None:
    darker, mirrored, moved = portrait * 0.7 - 0.1, portrait.flip(3), portrait.roll((3, 4), (2, 3))
    for variant in (darker, mirrored, moved):
        assert loss(portrait, variant).item() < 0.5 * SAME_PERSON
    assert loss(portrait, portrait).item() == 0


def test_what_is_not_her_is_far(loss, portrait) -> None:
    cat = torch.from_numpy(data.chelsea()[:300, 75:375].copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    assert loss(portrait, cat).item() > SAME_PERSON
    assert loss(portrait, portrait.flip(2)).item() > loss(portrait, portrait.flip(3)).item()


@pytest.mark.parametrize("size", [32, 128, 512])
def test_any_size(loss, portrait, size) -> None:
    resized = functional.interpolate(portrait, size=(size, size), mode="bilinear", antialias=True)
    assert loss.embed(resized).shape == (1, 128)
    assert loss(portrait, resized).item() < (0.9 if size == 32 else 0.3)


def test_features_and_batches(loss, portrait) -> None:
    faces = torch.cat([portrait, portrait.flip(3), portrait.flip(2)])
    values = loss(loss.features(faces), faces.flip(0))
    assert values.shape == (3,)
    torch.testing.assert_close(values, loss(faces, faces.flip(0)))
    torch.testing.assert_close(values[0], loss(faces[:1], faces[2:])[0], rtol=1e-3, atol=1e-4)


def test_gradients(loss, portrait) -> None:
    face = portrait.clone().requires_grad_()
    loss(face, portrait.flip(3)).sum().backward()
    assert face.grad.isfinite().all() and face.grad.abs().max() > 0
    face.grad = None
    loss(face, portrait).sum().backward()
    assert face.grad.isfinite().all()
    assert not any(p.requires_grad for p in loss.parameters())


def test_distance_is_euclidean() -> None:
    assert identity_distance(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]])).item() == 5


def test_dequantization() -> None:
    stored = {"a": torch.tensor([0, 255], dtype=torch.uint8), "a.range": torch.tensor([0.5, -1.0]), "b": torch.ones(1)}
    out = _dequantized(stored)
    assert out["a"].tolist() == [-1.0, 126.5] and out["b"].tolist() == [1.0] and set(out) == {"a", "b"}


def test_shrinking_block_pads_with_zeros() -> None:
    """From 8 pixels the convolution leaves 3 and the averaged shortcut 4: the larger counts, zeros fill up."""
    block = ResidualBlock(2, 4, shrink=True)
    x = torch.rand(1, 2, 8, 8)
    with torch.no_grad():
        for p in block.parameters():
            p.zero_()
        out = block(x)
    assert out.shape == (1, 4, 4, 4)
    assert torch.equal(out[:, :2], functional.avg_pool2d(x, 2)) and out[:, 2:].abs().max() == 0


def test_wrong_shape(loss) -> None:
    with pytest.raises(InvalidInput, match="aligned"):
        loss.embed(torch.zeros(1, 3, 64, 32))


@pytest.mark.slow
def test_arcface_golden(golden) -> None:
    files = golden("idloss_full_rule")
    tensors = {k: v for k, v in fill_all(files.json("manifest.json")).items() if not k.endswith("num_batches_tracked")}
    loss = ArcFaceLoss.from_tensors(tensors)
    a, b = (
        torch.from_numpy(np.array(Image.open(files.file(name)))).permute(2, 0, 1)[None].float() / 127.5 - 1
        for name in ("a.png", "b.png")
    )
    with torch.no_grad():
        fx, fy = loss.embed(torch.cat([a, b])), loss.embed(torch.cat([b, 0.7 * a]))
    torch.testing.assert_close(fx, files.tensor("fx"), rtol=0, atol=1e-5)
    torch.testing.assert_close(fy, files.tensor("fy"), rtol=0, atol=1e-5)
    assert loss([fx], [fy]).mean().item() == pytest.approx(files.array("loss").item(), abs=1e-5)
    with pytest.raises(LoadError, match="body.7.res_layer.3.weight"):
        ArcFaceLoss.from_tensors({k: v for k, v in tensors.items() if k != "body.7.res_layer.3.weight"})
