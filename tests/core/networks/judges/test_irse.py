"""IR-SE50 as a published file; its full-size numbers are checked with the identity loss."""

from __future__ import annotations

import torch

import stylegan_core as sg


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
