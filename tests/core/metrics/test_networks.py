"""The networks of the measures beside their architectures written down anew, the choice among a user's files, and the plot."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

import stylegan_core as sg
from stylegan_core.metrics import Measure, inception, networks
from stylegan_core.metrics.features import OpenFeatures
from stylegan_core.metrics.plot import BAR, plot_measures


def pictures(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_open_features_are_alexnets_last_convolution_over_256_px() -> None:
    network = OpenFeatures()
    tensors = network.trunk.state_dict()

    def by_hand(x: Tensor) -> Tensor:
        mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 3, 1, 1)
        x = ((x + 1) / 2 - mean) / deviation
        for key, stride, pad in (("0", 4, 2), ("3", 1, 2), ("6", 1, 1), ("8", 1, 1), ("10", 1, 1)):
            x = F.max_pool2d(x, 3, 2) if key in "36" else x
            x = F.conv2d(x, tensors[f"features.{key}.weight"], tensors[f"features.{key}.bias"], stride, pad).relu()
        return x.mean((2, 3))

    small, large = pictures(2, 1, 72, 72), pictures(1, 3, 400, 400)
    shrunk = torch.stack([torch.from_numpy(np.array(Image.fromarray(c.numpy()).resize((256, 256), Image.Resampling.BILINEAR)))
                          for c in large[0]])[None]
    for seen, wanted in ((small, by_hand(small.repeat(1, 3, 1, 1))), (large, by_hand(shrunk))):
        torch.testing.assert_close(network(seen), wanted, rtol=1e-3, atol=1e-3)


class Twin:
    """FID's Inception step by step, its batch norms apart, a sixteenth as wide. Weights are drawn as they are met."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.draw = torch.Generator().manual_seed(1)

    def conv(self, name: str, x: Tensor, out: int, kernel: tuple[int, int] = (1, 1), stride: int = 1,
             pad: tuple[int, int] | int = 0) -> Tensor:
        out //= 16
        shape = (out, x.shape[1], *kernel)
        weight = torch.rand(shape, generator=self.draw).sub_(0.5).mul_(2 / np.prod(shape[1:]) ** 0.5)
        gain, bias, mean, var = torch.rand(4, out, generator=self.draw) * torch.tensor([[1], [0.5], [0.2], [0.05]])
        leaves = {"bn.weight": gain, "bn.bias": bias, "bn.running_mean": mean, "bn.running_var": var, "conv.weight": weight}
        self.tensors |= {f"{name}.{leaf}": t for leaf, t in leaves.items()}
        return F.batch_norm(F.conv2d(x, weight, None, stride, pad), mean, var, gain, bias, eps=0.001).relu()

    def chain(self, block: str, x: Tensor, *steps: tuple[str, int, tuple[int, int]]) -> Tensor:
        """Convolutions that keep the size."""
        for name, out, kernel in steps:
            x = self.conv(f"{block}.{name}", x, out, kernel, pad=(kernel[0] // 2, kernel[1] // 2))
        return x

    def forward(self, x: Tensor) -> Tensor:
        for name, out, side, stride, pad in (("1a_3x3", 32, 3, 2, 0), ("2a_3x3", 32, 3, 1, 0), ("2b_3x3", 64, 3, 1, 1)):
            x = self.conv(f"Conv2d_{name}", x, out, (side, side), stride, pad)
        x = self.conv("Conv2d_3b_1x1", F.max_pool2d(x, 3, 2), 80)
        x = F.max_pool2d(self.conv("Conv2d_4a_3x3", x, 192, (3, 3)), 3, 2)
        for block, pool in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
            x = torch.cat([self.chain(block, x, ("branch1x1", 64, (1, 1))),
                           self.chain(block, x, ("branch5x5_1", 48, (1, 1)), ("branch5x5_2", 64, (5, 5))),
                           self.chain(block, x, ("branch3x3dbl_1", 64, (1, 1)), ("branch3x3dbl_2", 96, (3, 3)),
                                      ("branch3x3dbl_3", 96, (3, 3))),
                           self.chain(block, inner_mean(x), ("branch_pool", pool, (1, 1)))], 1)
        twice = self.chain("Mixed_6a", x, ("branch3x3dbl_1", 64, (1, 1)), ("branch3x3dbl_2", 96, (3, 3)))
        x = torch.cat([self.conv("Mixed_6a.branch3x3", x, 384, (3, 3), 2),
                       self.conv("Mixed_6a.branch3x3dbl_3", twice, 96, (3, 3), 2), F.max_pool2d(x, 3, 2)], 1)
        for block, n in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
            x = torch.cat([self.chain(block, x, ("branch1x1", 192, (1, 1))),
                           self.chain(block, x, ("branch7x7_1", n, (1, 1)), ("branch7x7_2", n, (1, 7)),
                                      ("branch7x7_3", 192, (7, 1))),
                           self.chain(block, x, ("branch7x7dbl_1", n, (1, 1)), ("branch7x7dbl_2", n, (7, 1)),
                                      ("branch7x7dbl_3", n, (1, 7)), ("branch7x7dbl_4", n, (7, 1)),
                                      ("branch7x7dbl_5", 192, (1, 7))),
                           self.chain(block, inner_mean(x), ("branch_pool", 192, (1, 1)))], 1)
        once = self.chain("Mixed_7a", x, ("branch3x3_1", 192, (1, 1)))
        wide = self.chain("Mixed_7a", x, ("branch7x7x3_1", 192, (1, 1)), ("branch7x7x3_2", 192, (1, 7)),
                          ("branch7x7x3_3", 192, (7, 1)))
        x = torch.cat([self.conv("Mixed_7a.branch3x3_2", once, 320, (3, 3), 2),
                       self.conv("Mixed_7a.branch7x7x3_4", wide, 192, (3, 3), 2), F.max_pool2d(x, 3, 2)], 1)
        x = self.block_e("Mixed_7b", x, inner_mean)
        return self.block_e("Mixed_7c", x, lambda x: F.max_pool2d(x, 3, 1, 1)).mean((2, 3))

    def block_e(self, block: str, x: Tensor, pool: Callable[[Tensor], Tensor]) -> Tensor:
        once = self.chain(block, x, ("branch3x3_1", 384, (1, 1)))
        twice = self.chain(block, x, ("branch3x3dbl_1", 448, (1, 1)), ("branch3x3dbl_2", 384, (3, 3)))
        return torch.cat([self.chain(block, x, ("branch1x1", 320, (1, 1))),
                          self.chain(block, once, ("branch3x3_2a", 384, (1, 3))),
                          self.chain(block, once, ("branch3x3_2b", 384, (3, 1))),
                          self.chain(block, twice, ("branch3x3dbl_3a", 384, (1, 3))),
                          self.chain(block, twice, ("branch3x3dbl_3b", 384, (3, 1))),
                          self.chain(block, pool(x), ("branch_pool", 192, (1, 1)))], 1)


def inner_mean(x: Tensor) -> Tensor:
    """Of each pixel and its up to eight neighbours, what lies outside left out."""
    around = F.avg_pool2d(torch.cat([x, torch.ones_like(x[:, :1])], 1), 3, 1, 1)
    return around[:, :-1] / around[:, -1:]


def test_inception_is_the_network_of_2015(monkeypatch) -> None:
    """At 107 px, the least that leaves the last blocks two pixels to pool, and thin, which is faster."""

    def thin(step: inception.Step) -> inception.Step:
        return step[0], step[1] // 16, *step[2:]

    blocks = tuple((name, tuple(tuple(map(thin, branch)) for branch in branches), pool) for name, branches, pool in
                   inception.BLOCKS)
    for name, value in (("SIDE", 107), ("STEM", tuple(map(thin, inception.STEM))), ("BLOCKS", blocks)):
        monkeypatch.setattr(inception, name, value)
    images, twin = pictures(1, 1, 50, 50), Twin()
    enlarged = F.interpolate(images, size=(107, 107), mode="bilinear").repeat(1, 3, 1, 1)
    wanted = twin.forward(enlarged)
    found = inception.Inception(twin.tensors)(images)
    assert wanted.std() > 0.01 and (found - wanted).abs().max() < 1e-3 * wanted.abs().max()
    with pytest.raises(sg.LoadError, match="Conv2d_1a_3x3"):
        inception.Inception({k: t for k, t in twin.tensors.items() if k != "Conv2d_1a_3x3.bn.running_var"})


def test_files_of_a_users_own_are_taken_for_what_they_are(tmp_path, monkeypatch) -> None:
    """LPIPS over VGG16 needs both files, and the plain state dict goes before other copies of Inception."""
    monkeypatch.setattr(networks, "tensors_of", lambda path: path.name)
    monkeypatch.setattr(networks, "Inception", lambda tensors: tensors)
    monkeypatch.setattr(networks.LPIPS, "vgg", lambda trunk, heads: (trunk, heads))
    monkeypatch.setattr(networks.LPIPS, "embedded", lambda: "AlexNet")
    trunk, heads = "vgg16-397923af.pth", "vgg.pth"
    found = []
    for names in ((), (trunk,), (heads,), (trunk, heads)):
        folder = tmp_path / str(len(found))
        folder.mkdir()
        for name in names:
            (folder / name).touch()
        found.append(networks.best_perceptual(folder))
    assert found == ["AlexNet"] * 3 + [(trunk, heads)] and networks.best_perceptual() == "AlexNet"
    for name in ("inception-2015-12-05.pt", "an_inception.safetensors", "pt_inception-2015-12-05-6726825d.pth"):
        (tmp_path / name).touch()
        assert networks.best_features(tmp_path) == name


def test_shares_alone_have_a_bar_and_every_measure_a_row() -> None:
    told = (("Precision, AlexNet", 0.25), ("FID", 7.0), ("Recall, AlexNet", 0.5))
    picture = plot_measures([Measure(name, value, "of these") for name, value in told], 700)
    pixels = ((picture[0] + 1) * 127.5).round()
    blue = (pixels == torch.tensor(BAR).view(3, 1, 1)).all(0)
    first, second, third = blue[:186].chunk(3)
    assert not second.any() and [int(rows.any(0).sum()) for rows in (first, third)] == pytest.approx([168, 336], abs=1)
    dark = pixels.amax(0)[:186] < 100
    assert all(rows[:, :350].any() and rows[:, 350:].any() for rows in dark.chunk(3)), "a name left, a value right"
    with pytest.raises(sg.InvalidInput, match="no measure"):
        plot_measures([])
