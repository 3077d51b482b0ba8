"""How a synthesis is run on a card: layer by layer, as a recorded graph of launches, or compiled.

On a fast card the launches of one picture cost more than its arithmetic. A graph records them once, by batch and kind of
noise, and replays them; torch.compile fuses what lies between the convolutions, at the price of a long first call. Both are
views of a model that share every tensor, as those of `at_precision` are; wherever they don't apply (gradients, hooks, a
moved input, another device) the model itself draws.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeVar, cast, get_args

import torch
from torch import Tensor, nn

from ..errors import InvalidInput
from ..networks.generators.base import LayerHook, NoiseMode, Synthesis, random_noise
from .memory import is_out_of_memory

Drawing = Literal["eager", "graphs", "compiled"]
DRAWINGS: tuple[str, ...] = get_args(Drawing)
MOST_GRAPHS = 8
"""Kept at once; the one not used for longest is forgotten first."""
WARM_UPS = 3
"""Calls before a recording, in which libraries choose their algorithms."""
Function = Callable[..., Tensor]
Replay = Callable[[], Tensor]
"""Draws anew from the tensors it was recorded with, into the tensor it returns."""
Record = Callable[[Callable[[], Tensor], torch.device, Any], Replay]
"""(a call that draws from fixed tensors, their device, memory pool) -> its replay; RuntimeError when that can't be."""
NoiseKind = Literal["const", "none", "given"]
Module = TypeVar("Module", bound=nn.Module)
log = logging.getLogger(__name__)


def record_on_cuda(draw: Callable[[], Tensor], device: torch.device, pool: Any) -> Replay:
    """A CUDA graph; its memory comes from `pool`, which graphs that never run at once may share."""
    with torch.cuda.device(device):
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UPS):
                draw()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool):
            drawn = draw()

    def replay() -> Tensor:
        graph.replay()
        return drawn

    return replay


class Recorder:
    """Calls of a function, recorded once a signature (shapes and types of its tensors, values of the rest) and replayed.

    The function must do the same work at each call and draw no random numbers: these come in as tensors. weights: what it
    reads beside; when they move, everything is recorded anew. A signature that can't be recorded is called as ever.
    """

    def __init__(self, function: Function, weights: Callable[[], Iterable[Tensor]], record: Record = record_on_cuda,
                 most: int = MOST_GRAPHS) -> None:
        self.function, self.weights, self.record, self.most = function, weights, record, most
        self._kept: dict[tuple[Any, ...], tuple[list[Any], Replay] | None] = {}
        self._places: tuple[int, ...] = ()
        self._pool: Any = None

    def __len__(self) -> int:
        return sum(found is not None for found in self._kept.values())

    def __call__(self, *arguments: Any) -> Tensor:
        places = tuple(w.data_ptr() for w in self.weights())
        if places != self._places:
            self.release()
            self._places = places
        signature = tuple((a.shape, a.dtype, a.device) if isinstance(a, Tensor) else a for a in arguments)
        found = self._kept.pop(signature) if signature in self._kept else self._recorded(arguments)
        while len(self._kept) >= self.most:
            self._kept.pop(next(iter(self._kept)))
        self._kept[signature] = found
        if found is None:
            return self.function(*arguments)
        inputs, replay = found
        with torch.no_grad():
            for own, given in zip(inputs, arguments, strict=True):
                if isinstance(own, Tensor):
                    own.copy_(given)
            return replay().clone()

    def _recorded(self, arguments: tuple[Any, ...]) -> tuple[list[Any], Replay] | None:
        device = next(a.device for a in arguments if isinstance(a, Tensor))
        # outside inference mode: what was made under it could not be written to from outside
        with torch.inference_mode(False), torch.no_grad():
            inputs = [torch.empty(a.shape, dtype=a.dtype, device=device).copy_(a) if isinstance(a, Tensor) else a
                      for a in arguments]
            if self._pool is None and device.type == "cuda":
                self._pool = torch.cuda.graph_pool_handle()
            try:
                return inputs, self.record(lambda: self.function(*inputs), device, self._pool)
            except RuntimeError as error:
                log.warning("A graph could not be recorded (%s); these pictures are drawn without one.", error)
                if is_out_of_memory(error):
                    self.release()
                return None

    def release(self) -> None:
        """Forget all recordings and give their memory back."""
        self._kept.clear()
        self._pool = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def __deepcopy__(self, memo: dict[int, Any]) -> Recorder:
        """A copy records for itself."""
        return Recorder(copy.deepcopy(self.function, memo), copy.deepcopy(self.weights, memo), self.record, self.most)


class _Picture:
    """A synthesis whose noise comes in as tensors: the same launches whatever they hold."""

    def __init__(self, synthesis: Synthesis) -> None:
        self.synthesis = synthesis

    def draw(self, kind: NoiseKind, ws: Tensor, *maps: Tensor) -> Tensor:
        mode: NoiseMode = "none" if kind == "none" else "const"
        return cast(Tensor, self.synthesis(ws, noise_mode=mode, noise=list(maps) if kind == "given" else None))

    def weights(self) -> list[Tensor]:
        return [*self.synthesis.parameters(), *self.synthesis.buffers()]


class _Compiled:
    """torch.compile of a picture, from the first call on; where that fails, the picture itself."""

    def __init__(self, picture: _Picture) -> None:
        self.picture, self.draw = picture, cast(Function, torch.compile(picture.draw, dynamic=False))

    def __call__(self, *arguments: Any) -> Tensor:
        try:
            return self.draw(*arguments)
        except Exception as error:  # the compiler's own errors have no common type
            if is_out_of_memory(error):
                raise
            log.warning("The synthesis could not be compiled (%s); it is drawn as it is.", error)
            self.draw = self.picture.draw
            return self.draw(*arguments)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Compiled:
        return _Compiled(copy.deepcopy(self.picture, memo))


class FastForward:
    """Stands for a synthesis' forward: the fast way where it applies, else the synthesis itself."""

    def __init__(self, synthesis: Synthesis, drawing: Drawing, record: Record | None) -> None:
        self.synthesis, self.record, picture = synthesis, record, _Picture(synthesis)
        self.drawing: Drawing = drawing
        self.others: dict[torch.dtype, FastForward] = {}
        self.cuda_only = drawing == "graphs" and record is None
        self.fast: Recorder | _Compiled = _Compiled(picture)
        if drawing == "graphs":
            self.fast = Recorder(picture.draw, picture.weights, record or record_on_cuda)

    def __call__(self, ws: Tensor, noise_mode: NoiseMode = "const", noise: list[Tensor] | None = None,
                 transform: Tensor | None = None, generator: torch.Generator | None = None,
                 hook: LayerHook | None = None) -> Tensor:
        known = noise_mode in get_args(NoiseMode) and ws.ndim == 3
        if not known or hook is not None or transform is not None or torch.is_grad_enabled() or (
                self.cuda_only and ws.device.type != "cuda"):
            return self.synthesis(ws, noise_mode, noise, transform, generator, hook)
        self.synthesis.check_inputs(ws, ws.shape[2], noise, None)
        if noise is None and noise_mode == "random":
            noise = random_noise(self.synthesis.noise_shapes(), len(ws), ws, generator)
        maps = [] if noise is None else [m.to(ws.device) for m in noise]
        return self.fast(noise_mode if noise is None else "given", ws, *maps)

    def at(self, dtype: torch.dtype) -> FastForward:
        """The same for features of another type; made once, so that its recordings last."""
        if dtype not in self.others:
            synthesis = copy.copy(self.synthesis)
            synthesis.compute_dtype = dtype
            self.others[dtype] = FastForward(synthesis, self.drawing, self.record)
        return self.others[dtype]

    def release(self) -> None:
        for forward in (self, *self.others.values()):
            if isinstance(forward.fast, Recorder):
                forward.fast.release()


def at_drawing(model: Module, drawing: Drawing = "eager", record: Record | None = None) -> Module:
    """A view of a generator that draws as graphs of launches or compiled; it shares every tensor, and model is left alone.

    graphs: on CUDA cards; random noise stays random. compiled: the first picture of each shape takes up to minutes. Training,
    inversion and what takes a hook go on as ever. record: in place of record_on_cuda. Raises InvalidInput.
    """
    if drawing not in DRAWINGS:
        raise InvalidInput(f'Drawing "{drawing}" is unknown; use one of {", ".join(DRAWINGS)}.')
    synthesis = getattr(model, "synthesis", None)
    if drawing == "eager":
        return model
    if not isinstance(synthesis, Synthesis):
        raise InvalidInput(f"A {getattr(model, 'kind', 'network')} draws layer by layer only; leave the drawing at eager.")
    view, twin = copy.copy(model), copy.copy(synthesis)
    twin.forward = FastForward(synthesis, drawing, record)
    view._modules = {**model._modules, "synthesis": twin}
    return view


def release(model: nn.Module) -> None:
    """Give back the memory of a view's graphs; they are recorded anew when they are needed."""
    forward = getattr(getattr(model, "synthesis", None), "forward", None)
    if isinstance(forward, FastForward):
        forward.release()
