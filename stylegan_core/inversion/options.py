"""Every number of the optimization, and the presets."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, get_args

from ..engine import ramp
from ..errors import InvalidInput
from ..losses.reconstruction import LossWeights
from ..options import check_numbers

LpipsNetwork = Literal["alex", "vgg"]
IdentityNetwork = Literal["embedded", "ir_se50"]


@dataclass(frozen=True)
class InversionOptions:
    """Defaults are the "standard" preset. A weight of 0 leaves its loss out (and its network unloaded)."""

    steps: int = 250
    start_step: int = 0
    """Steps that an earlier run has done of these: the schedule goes on there, from its latents."""
    natural: bool = True
    """Optimize w and w+ in whitened coordinates: fewer steps, and codes that blend and edit well (see Coordinates)."""
    lr: float = 0.1
    """Adam's peak learning rate, for codes and noise maps alike."""
    ramp_up: float = 0.05
    """Part of the run over which the rate rises linearly from 0."""
    ramp_down: float = 0.25
    """Last part of the run, over which it falls to 0 along a cosine."""
    lpips: float = 1.0
    lpips_network: LpipsNetwork = "alex"
    """alex is embedded; vgg (smoother, slower) needs files, see loss_networks."""
    jitter: bool = True
    """Let LPIPS see the pictures from four offsets in turn; its strided layers else leave a fine grid in the result."""
    l2: float = 0.5
    """Weight of the mean squared difference on [-1, 1]."""
    identity: float = 0.2
    """Weight of the distance between face embeddings (0 same, 0.6 another person); photographs only."""
    identity_network: IdentityNetwork = "embedded"
    """ir_se50 (ArcFace, as encoders are trained with: 1 - cosine) needs its file, see loss_networks."""
    landmarks: float = 0.0
    """What pixels at the eyes, nose tip and mouth corners count on top of 1, in lpips and l2."""
    deviation: float = 0.05
    """Weight of the mean squared distance of the rows of w+ or z+ from their mean, in units of the codes' variance."""
    noise_regularization: float = 1e5
    """Weight of the noise maps' autocorrelation (Karras et al. 2020, 1912.04958, appendix D)."""
    perturbation: float = 0.05
    """Noise added to the code, in units of its spread; fades out as max(0, 1 - t / perturbation_end)^2."""
    perturbation_end: float = 0.75
    optimize_noise: bool = False
    """Fit the noise maps too. Sharper, but details then live in the maps and not in the code."""
    full_size: bool = False
    """Optimize the built-in 1024 px base at 1024 px, not in its 256 px variant (see small_variant): eight times as slow."""
    full_steps: int = 7
    """Of the steps, the last ones that see what the 1024 px base itself draws, where the others run in its 256 px variant; a
    quarter of the steps at most. They cost four times as much, and bring more than any number of steps in the variant."""
    patience: int = 80
    """Stop an image whose loss has not fallen by `tolerance` (relative) within so many steps; 0: never."""
    tolerance: float = 0.002
    loss_size: int = 256
    """Losses see images shrunk by area to at most so many pixels."""
    chunk: int = 8
    """Images in one pass at most (a CPU takes large ones singly); halved when memory runs out, without changing the result."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("lpips_network", LpipsNetwork), ("identity_network", IdentityNetwork)):
            if getattr(self, name) not in get_args(known):
                raise InvalidInput(f'Inversion got {name} = "{getattr(self, name)}"; use one of {", ".join(get_args(known))}.')
        check_numbers(self, "Inversion", ("steps", "chunk", "loss_size"))
        if self.start_step >= self.steps:
            raise InvalidInput(f"Inversion got start_step = {self.start_step} of {self.steps} steps, which leaves none to do; "
                               f"give more steps.")

    def learning_rate(self, t: float) -> float:
        """Rate at progress t (0..1): linear rise, plateau, cosine fall (Karras et al. 2020, appendix D).

        The rise begins at start_step, where Adam's averages begin anew.
        """
        return self.lr * ramp(t, self.ramp_up, self.ramp_down, self.start_step / self.steps)

    @property
    def small_steps(self) -> int:
        """Steps before full_steps begin."""
        return self.steps - min(self.full_steps, self.steps // 4)

    def progress(self, step: int, full: bool = False) -> float:
        """Of step 1, 2, ... in the schedule; the full steps go through its last quarter, so that they still move."""
        return 1 - (self.steps - step) / (self.steps - self.small_steps) / 4 if full else step / self.steps

    def losses(self) -> LossWeights:
        """What the reconstruction loss takes of these."""
        return LossWeights(**{field.name: getattr(self, field.name) for field in fields(LossWeights)})

    def noise_strength(self, t: float, spread: float) -> float:
        """Standard deviation of the code's perturbation at progress t."""
        left = max(0.0, 1 - t / self.perturbation_end) if self.perturbation_end else 0.0
        return spread * self.perturbation * left**2


PRESETS: dict[str, InversionOptions] = {
    "quick": InversionOptions(steps=30, lr=0.15, perturbation=0.0, patience=0),
    "draft": InversionOptions(steps=80, perturbation=0.0, patience=0),
    "standard": InversionOptions(),
    "high": InversionOptions(steps=1000, optimize_noise=True, patience=150),
    "textbook": InversionOptions(steps=1000, natural=False, jitter=False, l2=0.1, identity=0.0, deviation=0.0,
                                 optimize_noise=True, patience=0),
}
"""quick: a polish for an encoder's codes. textbook: the projector of Karras et al. 2020 with LPIPS, as published
implementations run it."""
