"""Which names a checkpoint may speak of, and the inert thing each becomes. Exact (module, name) pairs; data, no code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from ..errors import LoadError, UnsafeCheckpoint
from .pickle_codes import Name, checked_key
from .tensors import ArrayStub, DtypeStub, LazyTensor, Storage


@dataclass
class Record:
    """An object of a class that is never built: its name, its arguments and its state."""

    module: str
    name: str
    args: tuple[Any, ...] = ()
    state: dict[str, Any] = field(default_factory=dict)

    def build(self, state: Any) -> None:
        """Keep attributes; (None, slots) pairs and other forms carry nothing this package reads."""
        if isinstance(state, tuple) and len(state) == 2 and isinstance(state[0], dict):
            state = state[0]
        if isinstance(state, dict):
            self.state.update({k: v for k, v in state.items() if isinstance(k, str)})


def _record(module: str, name: str) -> Name:
    return Name(module, name, lambda *args: Record(module, name, args))


def _dict(*args: Any) -> dict[Any, Any]:
    """OrderedDict(), OrderedDict([[k, v], ...]) as old files have it, EasyDict()."""
    if not args:
        return {}
    pairs = args[0].items() if isinstance(args[0], dict) else args[0]
    found = {}
    for key, value in pairs:
        if not isinstance(key, (str, int)):
            raise LoadError(
                "An ordered dict in the file has a key that is neither text nor number; the file is damaged."
            )
        found[key] = value
    return found


def _set(items: Any = ()) -> set[Any]:
    return set(map(checked_key, items)) if isinstance(items, (list, tuple, set)) else set()


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> LazyTensor:
    if not (isinstance(storage, Storage) and isinstance(size, tuple) and isinstance(stride, tuple)):
        raise LoadError("A tensor in the file has no storage or no size; the file is damaged.")
    return storage.view(offset, size, stride)


def _parameter(data: Any, *_: Any) -> LazyTensor:
    if not isinstance(data, LazyTensor):
        raise LoadError("A parameter in the file holds no tensor; the file is damaged.")
    return data


def _array(_subtype: Any, shape: Any, *_: Any) -> ArrayStub:
    if shape != (0,):
        raise LoadError(
            "An array in the file asks for memory before its data, which no writer does; the file is damaged."
        )
    return ArrayStub()


def _array_from_buffer(data: Any, dtype: Any, shape: Any, order: Any = "C") -> ArrayStub:
    """Protocol 5's form of an array."""
    stub = ArrayStub()
    stub.build((1, shape, dtype, order == "F", data))
    return stub


def _scalar(dtype: Any, data: Any = None) -> Any:
    kind = dtype.checked() if isinstance(dtype, DtypeStub) else None
    raw = data.encode("latin1") if isinstance(data, str) else data
    if kind is None or not isinstance(raw, (bytes, memoryview)) or len(raw) != kind.itemsize:
        raise LoadError("A number in the file has an unknown form; the file is damaged.")
    return torch.frombuffer(bytearray(raw), dtype=kind)[0].item()


def _bytes(text: Any = "", encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise LoadError("The file encodes text in a way no checkpoint does; it is damaged.")
    return text.encode("latin1")


def _persistent(meta: Any) -> Record:
    """NVIDIA's persistent classes: the class name and the state; the source text that comes along is dropped unread."""
    if not (isinstance(meta, dict) and isinstance(meta.get("class_name"), str) and isinstance(meta.get("state"), dict)):
        raise LoadError("A persistent object in the file has no class name or no state; the file is damaged.")
    return Record("persistent", meta["class_name"], (), meta["state"])


def _path(*parts: Any) -> str:
    return "/".join(part for part in parts if isinstance(part, str))[:MAX_PATH]


def _reconstructor(cls: Any, *_: Any) -> Any:
    if not (isinstance(cls, Name) and cls.make):
        raise LoadError("The file rebuilds an object without a class; it is damaged.")
    return cls.make()


def _nested_storage(raw: Any) -> Storage:
    from .torch_files import read_storage  # the two readers need each other

    if not isinstance(raw, (bytes, memoryview)):
        raise LoadError("A tensor's data has an unknown form; the file is damaged.")
    return read_storage(memoryview(raw))


STORAGE_DTYPES = {
    "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
}
STORAGE_NAMES = {("torch", name): Name("torch", name) for name in STORAGE_DTYPES}
STORAGE_NAMES |= {("torch.cuda", name): Name("torch.cuda", name) for name in STORAGE_DTYPES}


def _calls(modules: str, name: str, make: Callable[..., Any]) -> dict[tuple[str, str], Name]:
    return {(module, name): Name(module, name, make) for module in modules.split()}


MAX_PATH = 1024
NUMPY = "numpy.core.multiarray numpy._core.multiarray"
NAMES: dict[tuple[str, str], Name] = {
    **STORAGE_NAMES,
    **_calls("collections", "OrderedDict", _dict),
    **_calls("dnnlib dnnlib.util", "EasyDict", _dict),
    **_calls("builtins __builtin__", "set", _set),
    **_calls("builtins __builtin__", "frozenset", _set),
    **_calls("builtins __builtin__", "object", lambda: Record("builtins", "object")),
    **_calls("argparse", "Namespace", lambda *_: Record("argparse", "Namespace")),
    **_calls("types", "SimpleNamespace", lambda *_: Record("types", "SimpleNamespace")),
    **_calls("pathlib", "PosixPath", _path),
    **_calls("pathlib", "WindowsPath", _path),
    **_calls("copy_reg copyreg", "_reconstructor", _reconstructor),
    **_calls("_codecs", "encode", _bytes),
    **_calls("torch._utils", "_rebuild_tensor", _tensor),
    **_calls("torch._utils", "_rebuild_tensor_v2", _tensor),
    **_calls("torch._utils", "_rebuild_parameter", _parameter),
    **_calls("torch._utils", "_rebuild_parameter_with_state", _parameter),
    **_calls("torch", "Size", lambda items=(): items if isinstance(items, tuple) else ()),
    **_calls("torch", "device", lambda *_: "cpu"),
    ("torch.storage", "_load_from_bytes"): Name("torch.storage", "_load_from_bytes", _nested_storage, cost=100),
    **_calls("torch_utils.persistence", "_reconstruct_persistent_obj", _persistent),
    **_calls(NUMPY, "_reconstruct", _array),
    **_calls(NUMPY, "scalar", _scalar),
    **_calls("numpy.core.numeric numpy._core.numeric", "_frombuffer", _array_from_buffer),
    **_calls("numpy", "dtype", lambda code=None, *_: DtypeStub(code)),
    ("numpy", "ndarray"): Name("numpy", "ndarray"),
    ("dnnlib.tflib.network", "Network"): _record("dnnlib.tflib.network", "Network"),
    ("dnnlib.tflib", "Network"): _record("dnnlib.tflib", "Network"),
    ("tfutil", "Network"): _record("tfutil", "Network"),
}

CODE_PACKAGES = sys.stdlib_module_names | {
    "__builtin__", "torch", "numpy", "scipy", "pip", "setuptools", "pkg_resources", "distutils", "dill", "cloudpickle",
    "joblib", "IPython", "ipykernel", "pytest", "_pytest", "py", "conda", "ray", "dask", "sympy", "tensorflow", "jax",
}
"""Packages that can run code; from these only the exact pairs above may appear."""

MODULE_CLASSES = ("torch.nn.modules.", "torch.optim.")


def resolve(module: str, name: str) -> Name:
    """The table's entry; an inert record for an unknown class of somebody's training code; UnsafeCheckpoint otherwise."""
    if found := NAMES.get((module, name)):
        return found
    class_like = name.isidentifier() and name[:1].isupper() and all(part.isidentifier() for part in module.split("."))
    if class_like and (module.split(".")[0] not in CODE_PACKAGES or module.startswith(MODULE_CLASSES)):
        return _record(module, name)
    raise UnsafeCheckpoint(
        f"The file names {module[:80]}.{name[:80]}, which a checkpoint has no business naming; "
        f"nothing of it was run, get the model from a source you trust."
    )


def resolve_storage(module: str, name: str) -> Name:
    """Inside a tensor's own bytes only storage types may be named."""
    if found := STORAGE_NAMES.get((module, name)):
        return found
    raise UnsafeCheckpoint(
        f"A tensor's data names {module[:80]}.{name[:80]} instead of a storage type; "
        f"nothing of it was run, get the model from a source you trust."
    )


def resolve_nothing(module: str, name: str) -> Name:
    """Headers of torch's containers hold numbers and text only."""
    raise UnsafeCheckpoint(
        f"The file's header names {module[:80]}.{name[:80]}, and headers name nothing; "
        f"nothing of it was run, get the model from a source you trust."
    )
