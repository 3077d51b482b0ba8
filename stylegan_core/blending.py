"""Resolution-dependent interpolation of related generators (Pinkney & Adler 2020, 2010.05334).

    p(r) = (1 - a(r)) p_base(r) + a(r) p_other(r)

A layer is everything under one StyledLayer's name. Noise maps stay the base's, and so does the mapping unless
asked. Where a is 0 or 1 the result uses the parent's memory; parents are never written to. So train a blend only
through runtime.trainable, which copies.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import PurePath
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from .errors import BlendMismatch, InvalidInput
from .networks.generators.base import Generator, StyledLayer
from .networks.info import ModelInfo, joined_licences
from .runtime import alias, rebuild

Mode = Literal["swap", "smooth", "linear"]
Side = Literal["base", "other"]
Convention = Literal["paper", "pinkney"]
Curve = Mapping[int, float]
"""Resolution in px -> weight of the other model, 0..1 (beyond: extrapolates); linear in log2 px, flat at the ends."""
Strength = float | tuple[float, float]
"""How far to go to the other model: 0 the base, 1 the other, beyond 1 exaggerates. A pair: up to 32 px and above."""
STRUCTURE_PX = 32
"""Up to here layers make shapes, above they draw them."""
MOST_STRENGTH = 3.0
FAR = 100
"""Weights beyond give no picture of numbers."""
STORED = 2.0**-8
"""Relative difference that storing in 16 bits makes (bfloat16)."""
RELATED = 0.5
"""Cosine of two mappings' weights above which one was trained from the other; strangers' is near 0."""
LayerWeight = Callable[[StyledLayer], float]
G = TypeVar("G", bound=Generator)

_RAMPS: dict[str, Callable[[float, float], float]] = {
    "smooth": lambda x, width: 0.5 + 0.5 * math.tanh(0.5 * x / width),  # 1 / (1 + exp(-x / width)), without overflow
    "linear": lambda x, width: min(max(0.5 + x / width, 0.0), 1.0),
}


@dataclass(frozen=True)
class _Rule:
    """A convention: where a layer lies, and how far above the switch's position the other side begins."""

    position: Callable[[StyledLayer], float | None]
    switch: Callable[[float], float]
    """Position of a resolution in px."""
    hard: float
    """Hard swap: the fine side is position - switch > hard."""
    centre: float
    """Smooth and linear: the ramp is at one half where position - switch = centre."""


def _octave(layer: StyledLayer) -> float:
    return math.log2(layer.resolution)


def _script_position(layer: StyledLayer) -> float | None:
    """Two positions an octave; the 4 px convolution has none, as the published script's name match misses it."""
    if layer.resolution == 4 and layer.kind == "conv":
        return None
    if layer.kind == "const":
        return 0.0
    return 2 * (_octave(layer) - 2) + (layer.kind != "up")


_RULES: dict[str, _Rule] = {
    # the paper has no ramp; centred half an octave up, it tends to the inclusive hard switch as its width shrinks
    "paper": _Rule(_octave, math.log2, hard=0.0, centre=0.5),
    # rounded, so that resolution * sqrt(2) is level 1 exactly
    "pinkney": _Rule(_script_position, lambda px: round(2 * (math.log2(px) - 2), 9), hard=1.0, centre=0.0),
}


def layer_weight(resolution: float = 32, mode: Mode = "swap", width: float | None = None, coarse: Side = "other",
                 convention: Convention = "paper", curve: Curve | None = None) -> LayerWeight:
    """The function StyledLayer -> weight of the other model; arguments as in blend. Raises InvalidInput."""
    if curve is not None:
        return curve_weight(curve)
    if mode not in ("swap", *_RAMPS) or coarse not in ("base", "other") or convention not in _RULES:
        raise InvalidInput(f'Blend got mode "{mode}", coarse "{coarse}", convention "{convention}"; '
                           f"use swap, smooth or linear; base or other; paper or pinkney.")
    width = 1.0 if width is None else width
    if not (_is_number(resolution) and resolution >= 1 and _is_number(width) and width > 0):
        raise InvalidInput(f"Blend got resolution {resolution}, width {width}; use at least 1 px and a width above 0.")
    rule = _RULES[convention]

    def weight(layer: StyledLayer) -> float:
        position = rule.position(layer)
        x = -math.inf if position is None else position - rule.switch(resolution)
        fine = float(x > rule.hard) if mode == "swap" else _RAMPS[mode](x - rule.centre, width)
        return fine if coarse == "base" else 1.0 - fine

    return weight


def strengthened(weight: LayerWeight, strength: Strength) -> LayerWeight:
    """weight times strength, layer by layer; of a pair the part above 32 px counts as 1 at most, since finer layers break
    beyond. Raises InvalidInput."""
    coarse, fine = pair_of(strength)

    def strong(layer: StyledLayer) -> float:
        return weight(layer) * (coarse if layer.resolution <= STRUCTURE_PX else fine)

    return strong


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)


def pair_of(strength: Strength) -> tuple[float, float]:
    """(up to 32 px, above) of a strength. Raises InvalidInput."""
    pair = isinstance(strength, (tuple, list))
    values = tuple(strength) if isinstance(strength, (tuple, list)) else (strength, strength)
    if len(values) != 2 or not all(_is_number(v) and 0 <= v <= FAR for v in values):
        raise InvalidInput(f"Blend got the strength {strength}; use a number from 0 (the base) over 1 (the other model) to 3, "
                           f"or two: up to {STRUCTURE_PX} px, and above.")
    return float(values[0]), min(float(values[1]), 1.0) if pair else float(values[1])


def strength_note(strength: Strength) -> str:
    """A sentence on a strength beyond what faces bear; else empty."""
    most = max(pair_of(strength))
    return "" if most <= MOST_STRENGTH else f"Strength {most:g} is above {MOST_STRENGTH:g}: expect broken faces."


def curve_weight(curve: Curve) -> LayerWeight:
    """A free curve; between its resolutions linear in log2 px, constant beyond its ends. Raises InvalidInput."""
    given = list(curve.items()) if isinstance(curve, Mapping) else []
    if not given or not all(_is_number(r) and r > 0 and _is_number(a) and abs(a) <= FAR for r, a in given):
        raise InvalidInput(f"Blend got the curve {curve}; give resolutions above 0, each with a weight from -{FAR} to {FAR}.")
    points = sorted((math.log2(r), float(a)) for r, a in given)

    def weight(layer: StyledLayer) -> float:
        x = _octave(layer)
        if x <= points[0][0]:
            return points[0][1]
        for (x0, a0), (x1, a1) in zip(points, points[1:], strict=False):
            if x <= x1:
                return a0 + (a1 - a0) * (x - x0) / (x1 - x0)
        return points[-1][1]

    return weight


def blend(base: G, other: Generator, resolution: float = 32, mode: Mode = "swap", width: float | None = None,
          coarse: Side = "other", mapping: Side = "base", convention: Convention = "paper",
          curve: Curve | None = None, strength: Strength = 1.0) -> G:
    """A generator between base and other, with base's class, config, resolution and noise maps.

    resolution: where the models change over, in px. mode: "swap" (hard), "smooth" (logistic), "linear" (ramp).
    width: of the change, default 1; the logistic's scale or the linear ramp's whole length; in octaves, under "pinkney"
    in layer positions (two an octave).
    coarse: which model gives the layers up to `resolution`, that one included (paper).
    mapping: whose mapping network and truncation centre.
    convention "pinkney": the switch as in the published script, level 0 at `resolution`, level 1 at
    `resolution` * sqrt(2); the 4 px convolution always belongs to the coarse side.
    curve: {resolution: weight of other}; takes the place of resolution, mode, width, coarse and convention.
    strength: times other's weight in every layer, base + a * (other - base): 0 is the base (but for a mapping of other's),
    1 the plain blend, beyond 1 exaggerates. A pair scales structure (up to 32 px) and rendering (above, 1 at most) apart.
    Models of different resolution blend where both have layers. Raises BlendMismatch or InvalidInput.
    """
    return Blender(base, other).blend(resolution, mode, width, coarse, mapping, convention, curve, strength)


def blend_many(base: G, others: Sequence[tuple[Generator, Curve]], mapping: int = 0) -> G:
    """base's weight is 1 - the sum of the others' curves. mapping: 0 for base's, i for that of others[i - 1]."""
    return Blender(base, *(model for model, _ in others)).blend_curves([curve for _, curve in others], mapping)


class Blender:
    """Blends of the same parents, one after another: a layer is recomputed only when its weights change.

    Keeps one result a layer (at most one model's memory more than the parents).
    """

    def __init__(self, base: Generator, *others: Generator) -> None:
        if strange := [type(model).__name__ for model in (base, *others) if not isinstance(model, Generator)]:
            raise BlendMismatch(f"A {strange[0]} can't be blended; give generators, a model and one fine-tuned from it.")
        self.parents = (base, *others)
        self._shared = [_shared_layers(base, other) for other in others]
        self._tensors = [dict(_tensors(model)) for model in self.parents]
        self._done: dict[str, tuple[tuple[float, ...], dict[str, Tensor]]] = {}

    def blend(self, resolution: float = 32, mode: Mode = "swap", width: float | None = None, coarse: Side = "other",
              mapping: Side = "base", convention: Convention = "paper", curve: Curve | None = None,
              strength: Strength = 1.0) -> Any:
        """As the function blend; needs exactly one other model."""
        if len(self.parents) != 2 or mapping not in ("base", "other"):
            raise InvalidInput(f'Blend got {len(self.parents)} models, mapping "{mapping}"; '
                               f'give two, and "base" or "other".')
        weight = strengthened(layer_weight(resolution, mode, width, coarse, convention, curve), strength)
        how = {"curve": dict(curve)} if curve is not None else {
            "resolution": resolution, "mode": mode, "width": width, "coarse": coarse, "convention": convention}
        how |= {} if strength == 1 else {"strength": strength, "note": strength_note(strength)}
        return self._build([weight], int(mapping == "other"), {**how, "mapping": mapping})

    def blend_curves(self, curves: Sequence[Curve], mapping: int = 0) -> Any:
        """One curve for each other model; see blend_many."""
        if len(curves) != len(self.parents) - 1 or not 0 <= mapping < len(self.parents):
            last = len(self.parents) - 1
            raise InvalidInput(f"Blend got {len(curves)} curves, mapping {mapping}; give {last} and 0 to {last}.")
        how = {"curves": [dict(curve) for curve in curves], "mapping": mapping}
        return self._build([curve_weight(curve) for curve in curves], mapping, how)

    def _build(self, weights: list[LayerWeight], mapping: int, how: dict[str, Any]) -> Any:
        base = self.parents[0]
        chosen: dict[str, Tensor] = {}
        curves: list[dict[str, float]] = [{} for _ in self.parents]
        for layer in base.layers:
            others = [w(layer) if layer in shared else 0.0 for w, shared in zip(weights, self._shared, strict=True)]
            shares = (1.0 - math.fsum(others), *others)
            chosen.update(self._layer(layer, shares))
            for curve, share in zip(curves, shares, strict=True):
                curve[layer.name] = share
        if mapping:
            chosen.update(self._mapping(mapping))
        chosen["mapping.w_avg"] = self.parents[mapping].mapping.w_avg  # its memory: whoever asks first fills it in for all
        child = rebuild(base, lambda name, tensor: alias(chosen.get(name, tensor), tensor))
        child.info = _lineage(self.parents, curves, how)
        if warnings := relation_notes(self.parents, mapping):
            child.info.notes["warning"] = " ".join(warnings)
        return child

    def _layer(self, layer: StyledLayer, shares: tuple[float, ...]) -> dict[str, Tensor]:
        """The layer's tensors by their full names; those of the last call when the shares are the same."""
        if layer.name not in self._done or self._done[layer.name][0] != shares:
            names = _under(layer, self._tensors[0])
            mixed = {name: _mix([tensors.get(name) for tensors in self._tensors], shares) for name in names}
            self._done[layer.name] = (shares, mixed)
        return self._done[layer.name][1]

    def _mapping(self, index: int) -> dict[str, Tensor]:
        mine, theirs = ({n: t for n, t in tensors.items() if n.startswith("mapping.")}
                        for tensors in (self._tensors[0], self._tensors[index]))
        _same_shapes("mapping", mine, theirs)
        return {name: theirs[name] for name in mine}


def _tensors(model: Generator) -> list[tuple[str, Tensor]]:
    """All that may come from another model: not the noise maps, nor the truncation centre, which go with the base."""
    found = (*model.named_parameters(), *model.named_buffers())
    return [(name, t) for name, t in found if not name.endswith(("noise_const", "w_avg"))]


def _under(layer: StyledLayer, names: Mapping[str, Tensor]) -> list[str]:
    prefix = f"synthesis.{layer.name}"
    return [name for name in names if name == prefix or name.startswith(prefix + ".")]


def _shared_layers(base: Generator, other: Generator) -> frozenset[StyledLayer]:
    """base's layers that other has too, their shapes checked. Raises BlendMismatch."""
    for what, a, b in (("kind", base.kind, other.kind),
                       ("activation", *(getattr(model.config, "activation", None) for model in (base, other))),
                       ("number of mapping layers", *(model.mapping.num_layers for model in (base, other)))):
        if a != b:
            raise BlendMismatch(f"The models' {what} is {a} and {b}; only models of one family blend, "
                                f"so take a model and one fine-tuned from it.")
    mine, theirs = _comparable(base, other), _comparable(other, base)
    if mine != theirs:
        odd = sorted(name for name, _, _ in mine ^ theirs)
        raise BlendMismatch(f"The models differ in the layers {', '.join(odd[:3])}; blending needs one architecture "
                            f"up to the common resolution, so take a model and one fine-tuned from it.")
    places = {(layer.name, layer.resolution) for layer in other.layers}
    shared = [layer for layer in base.layers if (layer.name, layer.resolution) in places]
    a, b = dict(_tensors(base)), dict(_tensors(other))
    for layer in shared:
        _same_shapes(f"layer {layer.name}", {n: a[n] for n in _under(layer, a)}, {n: b[n] for n in _under(layer, b)})
    return frozenset(shared)


def _comparable(model: Generator, partner: Generator) -> set[tuple[str, int, str]]:
    """The layers that partner must have as well: all at equal resolution, else the common ones but for image heads."""
    equal = model.img_resolution == partner.img_resolution
    common = min(max(x.resolution for x in m.layers if x.kind != "rgb") for m in (model, partner))
    return {(layer.name, layer.resolution, layer.kind) for layer in model.layers
            if equal or (layer.resolution <= common and layer.kind != "rgb")}


def _same_shapes(where: str, mine: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> None:
    for name in sorted(mine.keys() | theirs.keys()):
        a, b = (list(side[name].shape) if name in side else "nothing" for side in (mine, theirs))
        if a != b:
            raise BlendMismatch(f"The models differ at {where}: {name} is {a} in the base and {b} in the other; "
                                f"blending needs equal widths, so take a model and one fine-tuned from it.")


def _mix(tensors: Sequence[Tensor | None], shares: Sequence[float]) -> Tensor:
    """sum of share * tensor on the base's device; the tensor itself where one share is 1 and the rest 0."""
    parts = [(t, a) for t, a in zip(tensors, shares, strict=True) if t is not None and a != 0]
    first = tensors[0]
    assert first is not None
    if len(parts) == 1:  # its share is 1
        return parts[0][0].to(first.device, first.dtype)
    with torch.inference_mode(False), torch.no_grad():
        total = torch.zeros_like(first, dtype=torch.promote_types(first.dtype, torch.float32))
        for tensor, share in parts:
            total.add_(tensor.to(total), alpha=share)
        return total.to(first.dtype)


def relation_notes(parents: Sequence[Generator], mapping: int = 0) -> tuple[str, ...]:
    """Sentences on parents whose mapping is not the one the blend uses: their layers were trained for other codes."""
    notes, ours = [], _mapping_tensors(parents[mapping])
    for model in parents:
        theirs = _mapping_tensors(model)
        who = PurePath(model.info.source).name or "one of the models"
        if model is parents[mapping] or _same(ours, theirs):
            continue
        if _alike(ours, theirs) > RELATED:
            notes.append(f"The mapping of {who} was trained on a little; faces shift somewhat where its layers are used.")
        else:
            notes.append(f"The mapping of {who} has nothing in common with the one used, as far as its weights tell: the "
                         f"models are strangers, and the blend will hardly draw faces; take a model and one fine-tuned from "
                         f"it.")
    return tuple(dict.fromkeys(notes))


def _mapping_tensors(model: Generator) -> dict[str, Tensor]:
    return {n: t for n, t in _tensors(model) if n.startswith("mapping.")}


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: t.shape for name, t in tensors.items()}


def _same(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> bool:
    """Equal but for what storing in 16 bits changes, or without values to compare."""
    if _shapes(ours) != _shapes(theirs):
        return False
    return all(t.is_meta or t.data_ptr() == ours[n].data_ptr() or _equal(ours[n].float(), t.to(ours[n].device).float())
               for n, t in theirs.items())


def _equal(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=STORED, atol=1e-7)


@torch.no_grad()
def _alike(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> float:
    """The least cosine of two mappings' matrices; 0 where they are built differently."""
    if _shapes(ours) != _shapes(theirs):
        return 0.0
    pairs = [(ours[n].flatten().float(), t.to(ours[n]).flatten().float()) for n, t in theirs.items() if t.ndim > 1]
    return min((float(torch.nn.functional.cosine_similarity(a, b, dim=0)) for a, b in pairs), default=1.0)


def _lineage(parents: Sequence[Generator], curves: Sequence[dict[str, float]], how: dict[str, Any]) -> ModelInfo:
    """info of a blend: each parent's name, sha256, licence and share by layer; licences joined."""
    listed = tuple(
        {"name": PurePath(p.info.source).name or p.kind, "sha256": p.info.file_sha256, "licence": p.info.licence,
         "curve": curve, **({"parents": list(p.info.parents)} if p.info.parents else {})}
        for p, curve in zip(parents, curves, strict=True)
    )
    licence = joined_licences(p.info.licence for p in parents)
    return ModelInfo(family=parents[0].info.family, parents=listed, licence=licence, notes={"blend": how})
