"""MobileStyleGAN as OpenVINO IR: an .xml graph with its .bin of constants, one pair each for mapping and synthesis.

The graph is read as data: constants by name and order, nothing is interpreted.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from xml.parsers import expat

import torch
from torch import Tensor

from ..errors import LoadError, UnsupportedCheckpoint
from .source import Source
from .tensors import MAX_DIMS, MAX_KEY

MAX_XML_BYTES = 8 << 20
MAX_CONSTANTS = 20_000
MAX_NUMBERS = 200
"""Characters of an attribute: more than the longest shape that is taken."""
CONSTANT = ("shape", "offset", "size")
MAX_SHARING = 4
MAPPING_LR = 0.01
DENSE = re.compile(r"Mul_\d+_copy")


def read_openvino(path: Path) -> dict[str, Tensor]:
    """MappingNetwork.xml / SynthesisNetwork.xml (or their .bin) -> this package's MobileStyleGAN state dict.

    Either file of the pair will do; the other must lie beside it. Raises LoadError.
    """
    folder = path.parent
    pair = {name: folder / f"{name}.xml" for name in ("MappingNetwork", "SynthesisNetwork")}
    missing = [str(f.name) for p in pair.values() for f in (p, p.with_suffix(".bin")) if not f.is_file()]
    if missing:
        raise LoadError(
            f"{path.name} is one of four files of an OpenVINO MobileStyleGAN and {', '.join(missing)} is missing; "
            f"put MappingNetwork and SynthesisNetwork, .xml and .bin each, into one folder."
        )
    state = _mapping(read_constants(pair["MappingNetwork"]))
    return state | _synthesis(read_constants(pair["SynthesisNetwork"]))


def read_constants(xml: Path) -> list[tuple[str, Tensor]]:
    """(name, float32 tensor) of every float constant of an IR graph, in graph order."""
    size = xml.stat().st_size
    if size > MAX_XML_BYTES:
        raise LoadError(f"{xml.name} is larger than any IR graph known here ({MAX_XML_BYTES >> 20} MB).")
    constants = _Graph(xml.name).read(xml.read_bytes()[:MAX_XML_BYTES])
    data = Source.open(xml.with_suffix(".bin"))
    try:
        stamp, found, total = data.stamp(), [], 0
        for name, attributes in constants:
            tensor = _constant(attributes, data, xml.name)
            if (total := total + tensor.nbytes) > MAX_SHARING * len(data):  # equal constants share their place
                raise LoadError(f"The constants of {xml.name} unfold to many times its .bin, as in no IR graph; it isn't read.")
            found.append((name, tensor))
        if data.stamp() != stamp:
            raise LoadError(f"{xml.stem}.bin changed while it was read; wait until it is whole and load it again.")
    finally:
        data.close()
    return found


class _Graph:
    """The constants of an IR graph, told while its XML streams by: no tree is built, no entity is known."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._layer: str | None = None
        self._found: list[tuple[str, dict[str, str]]] = []
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.EntityDeclHandler = self._refuse

    def read(self, text: bytes) -> list[tuple[str, dict[str, str]]]:
        """(name, attributes of its data) of every float constant. Raises LoadError."""
        try:
            self._parser.Parse(text, True)
        except (expat.ExpatError, ValueError, LookupError) as error:
            raise LoadError(f"{self._file} is not an OpenVINO graph: its XML breaks off ({error}).") from error
        return self._found

    def _refuse(self, *_: object) -> None:
        raise LoadError(f"{self._file} defines XML entities, which no IR graph does; it isn't read.")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "layer":
            self._layer = attributes.get("name", "")[:MAX_KEY] if attributes.get("type") == "Const" else None
        elif tag == "data" and self._layer is not None and attributes.get("element_type") == "f32":
            if len(self._found) >= MAX_CONSTANTS:
                raise LoadError(f"{self._file} has more than {MAX_CONSTANTS} constants, as no IR graph; it isn't read.")
            self._found.append((self._layer, {key: attributes.get(key, "")[:MAX_NUMBERS] for key in CONSTANT}))
            self._layer = None


def _constant(attributes: dict[str, str], data: Source, file: str) -> Tensor:
    numbers = [*attributes.get("shape", "x").split(","), attributes.get("offset", "x"), attributes.get("size", "x")]
    numbers = [n.strip() for n in numbers if n.strip()]
    if len(numbers) > MAX_DIMS + 2 or not all(n.isdecimal() and len(n) <= 12 for n in numbers) or "0" in numbers[:-2]:
        raise LoadError(f"{file} has a constant without shape, offset or size; download the package again.")
    *shape, offset, size = map(int, numbers)
    if 4 * math.prod(shape) != size or offset + size > len(data):
        raise LoadError(f"{file} points {offset + size} bytes into a .bin of {len(data)}; the pair is truncated or mixed up.")
    return data.span(offset, size).tensor(torch.float32).reshape(shape)


def _mapping(constants: list[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """Plain layers lrelu(W x + b) * sqrt(2) -> the equalized form (weights divided by their run-time gain)."""
    weights = [t for _, t in constants if t.ndim == 2 and t.numel() > 1]
    biases = [t for _, t in constants if t.ndim == 1 and t.numel() > 1]
    if not weights or len(weights) != len(biases):
        raise UnsupportedCheckpoint(
            f"MappingNetwork.xml has {len(weights)} matrices and {len(biases)} biases; expected as many of each."
        )
    state = {}
    for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
        state[f"mapping.fc{i}.weight"] = w * (math.sqrt(w.shape[1]) / MAPPING_LR)
        state[f"mapping.fc{i}.bias"] = b / MAPPING_LR
    return state


def _synthesis(constants: list[tuple[str, Tensor]]) -> dict[str, Tensor]:
    named = dict(constants)
    dense = [t for name, t in constants if DENSE.fullmatch(name)]
    noise = [t for _, t in constants if t.ndim == 4 and t.shape[:2] == (1, 1) and t.shape[2] == t.shape[3] >= 4]
    blocks = sum(bool(re.fullmatch(r"m\.layers\.\d+\.up\.modulation\.weight", name)) for name in named)
    convs = [("b4.conv1", "m.conv1")]
    convs += [(f"b{8 << k}.{c}", f"m.layers.{k}.{c}") for k in range(blocks) for c in ("conv1", "conv2")]
    if not blocks or not len(dense) == len(noise) == len(convs):
        raise UnsupportedCheckpoint(
            f"SynthesisNetwork.xml has {blocks} blocks, {len(dense)} dense kernels and {len(noise)} noise maps; "
            f"a MobileStyleGAN has one kernel and one map for each of its convolutions."
        )
    state = {}
    try:
        state["synthesis.const"] = named["m.input.input"][0]
        for (ours, theirs), weight, map_ in zip(convs, dense, noise, strict=True):
            state |= _affine(f"synthesis.{ours}", named, f"{theirs}.conv")
            if f"{theirs}.conv.weight_dw" in named:
                state[f"synthesis.{ours}.depthwise"] = named[f"{theirs}.conv.weight_dw"][:, 0]
            state[f"synthesis.{ours}.weight"] = weight
            state[f"synthesis.{ours}.bias"] = named[f"{theirs}.bias"].flatten()
            state[f"synthesis.{ours}.noise_const"] = map_[0, 0]
        for k in range(blocks):
            state |= _affine(f"synthesis.b{8 << k}.up", named, f"m.layers.{k}.up")
        head = f"m.layers.{blocks - 1}.to_img"
        state |= _affine("synthesis.head", named, f"{head}.conv")
        state["synthesis.head.weight"] = named[f"{head}.conv.weight"]
        state["synthesis.head.bias"] = named[f"{head}.bias"].flatten()
    except KeyError as error:
        raise UnsupportedCheckpoint(
            f"SynthesisNetwork.xml lacks the constant {error}; expected MobileStyleGAN as random_face 2021.7.21.1 "
            "carries it."
        ) from error
    return state


def _affine(ours: str, named: dict[str, Tensor], theirs: str) -> dict[str, Tensor]:
    return {f"{ours}.affine.weight": named[f"{theirs}.modulation.weight"],
            f"{ours}.affine.bias": named[f"{theirs}.modulation.bias"].flatten()}
