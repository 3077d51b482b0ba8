"""Good weights are not lost because of what lies beside them; what can't be weights is told as what it is."""

from __future__ import annotations

import argparse
import collections
import datetime
import decimal
import functools
import io
import itertools
import pathlib
import random
import re
import types
import typing
import uuid

import numpy as np
import pytest
import torch

from stylegan_core import checkpoints
from stylegan_core.checkpoints.pickle_names import Record, resolve
from stylegan_core.errors import UnsafeCheckpoint, UnsupportedCheckpoint

SCALER = torch.amp.GradScaler("cpu") if hasattr(torch.amp, "GradScaler") else torch.cuda.amp.GradScaler(enabled=False)
NEIGHBOURS = {
    "linear with bias": torch.nn.Linear(2, 2), "partial": functools.partial(torch.nn.LeakyReLU, 0.2),
    "defaultdict": collections.defaultdict(list, {"a": [1]}), "Counter": collections.Counter("aab"),
    "deque": collections.deque([1, 2], 5), "DataParallel": torch.nn.DataParallel(torch.nn.Linear(2, 2)),
    "dtype": torch.float32, "layout": torch.strided, "size": torch.Size([3]), "generator": torch.Generator().get_state(),
    "random state": np.random.get_state(), "RandomState": np.random.RandomState(0), "Generator": np.random.default_rng(0),
    "date": datetime.datetime.now(datetime.timezone.utc), "path": pathlib.PurePosixPath("a/b"), "uuid": uuid.uuid4(),
    "decimal": decimal.Decimal(1), "Random": random.Random(1), "namespace": types.SimpleNamespace(a=1),
    "arguments": argparse.Namespace(lr=0.1), "complex number": 1j, "range": range(3), "numpy type": np.float32,
    "unsigned": np.arange(3, dtype=np.uint32), "big-endian": np.arange(3, dtype=">f4"), "masked": np.ma.array([1, 2]),
    "texts": np.array(["toon", "photo"]), "bytes": np.array([b"a"]), "objects": np.array([1, "a", None], dtype=object),
    "fields": np.zeros(2, dtype="V8"), "UserDict": collections.UserDict(a=1), "dates": np.array(["2020-01-01"], dtype="M8[D]"),
    "scheduler": torch.optim.lr_scheduler.StepLR(torch.optim.Adam([torch.zeros(1)]), 1).state_dict(),
    "fp8": torch.zeros(4).to(torch.float8_e4m3fn), "complex": torch.zeros(3, dtype=torch.complex64),
    "sparse": torch.eye(2).to_sparse(), "meta": torch.empty(2, device="meta"),
    "version": torch.__version__, "type of anything": typing.Any, "exception": ValueError("a"), "class of exceptions": KeyError,
    "warning": UserWarning("a"), "ellipsis": ..., "iterator": enumerate([1]), "count": itertools.count(3),
    "pattern": re.compile("a"), "buffer": io.BytesIO(b"a"), "matrix": np.zeros((1, 1)).view(np.matrix),
    "no numbers": np.zeros((0, 4)),
    "record array": np.rec.array([(1, 2.0)], dtype=[("a", int), ("b", float)]), "polynomial": np.poly1d([1, 2]),
    "limits": np.finfo(np.float32), "GradScaler": SCALER, "maximum": torch.zeros(2, 2).max(0),
    "activation": torch.nn.functional.leaky_relu, "data": torch.utils.data.DataLoader([torch.zeros(2)]),
    "callbacks by class": {torch.nn.Linear: {"best": 1}}, "tuples as keys": {(4, "rgb"): 1}, "set of tuples": {(1, 2)},
    "types as keys": {torch.float32: 1}, "objects as keys": {uuid.uuid4(): 1}, "module": torch.nn.BatchNorm2d(2),
}


@pytest.fixture(scope="module")
def state():
    from pathlib import Path

    return torch.load(Path(__file__).parents[2] / "goldens/swap_ros2_tiny/model_A.pt", weights_only=True)


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_a_good_generator_loads_whatever_harmless_thing_lies_beside_it(name: str, state, tmp_path) -> None:
    torch.save({**state, "beside": NEIGHBOURS[name]}, tmp_path / "a.pt")
    assert checkpoints.load(tmp_path / "a.pt").img_resolution == 32


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("name", ["DataParallel", "module", "dtype", "no numbers", "defaultdict", "callbacks by class"])
def test_and_in_the_old_container(name: str, protocol: int, state, tmp_path) -> None:
    torch.save({**state, "beside": NEIGHBOURS[name]}, tmp_path / "a.pt", pickle_protocol=protocol,
               _use_new_zipfile_serialization=False)
    assert checkpoints.load(tmp_path / "a.pt").img_resolution == 32


@pytest.mark.parametrize(("module", "name"), [
    ("torch.nn.modules.linear", "_LinearWithBias"), ("functools", "partial"), ("collections", "defaultdict"),
    ("torch.nn.parallel.data_parallel", "DataParallel"), ("torch", "float32"), ("torch.cuda.amp.grad_scaler", "GradScaler"),
    ("torch.amp.grad_scaler", "GradScaler"), ("torch.utils.data.dataset", "Subset"), ("builtins", "list"),
    ("torch.nn.parallel.distributed", "DistributedDataParallel"), ("numpy.random._mt19937", "MT19937"),
    ("torch.nn.backends.thnn", "_get_thnn_function_backend"), ("torch.nn.functional", "relu"), ("exceptions", "IOError"),
    ("torch.cuda.amp.grad_scaler", "_refresh_per_optimizer_state"), ("optparse", "Values"), ("typing", "Union"),
    ("numpy.core.getlimits", "MachArLike"),
])
def test_harmless_names_become_inert(module: str, name: str) -> None:
    found = resolve(module, name)
    made = found.make() if found.make else None
    assert made is None or isinstance(made, (Record, dict, list))


@pytest.mark.parametrize(("module", "name"), [
    ("os", "system"), ("nt", "system"), ("subprocess", "Popen"), ("builtins", "eval"), ("builtins", "exec"),
    ("builtins", "getattr"), ("builtins", "__import__"), ("builtins", "open"), ("__builtin__", "compile"), ("sys", "exit"),
    ("importlib", "import_module"),
    ("torch.hub", "load"), ("torch", "load"), ("torch.jit", "ScriptModule"), ("torch.serialization", "load"), ("numpy", "load"),
    ("operator", "attrgetter"), ("functools", "reduce"), ("types", "FunctionType"), ("types", "CodeType"), ("pickle", "loads"),
    ("torch.nn.modules.linear", "os.system"), ("torch.nn.functional", "system"), ("numpy.testing._private.utils", "runstring"),
    ("collections", "abc.sys"), ("webbrowser", "open"), ("ctypes", "CDLL"), ("multiprocessing.util", "Finalize"),
    ("builtins", "type"), ("operator", "methodcaller"), ("os", "stat_result"), ("builtins", "vars"), ("re", "sys"),
    ("torch.nn.functional", "torch"), ("torch.utils.data.dataloader", "os"), ("typing", "get_type_hints"), ("io", "open"),
    ("io", "FileIO"),
    ("commands", "Popen"), ("popen2", "Popen3"), ("Queue", "Queue"), ("urllib2", "Request"), ("SocketServer", "TCPServer"),
])
def test_names_of_code_stay_refused(module: str, name: str) -> None:
    with pytest.raises(UnsafeCheckpoint):
        resolve(module, name)


WEIGHTS = {
    "float8_e4m3fn": lambda t: t.to(torch.float8_e4m3fn), "complex": lambda t: t.to(torch.complex64),
    "sparse": lambda t: t.flatten(1).to_sparse(), "quantized": lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8),
    "int32": lambda t: t.to(torch.int32),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights_of_another_form_are_told_as_what_they_are(kind: str, state, tmp_path) -> None:
    inner = dict(state.get("g_ema", state))
    key = "conv1.conv.modulation.weight"
    inner[key] = WEIGHTS[kind](inner[key])
    torch.save({"g_ema": inner}, tmp_path / "a.pt")
    with pytest.raises(UnsupportedCheckpoint, match=f"{key}.*{kind}") as told:
        checkpoints.load(tmp_path / "a.pt")
    assert "source you trust" not in str(told.value)


@pytest.mark.parametrize("prefix", ["generator.", "generator_ema.", "netG.", "G.", "model.generator."])
def test_a_generator_inside_a_lightning_file(prefix: str, state, tmp_path) -> None:
    inner = state.get("g_ema", state)
    beside = {"discriminator.convs.0.weight": torch.zeros(3, 3), "lpips.net.weight": torch.zeros(2)}
    tree = {"epoch": 3, "global_step": 9, "pytorch-lightning_version": "2.1.0", "callbacks": {},
            "state_dict": {**{prefix + key: value for key, value in inner.items()}, **beside}}
    torch.save(tree, tmp_path / "last.ckpt")
    found = checkpoints.load(tmp_path / "last.ckpt")
    assert found.img_resolution == 32
    assert checkpoints.inspect(tmp_path / "last.ckpt").part == f"state_dict.{prefix[:-1]}"
