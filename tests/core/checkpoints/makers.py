"""Files in other people's formats, made from models at hand: what the readers must understand."""

from __future__ import annotations

import collections
import pickle
import sys
import types
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stylegan_core.checkpoints.pickle_names import Record
from stylegan_core.checkpoints.tensors import LazyTensor


def fill_rule(manifest: dict, buffers: Any = None) -> dict[str, Tensor]:
    """A full-size network by rule: float64 normals from PCG64 seeded with the key's CRC-32."""
    found = {}
    for t in manifest["tensors"]:
        if t["rule"] == "normal":
            rng = np.random.Generator(np.random.PCG64(zlib.crc32(t["key"].encode())))
            array = rng.standard_normal(t["shape"]) * t["mul"] + t["add"]
        else:
            array = np.reshape(t["value"] if t["rule"] == "value" else buffers[f"buf:{t['key']}"], t["shape"])
        found[t["key"]] = torch.from_numpy(np.asarray(array, dtype=np.float32))
    return found


class foreign_modules:  # noqa: N801
    """Classes importable under other programs' names while files are written."""

    def __init__(self, **classes: type) -> None:
        self.names = {name.replace("__", "."): cls for name, cls in classes.items()}

    def __enter__(self) -> None:
        self.added = []
        for dotted, cls in self.names.items():
            parts = dotted.split(".")[:-1]
            for i in range(len(parts)):
                module = ".".join(parts[: i + 1])
                if module not in sys.modules:
                    sys.modules[module] = types.ModuleType(module)
                    self.added.append(module)
            cls.__module__, cls.__qualname__ = ".".join(parts), dotted.split(".")[-1]
            setattr(sys.modules[".".join(parts)], cls.__qualname__, cls)

    def __exit__(self, *_: object) -> None:
        for module in self.added:
            del sys.modules[module]


def tensorflow_pickle(path: Path, own: dict[str, Any], static: dict[str, Any], protocol: int = 4,
                      judge: dict[str, Any] | None = None) -> Path:
    """(G, D, Gs) with all of `own` ("synthesis/4x4/Conv/weight": array ...) in Gs and of `judge` in D."""
    network = type("Network", (), {})
    with foreign_modules(dnnlib__tflib__network__Network=network):
        def make(name: str, variables: dict[str, Any], components: dict[str, Any]) -> Any:
            found = network()
            found.__dict__.update(version=4, name=name, static_kwargs=static, components=components, build_module_src="1/0",
                                  build_func_name="G_main", variables=list(variables.items()))
            return found

        parts = {p: {k[len(p) + 1 :]: v for k, v in own.items() if k.startswith(p + "/")} for p in ("mapping", "synthesis")}
        top = {k: v for k, v in own.items() if "/" not in k}
        gs = make("Gs", top, {p: make(f"G_{p}", v, {}) for p, v in parts.items()})
        path.write_bytes(pickle.dumps((make("G", {}, {}), make("D", judge or {}, {}), gs), protocol=protocol))
    return path


def to_tensorflow(state: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """A canonical StyleGAN2 state dict as TensorFlow variables: the inverse of the key map, written independently."""
    out: dict[str, np.ndarray] = {"lod": np.float32(0)}
    for key, tensor in state.items():
        a, parts = tensor.numpy(), key.split(".")
        if key == "mapping.w_avg":
            out["dlatent_avg"] = a
        elif parts[0] == "mapping":
            name = "LabelEmbed" if parts[1] == "embed" else f"Dense{parts[1][2:]}"
            out[f"mapping/{name}/{parts[2]}"] = a.T.copy() if parts[2] == "weight" else a
        else:
            r = int(parts[1][1:])
            out.update(_tensorflow_synthesis(r, parts[2], parts[3:], a))
    return out


def _tensorflow_synthesis(r: int, layer: str, leaf: list[str], a: np.ndarray) -> dict[str, np.ndarray]:
    if layer == "const":
        return {"synthesis/4x4/Const/const": a[None]}
    if leaf == ["noise_const"]:
        index = 2 * int(np.log2(r)) - (5 if layer == "conv0" else 4)
        return {f"synthesis/noise{index}": a[None, None]}
    theirs = {"conv0": "Conv0_up", "conv1": "Conv" if r == 4 else "Conv1", "torgb": "ToRGB", "skip": "Skip"}[layer]
    scope = f"synthesis/{r}x{r}/{theirs}"
    if leaf == ["weight"]:
        a = a[..., ::-1, ::-1] if layer in ("conv0", "skip") else a
        return {f"{scope}/weight": np.ascontiguousarray(a.transpose(2, 3, 1, 0))}
    if leaf[0] == "affine":
        return {f"{scope}/mod_{leaf[1]}": a.T.copy() if leaf[1] == "weight" else a - 1}
    return {f"{scope}/{leaf[0]}": a if a.ndim else np.float32(a)}


def discriminator_to_tensorflow(state: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """A canonical discriminator's state dict as TensorFlow variables, written apart from the reader."""
    names = {"fromrgb": "FromRGB", "conv0": "Conv0", "conv1": "Conv1_down", "skip": "Skip", "conv": "Conv", "fc": "Dense0"}
    out = {}
    for key, tensor in state.items():
        block, layer, leaf = key.split(".")
        r, a = int(block[1:]), tensor.detach().numpy()
        a = np.ascontiguousarray(a.transpose(2, 3, 1, 0) if a.ndim == 4 else a.T)
        out[f"Output/{leaf}" if layer == "out" else f"{r}x{r}/{names[layer]}/{leaf}"] = a
    return out


def to_rosinality(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A canonical StyleGAN2 state dict under rosinality's names, written apart from the reader."""
    out: dict[str, Tensor] = {}
    for key, tensor in state.items():
        parts = key.split(".")
        if parts[0] == "mapping":
            if parts[1] != "w_avg":
                out[f"style.{int(parts[1][2:]) + 1}.{parts[2]}"] = tensor
            continue
        k, layer, leaf = int(parts[1][1:]).bit_length() - 3, parts[2], ".".join(parts[3:])
        if layer == "const":
            out["input.input"] = tensor[None]
            continue
        if layer == "torgb":
            theirs = "to_rgb1" if k == 0 else f"to_rgbs.{k - 1}"
            leaves = {"weight": ("conv.weight", tensor[None]), "bias": ("bias", tensor[None, :, None, None])}
        else:
            index = 2 * k - 2 + int(layer == "conv1")
            theirs = "conv1" if k == 0 else f"convs.{index}"
            leaves = {"weight": ("conv.weight", tensor[None]), "bias": ("activate.bias", tensor),
                      "noise_strength": ("noise.weight", tensor[None])}
            if leaf == "noise_const":
                out[f"noises.noise_{index + 1}"] = tensor[None, None]
                continue
        name, value = leaves.get(leaf) or (f"conv.modulation.{parts[4]}", tensor)
        out[f"{theirs}.{name}"] = value
    return out


def revive(record: Record, cls: type) -> Any:
    """NVIDIA's persistent object, from what the reader made of one, ready to be pickled again."""
    def value(x: Any) -> Any:
        if isinstance(x, LazyTensor):
            return torch.nn.Parameter(x.read().clone())
        if isinstance(x, Record):
            return revive(x, cls)
        return collections.OrderedDict((k, value(v)) for k, v in x.items()) if isinstance(x, dict) else x

    return cls({"type": "class", "version": 6, "module_src": "1/0", "class_name": record.name, "state": value(record.state)})


def persistent_class() -> tuple[type, Any]:
    """(class whose objects pickle as torch_utils.persistence objects, the function their pickles name)."""
    def _reconstruct_persistent_obj(meta: dict) -> None:
        raise AssertionError("a pickle was executed")

    class Persistent:
        def __init__(self, meta: dict) -> None:
            self.meta = meta

        def __reduce__(self) -> tuple:
            return _reconstruct_persistent_obj, (self.meta,)

    return Persistent, _reconstruct_persistent_obj


IR_LAYER = ('<layer id="{i}" name="{name}" type="Const"><data element_type="f32" shape="{shape}" offset="{at}" size="{size}"/>'
            "</layer>")


def openvino_pair(folder: Path, name: str, constants: list[tuple[str, Tensor]]) -> Path:
    """name.xml and name.bin with these constants."""
    at, layers, blob = 0, [], b""
    for i, (key, tensor) in enumerate(constants):
        raw = tensor.float().contiguous().numpy().tobytes()
        shape = ",".join(map(str, tensor.shape))
        layers.append(IR_LAYER.format(i=i, name=key, shape=shape, at=at, size=len(raw)))
        at, blob = at + len(raw), blob + raw
    (folder / f"{name}.xml").write_text(f'<?xml version="1.0"?><net version="10"><layers>{"".join(layers)}</layers></net>')
    (folder / f"{name}.bin").write_bytes(blob)
    return folder / f"{name}.xml"


def openvino_mobilestylegan(folder: Path, state: dict[str, Tensor]) -> Path:
    """The four files of a MobileStyleGAN in OpenVINO's form, from a canonical state dict."""
    mapping, i = [], 0
    while f"mapping.fc{i}.weight" in state:
        w, b = state[f"mapping.fc{i}.weight"], state[f"mapping.fc{i}.bias"]
        mapping += [(f"w{i}", w * (0.01 / w.shape[1] ** 0.5)), (f"b{i}", (b * 0.01)[None])]
        i += 1
    mapping = [(k, t if k[0] == "w" else t[0]) for k, t in mapping]
    openvino_pair(folder, "MappingNetwork", mapping)
    return openvino_pair(folder, "SynthesisNetwork", list(_openvino_synthesis(state)))


def _openvino_synthesis(state: dict[str, Tensor]):
    yield "m.input.input", state["synthesis.const"][None]
    blocks = sum(key.endswith(".up.affine.weight") for key in state)
    convs = [("b4.conv1", "m.conv1")]
    convs += [(f"b{8 << k}.{c}", f"m.layers.{k}.{c}") for k in range(blocks) for c in ("conv1", "conv2")]
    for n, (ours, theirs) in enumerate(convs):
        ours = f"synthesis.{ours}"
        yield f"{theirs}.conv.modulation.weight", state[f"{ours}.affine.weight"]
        yield f"{theirs}.conv.modulation.bias", state[f"{ours}.affine.bias"][None]
        if f"{ours}.depthwise" in state:
            yield f"{theirs}.conv.weight_dw", state[f"{ours}.depthwise"][:, None]
        yield f"Mul_{n}_copy", state[f"{ours}.weight"]
        yield f"{theirs}.bias", state[f"{ours}.bias"][None, :, None, None]
        yield f"noise{n}", state[f"{ours}.noise_const"][None, None]
    for k in range(blocks):
        yield f"m.layers.{k}.up.modulation.weight", state[f"synthesis.b{8 << k}.up.affine.weight"]
        yield f"m.layers.{k}.up.modulation.bias", state[f"synthesis.b{8 << k}.up.affine.bias"][None]
    head = f"m.layers.{blocks - 1}.to_img"
    yield f"{head}.conv.modulation.weight", state["synthesis.head.affine.weight"]
    yield f"{head}.conv.modulation.bias", state["synthesis.head.affine.bias"][None]
    yield f"{head}.conv.weight", state["synthesis.head.weight"]
    yield f"{head}.bias", state["synthesis.head.bias"][None, :, None, None]
