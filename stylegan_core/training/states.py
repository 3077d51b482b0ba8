"""A trainer as tensors and back: what a run needs to go on bit by bit."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from ..errors import InvalidInput
from .files import get_adam, set_adam
from .trainer import Trainer


def trainer_tensors(trainer: Trainer) -> dict[str, Tensor]:
    """Networks, Adam's states by parameter name, path mean, ADA."""
    tensors = {f"{tag}.{key}": t for tag, net in _networks(trainer) for key, t in net.state_dict().items()}
    for tag in "GD":
        for name, entry in get_adam(trainer.optimizers[tag], trainer.network(tag)).items():
            tensors |= {f"adam.{tag}.{name}.{key}": t for key, t in entry.items()}
    tensors["pl_mean"] = trainer.pl_mean
    if trainer.ada is not None:
        tensors |= {f"ada.{key}": t for key, t in trainer.ada.state_dict().items()}
    return tensors


def restore_trainer(trainer: Trainer, tensors: Mapping[str, Tensor]) -> None:
    """The inverse. Raises InvalidInput for tensors of other networks, changing nothing."""

    def below(prefix: str) -> dict[str, Tensor]:
        return {key[len(prefix) :]: t for key, t in tensors.items() if key.startswith(prefix)}

    for tag, net in _networks(trainer):
        own, stored = net.state_dict(), below(f"{tag}.")
        wrong = [k for k in {**own, **stored} if k not in own or k not in stored or own[k].shape != stored[k].shape]
        if wrong:
            raise InvalidInput(f"The run was begun from another model: {', '.join(wrong[:3])} differ; give the base that it "
                               f"began with.")
    for tag, net in _networks(trainer):
        net.load_state_dict(below(f"{tag}."))
    for tag in "GD":
        adam: dict[str, dict[str, Tensor]] = {}
        for key, tensor in below(f"adam.{tag}.").items():
            name, _, leaf = key.rpartition(".")
            adam.setdefault(name, {})[leaf] = tensor
        trainer.optimizers[tag].state.clear()
        set_adam(trainer.optimizers[tag], trainer.network(tag), adam)
    trainer.pl_mean = tensors["pl_mean"].to(trainer.pl_mean)
    if trainer.ada is not None and below("ada."):
        trainer.ada.load_state_dict(below("ada."))


def _networks(trainer: Trainer) -> list[tuple[str, nn.Module]]:
    found = (("G", trainer.G), ("D", trainer.D), ("E", trainer.E))
    return [(tag, net) for tag, net in found if net is not None]
