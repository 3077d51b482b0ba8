"""Supervised fine-tuning: a child of a generator that draws given pictures for given codes.

    loss = l1 |G(w) - y| + reduced |D G(w) - D y| + differences (|dx (G(w) - y)| + |dy (G(w) - y)|) + lpips LPIPS(G(w), y)
         + style |gram G(w) - gram y| / |gram y|

Means over pixels; D reduces by area, dx and dy are differences of neighbours, gram are Gram matrices of LPIPS's features at
full and at half size. With pairs there is no adversary, and a look
is learnt in minutes (distillation as in 2003.03581, the teacher being any program that turns pictures into pictures).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from ..checkpoints.containers import read_file
from ..checkpoints.safetensors_file import read_json, write_safetensors
from ..checkpoints.saving import plain_config
from ..engine import Adam, Average, halflife_decay, ramped_decay
from ..errors import AtelierError, InvalidInput, LoadError
from ..latents import Latents
from ..latents.mixing import px_spans
from ..latents.signature import fingerprint
from ..losses.features import style_distance
from ..losses.perceptual import LPIPS
from ..networks.generators.base import Generator, plain_generator
from ..runtime import alias, private_copy, rebuild, rows_at_once
from .pairs_options import PairsOptions
from .window import Window, Windows

FAMILY = "pairs_run"
OnPairsStep = Callable[[int, int, dict[str, float]], None]
"""Called after step i of n with the losses of late; what it raises flies through, and the trainer keeps what it has."""


@dataclass(frozen=True)
class PairsScore:
    """How near the child comes to its targets; means over pictures."""

    count: int
    l1: float
    lpips: float
    unseen: bool
    """Whether the pairs were held out of training."""


class PairsTrainer:
    """Fine-tunes chosen layers of base on pairs of codes and pictures; a step depends on nothing but the state before it.

    partners: children of base whose frozen layers stand in for base's, pair by pair in turn: number i of the pairs is drawn
    with the frozen layers of (base, *partners)[i % (1 + len(partners))]. So a rendering learns to hold on other shapes.
    """

    def __init__(self, base: Generator, options: PairsOptions | None = None, partners: Sequence[Generator] = ()) -> None:
        base = plain_generator(base)
        self.base, self.options = base, options or PairsOptions()
        spans = px_spans(self.options.resolutions)
        self.layers = frozenset(x for x in base.layers if any(lo <= x.resolution <= hi for lo, hi in spans))
        with torch.inference_mode(False):
            self.model = private_copy(base).requires_grad_(False)
            self._own = {name: p.requires_grad_(True) for name, p in self.model.synthesis.named_parameters()
                         if any(name == x.name or name.startswith(x.name + ".") for x in self.layers)}
            if not self._own:
                raise InvalidInput(f'No layer of the model lies in "{self.options.resolutions}"; it has layers at '
                                   f"{', '.join(map(str, sorted({x.resolution for x in base.layers})))} px.")
            self._frozen = [self._frozen_of(m) for m in (base, *partners)]
            self._mean = Average(self._own)
            self.average = self._mean.tensors
            self.optimizer = Adam(list(self._own.values()), betas=(0.9, 0.99))
            self.lpips = LPIPS.embedded().to(next(base.parameters()).device)
        self.windows = Windows.of(self.model.synthesis, self.layers, self.options.crop)
        self.step, self.recent, self.last_score, self.pairs = 0, {}, None, 0

    def _frozen_of(self, model: Generator) -> dict[str, Tensor]:
        """The tensors of a synthesis that do not learn. Raises InvalidInput where it is no relative of base."""
        mine = {n: p for n, p in self.model.synthesis.named_parameters() if n not in self._own}
        theirs = dict(model.synthesis.named_parameters())
        if any(n not in theirs or theirs[n].shape != p.shape for n, p in mine.items()):
            raise InvalidInput("A partner has other layers than the base; give children of it (fine-tuned or blended).")
        return {n: torch.empty_like(p, requires_grad=False).copy_(theirs[n].detach()) for n, p in mine.items()}

    def run(self, latents: Latents, targets: Sequence[Tensor], on_step: OnPairsStep | None = None, until: int | None = None
            ) -> Generator:
        """Train to step `until` (None: options.steps) and return result().

        latents: N codes of any space that fit base. targets: N pictures [C, S, S] in [-1, 1] at base's resolution, a tensor
        or anything that reads one at a time. Raises InvalidInput, LatentMismatch, AtelierError (a loss that is not finite).
        """
        self._check(latents, targets)
        last = min(self.options.steps, until if until is not None else self.options.steps)
        with torch.inference_mode(False), torch.enable_grad():
            ws = latents.ws(self.base).detach().clone()
            for step in range(self.step, last):
                losses = self._step(ws, targets)
                self._note(step, losses)
                if on_step is not None:
                    on_step(step + 1, self.options.steps, dict(self.recent))
        return self.result()

    def _check(self, latents: Latents, targets: Sequence[Tensor]) -> None:
        size, channels = self.base.img_resolution, self.base.img_channels
        if len(latents) != len(targets) or not len(latents):
            raise InvalidInput(f"Training got {len(latents)} codes and {len(targets)} pictures; give one picture a code.")
        if tuple(targets[0].shape) != (channels, size, size):
            raise InvalidInput(f"The targets are {list(targets[0].shape)} but the model draws {[channels, size, size]}; "
                               f"resize them to {size} px.")
        latents.check(self.base)
        self.pairs = len(latents)

    def split(self, count: int) -> tuple[list[int], list[int]]:
        """Numbers of the pairs that are learnt from, and of those held out: the last ones."""
        out = max(1, round(count * self.options.held_out)) if self.options.held_out and count >= 4 else 0
        return list(range(count - out)), list(range(count - out, count))

    def _chosen(self, count: int) -> list[int]:
        """The pairs of this step: every one once before any comes again, in an order of the seed."""
        learnt, _ = self.split(count)
        first, chosen = self.step * self.options.batch, []
        for k in range(first, first + self.options.batch):
            order = np.random.RandomState([self.options.seed, k // len(learnt)]).permutation(len(learnt))
            chosen.append(learnt[order[k % len(learnt)]])
        return chosen

    def _step(self, ws: Tensor, targets: Sequence[Tensor]) -> dict[str, float]:
        rng = np.random.RandomState([self.options.seed, 1, self.step])
        chosen = self._chosen(len(ws))
        most = rows_at_once(len(chosen), ws.device, self.options.crop or self.base.img_resolution)
        most = 1 if len(self._frozen) > 1 else most
        total: dict[str, float] = {}
        self.optimizer.zero_grad()
        for i in range(0, len(chosen), most):
            part = chosen[i : i + most]
            window = self.windows.draw(rng) if self.windows else None
            want = torch.stack([targets[k] for k in part]).to(ws)
            terms = self._losses(self.draw(ws[part], part[0], window), want, window, rng)
            loss = torch.stack([getattr(self.options, name) * value for name, value in terms.items()]).sum()
            (loss * (len(part) / len(chosen))).backward()
            for name, value in terms.items():
                total[name] = total.get(name, 0.0) + float(value.detach()) * len(part) / len(chosen)
        if not all(np.isfinite(v) for v in total.values()):
            raise AtelierError(f"Step {self.step + 1} of training on pairs gave {total}, which is no number; use a lower rate.")
        self.optimizer.set_rate(self.options.rate(self.step))
        self.optimizer.step()
        half = self.options.ema_halflife
        self._mean.move(ramped_decay(self.step, halflife_decay(1, half)) if half else 0.0)
        self.step += 1
        return total

    def draw(self, ws: Tensor, number: int = 0, window: Window | None = None) -> Tensor:
        """ws [B, num_ws, w_dim] -> what the model draws at this step, of a window the part it stands for."""
        weights = {**self._frozen[number % len(self._frozen)], **self._own}
        more: dict[str, Any] = {"noise": window.noise(self.model.synthesis), "hook": window.hook} if window else {}
        with torch.autocast(ws.device.type, torch.bfloat16, enabled=self.options.bfloat16):
            return functional_call(self.model.synthesis, weights, (ws,), more).float()

    def _losses(self, got: Tensor, want: Tensor, window: Window | None, rng: np.random.RandomState) -> dict[str, Tensor]:
        """The loss's terms, unweighted; those of weight 0 are left out."""
        if window is not None:
            got, want = window.sound(got), window.sound(window.cut(want))
        error = got - want
        shrink = max(self.base.img_resolution // self.options.reduced_size, 1)
        y, x = (int(n) for n in rng.randint(8, size=2))
        terms = {
            "l1": lambda: error.abs().mean(),
            "reduced": lambda: F.avg_pool2d(error, shrink).abs().mean(),
            "differences": lambda: error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean(),
            # from every phase of the network's stride: seen from one place it leaves a fine grid
            "lpips": lambda: self._perceived(got[..., y:, x:], want[..., y:, x:]).mean(),
            "style": lambda: self._styled(got[..., y:, x:], want[..., y:, x:]),
        }
        return {name: term() for name, term in terms.items() if getattr(self.options, name)}

    def _perceived(self, got: Tensor, want: Tensor) -> Tensor:
        shrink = -(-got.shape[-1] // self.options.lpips_size)
        return self.lpips(*(F.avg_pool2d(x, shrink).expand(-1, 3, -1, -1) for x in (got, want)))

    def _styled(self, got: Tensor, want: Tensor) -> Tensor:
        losses = []
        for shrink in (1, 2):
            a, b = (self.lpips.features(F.avg_pool2d(x, shrink).expand(-1, 3, -1, -1)) for x in (got, want))
            losses.append(style_distance(a, b, self.options.style_tiles).mean())
        return torch.stack(losses).mean()

    def _note(self, step: int, losses: dict[str, float]) -> None:
        keep = min(0.95, step / (step + 1))
        self.recent.update({k: keep * self.recent.get(k, v) + (1 - keep) * v for k, v in losses.items()})

    @torch.no_grad()
    def score(self, latents: Latents, targets: Sequence[Tensor]) -> PairsScore:
        """The averaged weights on the pairs held out, or on all where none are."""
        self._check(latents, targets)
        learnt, held = self.split(len(latents))
        child, ws, l1, lpips = self.result(), latents.ws(self.base), 0.0, 0.0
        for k in held or learnt:
            weights = self._frozen[k % len(self._frozen)]
            got = functional_call(child.synthesis, {**weights, **{n: self.average[n] for n in self._own}}, (ws[k : k + 1],))
            want = targets[k][None].to(got)
            l1 += float((got - want).abs().mean())
            lpips += float(self._perceived(got, want))
        count = len(held or learnt)
        self.last_score = PairsScore(count, l1 / count, lpips / count, bool(held))
        return self.last_score

    def result(self) -> Generator:
        """The child as it is now: base with the averaged weights, every other tensor shared with it."""
        own = {f"synthesis.{name}": value for name, value in self.average.items()}

        def replace(name: str, tensor: Tensor) -> Tensor:
            if name not in own:
                return alias(tensor, tensor)
            return nn.Parameter(own[name].detach().to(tensor.dtype, copy=True), tensor.requires_grad)

        with torch.inference_mode(False), torch.no_grad():
            child = rebuild(self.base, replace)
        score = None if self.last_score is None else asdict(self.last_score)
        notes = {"pairs": {"count": self.pairs, "steps": self.step, "options": asdict(self.options), "score": score}}
        child.info = self.base.info.child(self.base.info.family, notes)
        return child

    def save(self, path: str | Path) -> Path:
        """The run's state as one safetensors file, whole or not at all; replaces an earlier one."""
        tensors = {f"own.{n}": p for n, p in self._own.items()} | {f"average.{n}": p for n, p in self.average.items()}
        for name, entry in self.optimizer.by_name(self._own).items():
            tensors |= {f"adam.{key}.{name}": value for key, value in entry.items()}
        facts = {"family": FAMILY, "step": self.step, "recent": self.recent, "pairs": self.pairs,
                 "options": asdict(self.options), "base": self._base_facts()}
        return write_safetensors(path, tensors, facts, overwrite=True)

    def _base_facts(self) -> dict[str, Any]:
        frozen = {f"{k}.{name}": p for k, part in enumerate(self._frozen) for name, p in part.items()}
        return {"config": plain_config(self.base.config), "weights": fingerprint(frozen)}

    def resume(self, path: str | Path) -> None:
        """Go on where `save` wrote: bit-equal on one device to never having stopped.

        options may differ in `steps` alone. Raises LoadError, InvalidInput (another base, other settings).
        """
        contents = read_file(path)
        own = read_json(contents.metadata)
        if own is None or own.get("family") != FAMILY:
            raise LoadError(f"{contents.path.name} holds no run on pairs; give a file that PairsTrainer.save wrote.")
        theirs, mine = {**asdict(PairsOptions()), **own.get("options", {})}, asdict(self.options)
        changed = sorted(k for k in theirs.keys() | mine.keys() if theirs.get(k) != mine.get(k) and k != "steps")
        if changed or own.get("base") != self._base_facts():
            what = f"was made with other settings ({', '.join(changed)})" if changed else "belongs to another base or partners"
            raise InvalidInput(f"The run {contents.path.name} {what}; only steps may change, or begin a new run.")
        tensors = {key: lazy.read().clone() for key, lazy in contents.tree.items()}
        try:
            with torch.inference_mode(False), torch.no_grad():
                for name, p in self._own.items():
                    p.copy_(tensors[f"own.{name}"])
                    self.average[name].copy_(tensors[f"average.{name}"])
                keys = ("step", "exp_avg", "exp_avg_sq")
                state = {n: {k: tensors[f"adam.{k}.{n}"] for k in keys} for n in self._own} if own["step"] else {}
                self.optimizer.load_by_name(self._own, state)
            self.step, self.pairs = int(own["step"]), int(own["pairs"])
            self.recent.update(own["recent"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise LoadError(f"{contents.path.name} contradicts itself ({error}); begin the run again.") from error
