"""The command that proves a card runs without one, and it can fail."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks import gpu
from benchmarks.cards import drawing, families, work


def test_the_whole_command_at_tiny_sizes(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    place = tmp_path / "card.json"
    assert gpu.main(["--device", "cpu", "--tiny", "--json", str(place)]) == 0
    told = json.loads(place.read_text(encoding="utf-8"))
    assert {row["family"] for row in told["drawing"]} == set(families.FAMILIES) and not told["disagreements"]
    for row in told["drawing"]:
        assert row["one"] > 0 and row["many"] > 0 and row["off"] <= (1e-3 if row["dtype"] == "float32" else 1.0)
    found = {result["what"].split(",")[0]: result["numbers"] for result in told["work"]}
    assert found["Inversion"]["steps/s of 1"] > 0 and found["Training"]["s/kimg"] > 0
    shown = capsys.readouterr().out
    assert "Disagreements: none" in shown and all(f"| {name} |" in shown for name in families.FAMILIES)


def test_a_wrong_picture_is_a_disagreement(monkeypatch, capsys) -> None:
    monkeypatch.setattr(work, "JOBS", ())
    plain = drawing.drawer
    monkeypatch.setattr(drawing, "drawer", lambda *a: lambda ws: plain(*a)(ws) * (1.01 if a[2] == "graphs" else 1.0))
    assert gpu.main(["--device", "cpu", "--tiny", "--only", "stylegan1"]) == 1
    assert "Disagreements: stylegan1 float32 graphs" in capsys.readouterr().out


@pytest.mark.parametrize(("found", "exact", "agrees"), [
    (torch.tensor([0.0, 1.0]), True, True), (torch.tensor([0.0, 1.01]), True, False), (torch.tensor([0.0, 1.01]), False, False),
    (torch.tensor([0.0, 1.002]), False, True), (torch.tensor([0.0, float("nan")]), False, False)])
def test_what_counts_as_the_same_picture(found: torch.Tensor, exact: bool, agrees: bool) -> None:
    off = drawing.difference(found, torch.tensor([0.0, 1.0]), exact)
    row = drawing.Row("any", 32, "float32" if exact else "bf16", "eager", off, 1.0, 1.0, 1, 1.0)
    assert row.agrees is agrees and ("WRONG" in row.line()) is not agrees


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_without_a_card_one_sentence_says_what_to_do(capsys) -> None:
    assert gpu.main([]) == 2
    assert "--device cpu --tiny" in capsys.readouterr().err
