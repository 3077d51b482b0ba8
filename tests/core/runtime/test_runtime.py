"""Chunking, private copies, placement."""

import subprocess
import sys

import pytest
import torch

from stylegan_core.errors import InvalidInput
from stylegan_core.runtime import is_out_of_memory, private_copy, rebuild, run_chunked, trainable
from tests.core.networks.models import tiny_stylegan2


class Hungry:
    """Doubles its input; refuses more than `limit` rows the way `error` says."""

    def __init__(self, limit, error):
        self.limit, self.error, self.calls = limit, error, []

    def __call__(self, x, y=None):
        self.calls.append(len(x))
        if len(x) > self.limit:
            raise self.error
        return x * 2 if y is None else x + y


OUT_OF_MEMORY = [torch.cuda.OutOfMemoryError("CUDA out of memory."), RuntimeError("MPS backend out of memory"),
                 RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), MemoryError(),
                 RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
                 RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")]


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_chunk_halves_and_every_row_is_done_once(error):
    x, fn, steps = torch.arange(11.0)[:, None], Hungry(2, error), []
    out = run_chunked(fn, x, 8, on_step=lambda i, n, preview: steps.append((i, n)))
    assert torch.equal(out, x * 2)
    assert fn.calls == [8, 4, 2, 2, 2, 2, 2, 1] and steps[-1] == (11, 11)


def test_several_inputs_keep_step():
    x, y = torch.randn(5, 2), torch.randn(5, 2)
    torch.testing.assert_close(run_chunked(lambda a, b, c: a + b, [x, y, None], 2), x + y)


def test_other_errors_and_a_single_row_fly_through():
    with pytest.raises(RuntimeError, match="shape"):
        run_chunked(Hungry(0, RuntimeError("shape mismatch")), torch.zeros(4, 1), 4)
    with pytest.raises(MemoryError):
        run_chunked(Hungry(0, MemoryError()), torch.zeros(4, 1), 4)
    with pytest.raises(KeyboardInterrupt):
        run_chunked(lambda x: x, torch.zeros(4, 1), 1, on_step=lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    assert not is_out_of_memory(ValueError("out of memory"))


@pytest.mark.parametrize(("inputs", "chunk"), [
    (torch.zeros(0, 2), 4), ([torch.zeros(2), torch.zeros(3)], 4), (torch.zeros(2), 0)])
def test_nothing_to_chunk(inputs, chunk):
    with pytest.raises(InvalidInput, match="rows"):
        run_chunked(lambda *x: x[0], inputs, chunk)


def test_trainable_copy_under_inference_mode():
    with torch.inference_mode():
        model = tiny_stylegan2()
        expected = model.synthesis(torch.ones(1, model.num_ws, model.w_dim))
        with trainable(model) as copy:
            ws = torch.ones(1, model.num_ws, model.w_dim)
            image = copy.synthesis(ws)
            image.square().mean().backward()
            assert all(p.grad is not None for p in copy.synthesis.parameters())
            with torch.no_grad():
                copy.synthesis.b4.conv1.weight.add_(1)
        assert torch.is_inference_mode_enabled()
        torch.testing.assert_close(image.detach(), expected)
        assert torch.equal(model.synthesis(torch.ones(1, model.num_ws, model.w_dim)), expected)


def test_trainable_may_freeze_the_weights():
    model = tiny_stylegan2()
    with torch.no_grad(), trainable(model, weights=False) as copy:
        ws = torch.zeros(1, model.num_ws, model.w_dim, requires_grad=True)
        copy.synthesis(ws).sum().backward()
        assert ws.grad is not None and all(p.grad is None and not p.requires_grad for p in copy.parameters())


def test_copies_do_not_share_and_rebuild_may():
    model = tiny_stylegan2()
    mine = private_copy(model)
    assert not {t.data_ptr() for t in model.parameters()} & {t.data_ptr() for t in mine.parameters()}
    shared = rebuild(model, lambda name, tensor: tensor)
    assert all(a is b for a, b in zip(model.parameters(), shared.parameters(), strict=True))
    assert shared.synthesis is not model.synthesis and shared.layers == model.layers


# What stays resident after 200 MiB were written and freed; counts of page faults would depend on the size of the host's pages.
GIVEN_BACK = """
import resource, sys, torch
from stylegan_core.runtime import keep_freed_memory
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() >> 20
if "keep" in sys.argv and not keep_freed_memory():
    sys.exit("not glibc")
torch.zeros(1).add_(1)
before = resident()
torch.zeros(50 << 20).add_(1)
print(resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_freed_memory_is_kept_where_the_c_library_can() -> None:
    def kept(*arguments: str) -> int:
        done = subprocess.run([sys.executable, "-c", GIVEN_BACK, *arguments], capture_output=True, text=True, check=False)
        if "not glibc" in done.stderr:
            pytest.skip("not glibc")
        return int(done.stdout)

    assert kept() < 50 and kept("keep") > 150
