"""Which names a checkpoint may speak of, and the inert thing each becomes. Exact pairs and a few packages; data, no code."""

from __future__ import annotations

import builtins
import sys
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ..errors import LoadError, UnsafeCheckpoint
from .pickle_values import LongText, Name, plain_keys
from .source import Source
from .tensors import ArrayStub, DtypeStub, LazyTensor, Storage, formed
from .torch_stream import STORAGE_NAMES, read_storage

MAX_PATH = 1024


@dataclass(eq=False)
class Record:
    """An object of a class that is never built: its name, its arguments, its state, and what was put into it.

    Equal to itself only, so that it may be a key whose hash nobody chooses.
    """

    module: str
    name: str
    args: tuple[Any, ...] = ()
    state: dict[str, Any] = field(default_factory=dict)
    items: dict[Any, Any] = field(default_factory=dict)
    """Of a class that is a dict."""
    values: list[Any] = field(default_factory=list)
    """Of a class that is a list."""

    def build(self, state: Any) -> None:
        """Keep attributes; (None, slots) pairs and other forms carry nothing this package reads."""
        if isinstance(state, tuple) and len(state) == 2 and isinstance(state[0], dict):
            state = state[0]
        if isinstance(state, dict):
            self.state.update({k: v for k, v in state.items() if isinstance(k, str)})


def _record(module: str, name: str) -> Name:
    return Name(module, name, lambda *args: Record(module, name, args))


def _dict(*args: Any) -> dict[Any, Any]:
    """OrderedDict(), OrderedDict([[k, v], ...]) as old files have it, Counter({k: n}), EasyDict()."""
    if not args:
        return {}
    pairs = [(key, value) for key, value in (args[0].items() if isinstance(args[0], dict) else args[0])]
    plain_keys([key for key, _ in pairs])
    return dict(pairs)


def _set(items: Any = ()) -> set[Any]:
    return set(plain_keys(items)) if isinstance(items, (list, tuple, set)) else set()


def _bytes(*args: Any) -> Any:
    """bytes(): what old protocols call an empty byte string."""
    return Record("builtins", "bytes", args) if args else b""


def _list(items: Any = (), *_: Any) -> list[Any]:
    return list(items) if isinstance(items, (list, tuple)) else []


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> LazyTensor:
    if not (isinstance(storage, Storage) and isinstance(size, tuple) and isinstance(stride, tuple)):
        raise LoadError("A tensor in the file has no storage or no size; the file is damaged.")
    return storage.view(offset, size, stride)


TORCH_VALUES = {name: value for name, value in vars(torch).items()
                if isinstance(value, (torch.dtype, torch.layout, torch.memory_format, torch.qscheme))}
"""torch.float32, torch.strided ...: names that stand for themselves."""


def _typed_tensor(storage: Any, _at: Any, size: Any, _stride: Any, _grad: Any, _hooks: Any, dtype: Any, *_: Any) -> LazyTensor:
    """Types without a storage class of their own (fp8, uint16): the storage counts bytes."""
    kind = TORCH_VALUES.get(dtype.name) if isinstance(dtype, Name) else None
    if not (isinstance(storage, Storage) and isinstance(kind, torch.dtype) and isinstance(size, tuple)):
        raise LoadError("A tensor in the file has no storage, no size or no type; the file is damaged.")
    return formed(_size(size), kind, str(kind).removeprefix("torch."))


def _quantized(_storage: Any, _offset: Any, size: Any, *_: Any) -> LazyTensor:
    return formed(_size(size), torch.int8, "quantized")


def _sparse(_layout: Any, data: Any, *_: Any) -> LazyTensor:
    size = next((part for part in data[::-1] if isinstance(part, tuple)), ()) if isinstance(data, tuple) else ()
    return formed(_size(size), torch.float32, "sparse")


def _nested(*_: Any) -> LazyTensor:
    return formed((), torch.float32, "nested")


def _empty(_dtype: Any, size: Any, *_: Any) -> LazyTensor:
    return formed(_size(size), torch.float32, "empty (meta)")


def _size(size: Any) -> tuple[int, ...]:
    """The size of a tensor that is not read, none where it makes no sense."""
    sane = isinstance(size, tuple) and len(size) <= 8 and all(type(n) is int and 0 <= n < 1 << 32 for n in size)
    return size if sane else ()


def _from_type(function: Any, _type: Any, args: Any, *_: Any) -> Any:
    """A tensor that carries attributes: (function, type, its arguments, attributes)."""
    if not (isinstance(function, Name) and function.module == "torch._utils" and function.make and isinstance(args, tuple)):
        raise LoadError("A tensor in the file is made in an unknown way; the file is damaged.")
    return function.make(*args)


def _parameter(data: Any, *_: Any) -> LazyTensor:
    if not isinstance(data, LazyTensor):
        raise LoadError("A parameter in the file holds no tensor; the file is damaged.")
    return data


def _array(_subtype: Any, shape: Any, *_: Any) -> ArrayStub:
    if shape != (0,):
        raise LoadError("An array in the file asks for memory before its data, which no writer does; the file is damaged.")
    return ArrayStub()


def _array_from_buffer(data: Any, dtype: Any, shape: Any, order: Any = "C") -> ArrayStub:
    """Protocol 5's form of an array."""
    stub = ArrayStub()
    stub.build((1, shape, dtype, order == "F", data))
    return stub


def _scalar(dtype: Any, data: Any = None) -> Any:
    if isinstance(dtype, DtypeStub) and dtype.passed_over:  # a text may be a key
        text = isinstance(data, bytes) and isinstance(dtype.code, str) and dtype.code[:1] == "U"
        return str(data, "utf-32-le", "replace") if text else None
    kind = dtype.checked() if isinstance(dtype, DtypeStub) else None
    raw = data.encode("latin1") if isinstance(data, str) else data
    if kind is None or not isinstance(raw, bytes) or len(raw) != kind.itemsize:
        raise LoadError("A number in the file has an unknown form; the file is damaged.")
    return torch.frombuffer(bytearray(raw), dtype=kind)[0].item()


def _encoded(text: Any = "", encoding: Any = "latin1") -> bytes:
    """A byte string as Python 3 writes it for Python 2."""
    if not isinstance(text, (str, LongText)) or encoding != "latin1":
        raise LoadError("The file encodes text in a way no checkpoint does; it is damaged.")
    return text.latin1() if isinstance(text, LongText) else text.encode("latin1")


def _persistent(meta: Any) -> Record:
    """NVIDIA's persistent classes: the class name and the state; the source text that comes along is dropped unread."""
    if not (isinstance(meta, dict) and isinstance(meta.get("class_name"), str) and isinstance(meta.get("state"), dict)):
        raise LoadError("A persistent object in the file has no class name or no state; the file is damaged.")
    return Record("persistent", meta["class_name"], (), meta["state"])


def _path(*parts: Any) -> str:
    return "/".join(part[:MAX_PATH] for part in parts[:64] if isinstance(part, str))[:MAX_PATH]


def _reconstructor(cls: Any, *_: Any) -> Any:
    if not (isinstance(cls, Name) and cls.make):
        raise LoadError("The file rebuilds an object without a class; it is damaged.")
    return cls.make()


def _nested_storage(raw: Any) -> Storage:
    if not isinstance(raw, (bytes, Source)):
        raise LoadError("A tensor's data has an unknown form; the file is damaged.")
    return read_storage(raw if isinstance(raw, Source) else Source.of(raw))


def _calls(modules: str, names: str, make: Callable[..., Any]) -> dict[tuple[str, str], Name]:
    return {(module, name): Name(module, name, make) for module in modules.split() for name in names.split()}


def _records(modules: str, names: str) -> dict[tuple[str, str], Name]:
    return {(module, name): _record(module, name) for module in modules.split() for name in names.split()}


ACTIVATIONS = "relu leaky_relu gelu elu selu celu silu mish softplus tanh sigmoid logsigmoid hardtanh relu6 prelu"
"""Functions that whole modules hold: spoken of, never called."""
ARRAY_CLASSES = (("numpy", "ndarray"), *((module, name) for name, modules in {
    "matrix": "numpy numpy.matrixlib.defmatrix", "memmap": "numpy numpy.core.memmap numpy._core.memmap",
    "recarray": "numpy numpy.rec numpy.core.records numpy._core.records",
    "chararray": "numpy numpy.char numpy.core.defchararray numpy._core.defchararray",
}.items() for module in modules.split()))
"""What an array may be rebuilt as; all are read as plain arrays."""
NUMPY = "numpy.core.multiarray numpy._core.multiarray"
BUILTINS = "builtins __builtin__"
NAMES: dict[tuple[str, str], Name] = {
    **STORAGE_NAMES,
    **{("torch", name): Name("torch", name) for name in TORCH_VALUES},
    **{("numpy", kind.__name__): _record("numpy", kind.__name__) for kind in set(np.sctypeDict.values())},
    **_calls("collections", "OrderedDict Counter", _dict),
    **_calls("collections", "defaultdict", lambda *_: {}),
    **_calls("collections", "deque", _list),
    **_calls("dnnlib dnnlib.util", "EasyDict", _dict),
    **_calls(BUILTINS, "set frozenset", _set),
    **_calls(BUILTINS, "bytes", _bytes),
    **_records(BUILTINS, "object list dict tuple int long float complex bool str unicode bytearray slice range xrange "
                         "enumerate zip reversed iter map filter Ellipsis NotImplemented"),
    **_records(BUILTINS, " ".join(name for name, kind in vars(builtins).items()
                                  if isinstance(kind, type) and issubclass(kind, BaseException))),
    **_records("collections", "ChainMap UserDict UserList UserString"),
    **_records("argparse", "Namespace"), **_records("optparse", "Values"),
    **_records("types", "SimpleNamespace MappingProxyType GenericAlias"),
    **_records("typing", "Any Union Optional List Dict Tuple Set Sequence Mapping Callable Generic TypeVar NoReturn"),
    **_records("enum", "Enum IntEnum Flag IntFlag"),
    **_records("functools", "partial"),
    **_records("itertools", "count cycle repeat chain islice product"),
    **_records("io _io", "BytesIO StringIO"), **_records("re", "_compile"),
    **_records("string", "Template"), **_records("statistics", "NormalDist"), **_records("platform", "uname_result"),
    **_records("ipaddress", "IPv4Address IPv6Address IPv4Network IPv6Network"), **_records("http", "HTTPStatus"),
    **_records("datetime", "datetime date time timedelta timezone"),
    **_records("decimal", "Decimal"), **_records("fractions", "Fraction"), **_records("uuid", "UUID SafeUUID"),
    **_records("random", "Random"), **_records("time", "struct_time"), **_records("zoneinfo", "ZoneInfo"),
    **_records("array", "array _array_reconstructor"), **_records("logging", "getLogger Logger"),
    **_calls("pathlib pathlib._local", "PosixPath WindowsPath PurePosixPath PureWindowsPath Path", _path),
    **_calls("copy_reg copyreg", "_reconstructor", _reconstructor),
    **_calls("_codecs", "encode", _encoded),
    **_calls("torch._utils", "_rebuild_tensor _rebuild_tensor_v2", _tensor),
    **_calls("torch._utils", "_rebuild_tensor_v3", _typed_tensor),
    **_calls("torch._utils", "_rebuild_parameter _rebuild_parameter_with_state", _parameter),
    **_calls("torch._utils", "_rebuild_qtensor", _quantized),
    **_calls("torch._utils", "_rebuild_sparse_tensor _rebuild_sparse_csr_tensor", _sparse),
    **_calls("torch._utils", "_rebuild_nested_tensor", _nested),
    **_calls("torch._utils", "_rebuild_meta_tensor_no_storage", _empty),
    **_calls("torch._tensor", "_rebuild_from_type_v2", _from_type),
    **_calls("torch", "Size", lambda items=(): items if isinstance(items, tuple) else ()),
    **_calls("torch", "device", lambda *_: "cpu"),
    **_calls("torch.serialization", "_get_layout", lambda *_: "strided"),
    **_records("torch", "Tensor Generator"), **_records("torch.torch_version", "TorchVersion"),
    **_records("torch.nn.backends.thnn", "_get_thnn_function_backend"),
    **_records("torch.amp.grad_scaler torch.cuda.amp.grad_scaler", "_refresh_per_optimizer_state"),
    **_records("torch.utils.data._utils.collate torch.utils.data.dataloader", "default_collate default_convert"),
    **{("torch.nn.functional", name): Name("torch.nn.functional", name) for name in ACTIVATIONS.split()},
    **_records("torch.return_types", "max min sort topk median mode kthvalue"),
    ("torch.storage", "_load_from_bytes"): Name("torch.storage", "_load_from_bytes", _nested_storage, cost=100),
    **_calls("torch_utils.persistence", "_reconstruct_persistent_obj", _persistent),
    **_calls(NUMPY, "_reconstruct", _array),
    **_calls(NUMPY, "scalar", _scalar),
    **_calls("numpy.core.numeric numpy._core.numeric", "_frombuffer", _array_from_buffer),
    **_calls("numpy", "dtype", lambda code=None, *_: DtypeStub(code)),
    **{pair: Name(*pair) for pair in ARRAY_CLASSES},
    **_records("numpy numpy.lib.polynomial numpy.lib._polynomial_impl", "poly1d"), **_records("numpy", "record finfo iinfo"),
    **_records("numpy.core.getlimits numpy._core.getlimits", "MachArLike"),
    **_records("numpy.random numpy.random._pickle", "__randomstate_ctor __generator_ctor __bit_generator_ctor"),
    **_records("numpy.random.bit_generator", "__pyx_unpickle_SeedSequence __pyx_unpickle_SeedlessSequence"),
    **_records("numpy.ma.core", "_mareconstruct"), **_records("numpy.ma numpy.ma.core", "MaskedArray"),
    **_records("dnnlib.tflib.network dnnlib.tflib tfutil", "Network"),
}

CODE_PACKAGES = sys.stdlib_module_names | {
    "__builtin__", "torch", "numpy", "scipy", "pip", "setuptools", "pkg_resources", "distutils", "dill", "cloudpickle",
    "joblib", "IPython", "ipykernel", "pytest", "_pytest", "py", "conda", "ray", "dask", "sympy", "tensorflow", "jax",
    "popen2", "new", "imp", "ihooks", "rexec", "Bastion", "user", "pipes", "smtpd", "asyncore", "asynchat", "telnetlib",
}
"""Packages that can run code, those that Python once had among them; from these only the exact pairs above may appear, and
classes of the modules below."""

CLASS_MODULES = ("torch.nn.", "torch.optim.", "torch.amp.", "torch.cuda.amp.", "torch.utils.data.", "torch.distributions.",
                 "torch.ao.", "torch.quantization.", "numpy.random.", "numpy.dtypes.", "numpy.polynomial.")
"""Modules of such packages whose classes are layers, optimizers, schedules, scalers, data sets and generators of numbers."""


def _is_class(name: str) -> bool:
    return name.isidentifier() and name.lstrip("_")[:1].isupper()


def _today(module: str, name: str) -> tuple[str, str]:
    """What pickles of protocol 2 and below call by Python 2's names: subprocess.Popen is commands.Popen there."""
    return NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))


def resolve(module: str, name: str) -> Name:
    """The table's entry; an inert record for a class of somebody's training code, never imported, never called;
    UnsafeCheckpoint otherwise."""
    current, called = _today(module, name)
    if found := NAMES.get((module, name)) or NAMES.get((current, called)):
        return found
    sane = _is_class(name) and all(part.isidentifier() for part in module.split("."))
    foreign = not {module.split(".")[0], current.split(".")[0]} & CODE_PACKAGES
    if sane and (foreign or f"{module}.".startswith(CLASS_MODULES)):
        return _record(module, name)
    raise UnsafeCheckpoint(f"The file names {module[:80]}.{name[:80]}, which a checkpoint has no business naming; nothing of "
                           f"it was run, get the model from a source you trust.")
