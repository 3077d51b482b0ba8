"""What one process does where it meets the others, who are played here by what they would send."""

from __future__ import annotations

import pytest
import torch

from stylegan_core.training import processes as module
from stylegan_core.training.processes import Processes, join_processes, leave_processes


def test_a_sum_is_over_all_and_leaves_the_own_share(monkeypatch) -> None:
    others = torch.tensor(0.0)
    monkeypatch.setattr(module.dist, "all_reduce", lambda tensor: tensor.add_(others))
    own = torch.tensor([1.0, 2.0])
    others.fill_(3)
    assert Processes(1, 2).sum(own).tolist() == [4, 5] and own.tolist() == [1, 2]
    for here, there in ((False, 0), (False, 1), (True, 0), (True, 1)):
        others.fill_(there)
        assert Processes(0, 2).any(here) is (here or bool(there))


def test_the_leaders_word_is_everybodys(monkeypatch) -> None:
    def broadcast(box: list, src: int) -> None:
        box[0] = f"of {src}"

    monkeypatch.setattr(module.dist, "broadcast_object_list", broadcast)
    assert Processes(1, 2).from_leader(None) == "of 0"


@pytest.mark.parametrize(("rank", "wanted"), [(0, ["made", "met"]), (1, ["met", "made"])])
def test_the_leader_makes_what_the_others_find(rank, wanted, monkeypatch) -> None:
    events: list[str] = []
    monkeypatch.setattr(module.dist, "all_reduce", lambda _: events.append("met"))
    assert Processes(rank, 2).leader_first(lambda: events.append("made") or rank) == rank
    assert events == wanted


@pytest.mark.parametrize(("device", "own", "backend"), [("cpu", "cpu", "gloo"), ("cuda", "cuda:1", "nccl")])
def test_joining_takes_the_card_of_this_machine_and_the_rank_among_all(device, own, backend, monkeypatch) -> None:
    cards, met = [], []
    monkeypatch.setattr(module.torch.cuda, "set_device", cards.append)
    for name, value in (("is_initialized", lambda: bool(met)), ("init_process_group", met.append), ("get_rank", lambda: 5)):
        monkeypatch.setattr(module.dist, name, value)
    for name, value in (("WORLD_SIZE", "8"), ("RANK", "5"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    for _ in range(2):
        assert join_processes(device) == Processes(5, 8, own)
    assert met == [backend] and set(cards) == ({own} - {"cpu"})


def test_alone_nobody_is_met(monkeypatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    for name in ("init_process_group", "all_reduce", "broadcast_object_list", "destroy_process_group"):
        monkeypatch.setattr(module.dist, name, lambda *_, name=name, **__: pytest.fail(f"{name} without others"))
    alone, own = join_processes("cuda"), torch.ones(2)
    assert alone == Processes(0, 1, "cuda") and alone.leads and not Processes(1, 2).leads
    alone = Processes()
    assert alone.sum(own) is own and alone.from_leader(7) == 7 and alone.any(True) and not alone.any(False)
    assert alone.leader_first(lambda: 3) == 3
    leave_processes()
