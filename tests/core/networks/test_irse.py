"""IR-SE50 by the published file, tiny and full size."""

from __future__ import annotations

import pytest
import torch

import stylegan_core as sg
from stylegan_core.losses.identity import ArcFaceLoss
from tests.core.networks.test_encoders import picture
from tests.rule import fill_all, network


def test_published_file(golden, tmp_path) -> None:
    path = golden("ckpt_formats").file("model_ir_se50.pth")
    net = sg.load(path)
    assert net.kind == "identity" and sg.inspect(path).kind == "identity"
    faces = torch.randn(2, 3, 112, 112)
    embedded = net(faces)
    assert torch.allclose(embedded.norm(dim=1), torch.ones(2))
    again = sg.load(sg.save(net, tmp_path / "identity.safetensors"))
    assert torch.equal(again(faces), embedded)


def test_counters_may_be_missing(golden, tmp_path) -> None:
    path = golden("ckpt_formats").file("model_ir_se50.pth")
    state = torch.load(path, weights_only=True)
    torch.save({k: v for k, v in state.items() if "num_batches" not in k}, tmp_path / "old.pth")
    faces = torch.randn(1, 3, 112, 112)
    assert torch.equal(sg.load(tmp_path / "old.pth")(faces), sg.load(path)(faces))


@pytest.mark.full
def test_full_size_by_rule(golden) -> None:
    case = golden("idloss_full_rule")
    loss = ArcFaceLoss(network(fill_all(case.json("manifest.json"))))
    a, b = (picture(case.file(f"{name}.png")) for name in "ab")
    fx, fy = loss.features(torch.cat([a, b])), loss.features(torch.cat([b, 0.7 * a]))
    assert (fx[0] - case.tensor("fx")).abs().max() < 1e-3 and (fy[0] - case.tensor("fy")).abs().max() < 1e-3
    assert abs(float(loss(fx, fy).mean()) - float(case.array("loss"))) < 1e-3
