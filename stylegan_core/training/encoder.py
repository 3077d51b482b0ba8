"""An encoder for any generator, learnt from the generator's own samples, whose codes are known.

First codes alone (cheap steps), then through the generator as well: L2, LPIPS and identity between what the code draws and the
picture. The pictures are changed to look like photographs: moved, blurred, noisy, tinted, partly covered.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checkpoints.saving import save
from ..engine import FitOptions, Fitting, RunFolder, frozen, gradients, read_log, weighted_total
from ..errors import InvalidInput
from ..inversion.spaces import Coordinates, coordinates
from ..latents import mapping_hash, sample_z, truncate
from ..losses.identity import IdentityLoss
from ..losses.perceptual import LPIPS
from ..networks.encoders.compact import SEEN, CompactEncoder, CompactEncoderConfig
from ..networks.generators.base import Generator, plain_generator
from ..ops.resize import resize_area, to_rgb
from ..options import check_numbers
from ..pictures.files import write_image
from ..pictures.sheets import contact_sheet
from ..runtime import OnStep
from .shown import with_curves

LEADING = 256
"""Whitened coordinates that count one by one; the rest only by their share of the code's variance."""
TRUNK_RATE = 0.3
"""Learning rate of the pretrained trunk, as a share of the others'."""
MIX_PROBABILITY = 0.3
HELD_OUT = 1_000_000
"""Sample numbers from here on are never trained on."""
SCORED, SHOWN, PREVIEWS, CELL = 16, 6, 20, 192
LOSS_SIZE = 256


@dataclass(frozen=True)
class EncoderOptions:
    """Every number of a run."""

    steps: int = 4000
    """On codes alone."""
    image_steps: int = 400
    """Through the generator as well, after them; 0: none."""
    batch: int = 16
    image_batch: int = 4
    lr: float = 6e-4
    code: float = 0.3
    """Weight of the codes' error while pictures are compared as well."""
    l2: float = 0.5
    lpips: float = 1.0
    identity: float = 0.4
    seed: int = 0

    def __post_init__(self) -> None:
        check_numbers(self, "Training an encoder", ("steps", "batch", "image_batch"))
        if self.image_steps and not any((self.code, self.l2, self.lpips, self.identity)):
            raise InvalidInput("Training an encoder needs one loss with a weight above 0.")


@dataclass(frozen=True)
class EncoderResult:
    """What a training of an encoder gives."""

    encoder: CompactEncoder
    comparison: Tensor
    """Unseen samples above what their codes draw, [1, 3, h, w] in [-1, 1]."""
    report: str


@dataclass(frozen=True)
class EncoderScore:
    """Over unseen samples."""

    count: int
    code: float
    """Share of the codes' variance that is missed, and the error of the leading coordinates."""
    lpips: float
    identity: float


def fresh_encoder(base: Generator, seed: int = 0) -> tuple[CompactEncoder, Coordinates]:
    """AlexNet's features, a neck of seeded random weights, and the whitened space of base's mapping, its widest axes first.
    Raises InvalidInput."""
    if base.c_dim:
        raise InvalidInput(f"The model has {base.c_dim} classes; an encoder can be trained for one without.")
    found = coordinates(base, "w+", whitened=True)
    assert found.axes is not None and found.center is not None
    space = Coordinates(found.start.flip(0), 1.0, 1.0, found.center, found.axes.flip(1))
    own = min(CompactEncoderConfig.own_dims, base.w_dim)
    config = CompactEncoderConfig(base.num_ws, base.w_dim, own_dims=own, mapping_hash=mapping_hash(base.mapping),
                                  model_resolution=base.img_resolution, model_family=base.kind)
    with torch.random.fork_rng(devices=[]):
        encoder = CompactEncoder(config).to(space.center)
    _draw_weights(encoder, seed)
    encoder.trunk.load_state_dict(LPIPS.embedded().trunk.state_dict())
    encoder.center, encoder.axes = found.center.clone(), found.axes.flip(1).contiguous()
    with torch.no_grad():
        encoder.own.weight.mul_(0.1)
        encoder.common.weight.mul_(0.3)
    return encoder, space


@torch.no_grad()
def _draw_weights(network: nn.Module, seed: int) -> None:
    """torch's usual uniform start of convolutions and linear layers, from a seed of its own."""
    draw = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            bound = module.weight[0].numel() ** -0.5
            for p in module.parameters(recurse=False):
                p.copy_((torch.rand(p.shape, generator=draw) * 2 - 1) * bound)


@torch.no_grad()
def sample_ws(base: Generator, number: int) -> Tensor:
    """[1, num_ws, w_dim]: a truncated sample (psi 0.4 to 1), in three of ten cases mixed with a second one."""
    rng = np.random.RandomState(number & 0xFFFFFFFF)
    psi, mixed, crossover = rng.uniform(0.4, 1.0), rng.rand() < MIX_PROBABILITY, rng.randint(1, max(base.num_ws, 2))
    like = next(base.parameters())
    w = base.mapping.to_w(sample_z([number, number + 500_000], base.z_dim).to(like))
    ws = truncate(w[:, None].expand(-1, base.num_ws, -1), base.mapping.center(), float(psi))
    return torch.cat([ws[:1, :crossover], ws[1:, crossover:]], dim=1) if mixed else ws[:1].clone()


def augment(images: Tensor, rng: np.random.RandomState) -> Tensor:
    """[B, 3, S, S] in [-1, 1] -> [B, 3, 160, 160] as photographs come: a little off, blurred, noisy, tinted, partly covered."""
    b, size = len(images), SEEN
    angle, zoom = rng.uniform(-0.06, 0.06, b), rng.uniform(0.95, 1.05, b)
    shift = rng.uniform(-0.03, 0.03, (b, 2))
    theta = np.stack([np.stack([zoom * np.cos(angle), -zoom * np.sin(angle), shift[:, 0]], 1),
                      np.stack([zoom * np.sin(angle), zoom * np.cos(angle), shift[:, 1]], 1)], 1)
    grid = F.affine_grid(torch.from_numpy(theta).to(images), [b, 3, size, size], align_corners=False)
    x = F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    if rng.rand() < 0.5:
        small = int(size / rng.uniform(1.0, 2.0))
        x = F.interpolate(F.interpolate(x, (small, small), mode="area"), (size, size), mode="bilinear")
    x = x * _column(rng.uniform(0.92, 1.08, (b, 1)), x) + _column(rng.uniform(-0.06, 0.06, (b, 3)), x)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(int(rng.randint(2**31)))).to(x)
    x = x + noise * _column(rng.uniform(0, 0.05, (b, 1)), x)
    for i in np.flatnonzero(rng.rand(b) < 0.25):
        h, w = rng.randint(10, 45, 2)
        y, z = rng.randint(size - h), rng.randint(size - w)
        x[i, :, y : y + h, z : z + w] = torch.from_numpy(rng.uniform(-1, 1, (3, 1, 1))).to(x)
    return x.clamp(-1, 1)


def _column(values: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(values).to(like)[:, :, None, None]


def code_loss(got: Tensor, want: Tensor, scale: Tensor) -> Tensor:
    """Whitened codes [B, num_ws, w_dim], scale [w_dim] (the axes' variances) -> the share of the codes' variance that is
    missed, plus the mean squared error of the leading coordinates."""
    error = (got - want).square()
    return (error * scale).sum(-1).mean() / scale.sum() + 0.2 * error[..., :LEADING].mean()


class EncoderTraining:
    """One run, of two parts; a step depends on its number and the weights alone."""

    def __init__(self, base: Generator, options: EncoderOptions, folder: RunFolder | None = None) -> None:
        """base stays as it is. Raises InvalidInput."""
        self.options, self.folder, self.info = options, folder, base.info
        with gradients():
            self.base = frozen(base)
            self.encoder, self.space = fresh_encoder(self.base, options.seed)
            assert self.space.axes is not None
            self.scale = self.space.axes.square().sum(0)
            device = next(self.base.parameters()).device
            self.lpips, self.identity = LPIPS.embedded().to(device), IdentityLoss.embedded().to(device)
            fit = FitOptions(options.steps + options.image_steps, options.lr, warm_up=50, average=0.998, clip=1.0,
                             save_every=50, save_seconds=60)
            self.fitting = Fitting(dict(self.encoder.named_parameters()), self._step, fit, self._share, folder,
                                   {"encoder": self.encoder})

    def _share(self, name: str) -> float:
        return TRUNK_RATE if name.startswith("trunk.") else 1.0

    def samples(self, first: int, count: int) -> tuple[Tensor, Tensor]:
        """(codes, pictures) of sample numbers first, first + 1, ...; pictures of 256 px at most, RGB."""
        with torch.no_grad():
            ws = torch.cat([sample_ws(self.base, first + i) for i in range(count)])
            drawn = torch.cat([self._shrunk(self.base.synthesis(w[None])) for w in ws])
        return ws, drawn.clamp(-1, 1)

    def _shrunk(self, images: Tensor) -> Tensor:
        return resize_area(to_rgb(images), min(images.shape[-1], LOSS_SIZE))

    def _step(self, number: int) -> dict[str, Tensor]:
        options = self.options
        through = number >= options.steps
        batch = options.image_batch if through else options.batch
        rng = np.random.RandomState([options.seed, number])
        ws, clean = self.samples((options.seed * 31 + number) * 64 % HELD_OUT, batch)
        got = self.encoder.coordinates(augment(clean, rng))
        terms = {"code": code_loss(got, self.space.from_code(ws), self.scale)}
        weights = {"code": 1.0}
        if through:
            weights = {name: getattr(options, name) for name in ("code", "l2", "lpips", "identity")}
            drawn = self._shrunk(self.base.synthesis(self.encoder.to_code(got)))
            y, x = rng.randint(4, size=2)
            terms |= {"l2": (drawn - clean).square().mean(),
                      "lpips": self.lpips(drawn[..., y:, x:], clean[..., y:, x:]).mean(),
                      "identity": self.identity(drawn, clean).mean()}
        weighted_total(terms, weights).backward()
        return {name: value.detach() for name, value in terms.items()}

    def run(self, on_step: OnStep | None = None) -> None:
        """All steps left; cancelled by what on_step raises, the state is kept."""
        every = max(self.fitting.steps // PREVIEWS, 1)

        def tell(step: int, steps: int, _: Tensor | None) -> None:
            self.fitting.losses()
            picture = None
            if step % every == 0 and self.folder is not None:
                self.folder.log({"iteration": step, "loss": {k: round(v, 6) for k, v in self.fitting.recent.items()}})
                picture = with_curves(self.compare(), read_log(self.folder.path)) if on_step is not None else None
            if on_step is not None:
                on_step(step, steps, picture)

        self.fitting.run(tell)
        if self.folder is not None:
            self.fitting.save()

    @torch.no_grad()
    def compare(self) -> Tensor:
        """Unseen samples above what the averaged encoder's codes draw."""
        _, clean = self.samples(HELD_OUT, SHOWN)
        codes = self.result().encode(clean).tensor
        drawn = torch.cat([self._shrunk(self.base.synthesis(w[None])) for w in codes])
        return contact_sheet(torch.cat([clean, drawn]).float().cpu(), SHOWN, cell=CELL, row_titles=("sample", "code"))

    @torch.no_grad()
    def score(self) -> EncoderScore:
        encoder, found = self.result(), []
        for first in range(0, SCORED, 4):
            ws, clean = self.samples(HELD_OUT + first, 4)
            got = encoder.coordinates(clean if clean.shape[-1] >= SEEN else F.interpolate(clean, (SEEN, SEEN), mode="bilinear"))
            drawn = torch.cat([self._shrunk(self.base.synthesis(w[None])) for w in encoder.to_code(got)])
            found.append(torch.stack([code_loss(got, self.space.from_code(ws), self.scale), self.lpips(drawn, clean).mean(),
                                      self.identity(drawn, clean).mean()]))
        return EncoderScore(SCORED, *(float(x) for x in torch.stack(found).mean(0)))

    def result(self) -> CompactEncoder:
        """The averaged encoder with its licence chain, in eval mode."""
        with gradients():
            encoder = frozen(self.encoder)
            self.fitting.average.copy_into(encoder)
        notes = {"encoder_training": {"steps": self.fitting.steps_done, "options": asdict(self.options)}}
        encoder.info = self.info.child(encoder.family, notes)
        return encoder


def train_encoder(base: Generator, out: str | Path, options: EncoderOptions | None = None, resume: bool = False,
                  on_step: OnStep | None = None) -> EncoderResult:
    """An encoder for base; `out` is the run's folder, where encoder.safetensors comes to lie. Cancelling (on_step raises) keeps
    what was learnt; resume goes on. Raises InvalidInput and TrainingStopped."""
    base, options = plain_generator(base), options or EncoderOptions()
    settings = {**asdict(options), "recipe": "encoder", "base": base.info.known_as}
    with RunFolder(out, settings, resume) as folder:
        try:
            training = EncoderTraining(base, options, folder)
            try:
                training.run(on_step)
            finally:
                folder.guard(lambda: save(training.result(), folder.path / "encoder.safetensors", overwrite=True))
            comparison, score = training.compare(), training.score()
            folder.guard(lambda: write_image(comparison, folder.path / "comparison.png", overwrite=True))
        finally:
            folder.forget()
    report = (f"{training.fitting.steps_done} steps; on {score.count} unseen samples LPIPS {score.lpips:.3f}, identity "
              f"distance {score.identity:.3f}, code error {score.code:.3f} (lower is nearer).\nLicence inherited from the "
              f"parent: {base.info.licence}.")
    return EncoderResult(training.result(), comparison, report)
