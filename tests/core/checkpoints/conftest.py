"""Images of a golden's cases, for any generator."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

TINY = {
    "ros2_train_tiny": "010000.pt", "ros2_converted_tiny": "stylegan2-tiny-config-f.pt", "swap_ros2_tiny": "model_A.pt",
    "ada_sg2_tiny": "network-snapshot-000400.pkl", "ada_sg2_cond": "network-snapshot-000400.pkl",
    "ada_sg2_gray": "network-snapshot-000400.pkl", "sg3repo_sg2_tiny": "network-snapshot-000400.pkl",
    "tf_sg2_tiny": "network-final.pkl", "tf_sg2_gray": "network-final.pkl",
}
"""Golden folder -> model file of every small StyleGAN2."""


class Cases:
    """The images of cases.json, as this package draws them."""

    def __init__(self, golden, model: nn.Module) -> None:
        self.golden, self.model = golden, model
        self.names = set(golden.npz_names())

    def __iter__(self) -> Iterator[tuple[str, Tensor, Tensor]]:
        for case in self.golden.json()["cases"]:
            yield case["out"], self.draw(case), self.golden.tensor(case["out"])

    @torch.no_grad()
    def draw(self, case: dict) -> Tensor:
        ws = self._ws(case)
        noise = None
        if case["noise"] == "explicit":
            count = len(self.model.synthesis.noise_shapes())
            noise = [self.golden.tensor(f"noise_{i}") for i in range(count)]
        mode = "const" if noise else case["noise"]
        return self.model.synthesis(ws, noise_mode=mode, noise=noise)

    def _ws(self, case: dict) -> Tensor:
        if case["input"] == "wplus":
            return self.golden.tensor("wplus")
        c = self.golden.tensor("c") if "c" in self.names else None
        ws = self.model.mapping(self.golden.tensor("z"), c, case["psi"], case["cutoff"])
        if case["input"] != "mix":
            return ws
        mixed = ws[:1].clone()
        mixed[:, case["mix_index"] :] = ws[1:2, case["mix_index"] :]
        return mixed


@pytest.fixture
def tiny(golden):
    """tiny("tf_sg2_gray") -> path of its model file."""
    return lambda name: golden(name).file(TINY[name])
