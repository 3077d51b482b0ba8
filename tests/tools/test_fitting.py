"""The supervised training of the demo family on the engine: interrupted and gone on with, it ends alike."""

from __future__ import annotations

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from stylegan_core.networks.mapping import MappingConfig, MappingNetwork
from tools.demo.fitting import Fit, fit
from tools.demo.recipe import STUDENT_ROWS


class Student(nn.Module):
    """A mapping, and one linear layer that draws 32 px."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.mapping = MappingNetwork(MappingConfig(8, 0, 8, STUDENT_ROWS, 2, 8))
            self.synthesis = nn.Linear(8, 3 * 32 * 32)
            self.wanted = torch.randn(8, 3 * 32 * 32) * 0.2


def run(folder, stop: int | None = None) -> Student:
    student = Student()

    def pairs(step: int, numbers: list[int], ws: Tensor) -> tuple[Tensor, Tensor]:
        if step == stop:
            raise KeyboardInterrupt
        w = ws.mean(1)
        return student.synthesis(w).view(-1, 3, 32, 32), (w @ student.wanted).view(-1, 3, 32, 32)

    trained = {f"synthesis.{name}": p for name, p in student.synthesis.named_parameters()}
    fit(Fit("demo", folder, steps=8, batch=2, lr=0.02, save_every=2), student, trained, 50, pairs)  # type: ignore[arg-type]
    return student


def test_an_interrupted_fit_ends_as_one_that_was_not(tmp_path, capsys):
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    whole = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", stop=5)
    again = run(tmp_path / "parts")
    assert "4/8" in capsys.readouterr().err, "gone on with after the last state"
    assert torch.equal(whole.synthesis.weight, again.synthesis.weight)
    assert not torch.equal(whole.synthesis.weight, Student().synthesis.weight)
    assert Image.open(tmp_path / "parts" / "demo.png").size == (64, 64)
    assert torch.equal(torch.load(tmp_path / "parts" / "demo_final.pt")["synthesis.weight"], again.synthesis.weight)
