"""A bank of style codes: one z+ (or w+) code an exemplar, by name. Not a network, but loaded and saved like one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from ..errors import InvalidInput, LoadError
from ..latents import Latents, ModelSignature
from .info import ModelInfo
from .shapes import Shapes, shape_of

Role = Literal["extrinsic", "intrinsic"]


@dataclass(frozen=True)
class StyleBankConfig:
    """names[i] belongs to code i; `mapping_hash` and the rest tell the generator the codes were made for."""

    names: tuple[str, ...]
    num_ws: int
    dim: int
    space: Literal["z+", "w+"] = "z+"
    role: Role = "extrinsic"
    """extrinsic: styles; intrinsic: the faces behind the style pictures."""
    mapping_hash: str = ""
    model_family: str = "stylegan2"
    model_resolution: int = 0

    @classmethod
    def from_shapes(cls, shapes: Shapes, facts: Mapping[str, Any]) -> StyleBankConfig:
        """Shape of `codes` and the names among facts -> config. Raises LoadError."""
        count, rows, dim = shape_of(shapes, "codes", 3)
        names = tuple(str(name) for name in facts.get("names", range(count)))
        if len(names) != count:
            raise LoadError(f"The style file names {len(names)} exemplars and holds {count} codes; it is damaged.")
        stored = {k: facts[k] for k in ("space", "role", "mapping_hash", "model_family", "model_resolution") if k in facts}
        return cls(names, rows, dim, **stored)


def style_index(names: Sequence[str], style: int | str) -> int:
    """Number of a style given by number, name in any case, or name without suffix. Raises InvalidInput naming the range."""
    if isinstance(style, str) and not re.fullmatch(r"-?[0-9]{1,9}", style.strip()):
        for like in (str, str.casefold):  # the very name before one in another case
            wanted = like(style.strip())
            for i, name in enumerate(map(like, names)):
                if wanted in (name, name.rsplit(".", 1)[0]):
                    return i
        raise InvalidInput(f'There is no style "{style}" among these {len(names)}, the first being '
                           f'{", ".join(names[:5])}; pick one of the names, or 0 to {len(names) - 1}.')
    number = int(style)
    if not 0 <= number < len(names):
        raise InvalidInput(f"Style {number} was asked of {len(names)} styles; pick one from 0 to {len(names) - 1}.")
    return number


class StyleBank(nn.Module):
    """codes [N, num_ws, dim] in the order of config.names."""

    kind: ClassVar[str] = "style_bank"
    codes: Tensor

    def __init__(self, config: StyleBankConfig, info: ModelInfo | None = None) -> None:
        super().__init__()
        self.config = config
        self.info = info or ModelInfo(family=self.kind)
        self.register_buffer("codes", torch.zeros(len(config.names), config.num_ws, config.dim))

    @classmethod
    def of(cls, latents: Latents, names: Iterable[str], role: Role = "extrinsic") -> StyleBank:
        """Bank of z+ or w+ latents, which keeps the signature of their model. Raises InvalidInput."""
        names = tuple(names)
        if latents.space not in ("z+", "w+") or len(names) != len(latents) or len(set(names)) != len(names):
            raise InvalidInput(f"A style bank takes z+ or w+ codes and one distinct name each; it got {len(latents)} in "
                               f"{latents.space} and {len(set(names))} names.")
        count, rows, dim = latents.tensor.shape
        config = StyleBankConfig(names, rows, dim, latents.space, role)
        if latents.model is not None:
            config = replace(config, mapping_hash=latents.model.mapping_hash, model_family=latents.model.family,
                             model_resolution=latents.model.resolution)
        bank = cls(config)
        bank.codes = latents.tensor.detach().clone()
        return bank

    names = property(lambda self: self.config.names)

    def __len__(self) -> int:
        return len(self.config.names)

    def index(self, style: int | str) -> int:
        """Number of a style; see style_index."""
        return style_index(self.names, style)

    def pick(self, styles: int | str | Iterable[int | str]) -> Latents:
        """Codes of one or more styles, by number or name, as Latents. Raises InvalidInput."""
        chosen = [styles] if isinstance(styles, (int, str)) else list(styles)
        return self.latents().pick([self.index(style) for style in chosen])

    def latents(self) -> Latents:
        """All codes as Latents."""
        c = self.config
        made_for = ModelSignature(c.model_family, c.model_resolution, c.num_ws, c.dim, c.mapping_hash)
        return Latents(self.codes, c.space, made_for if c.mapping_hash else None)
