"""How the pack's models are made: losses, augmentation, schedules, the trainer."""

from ..losses.adversarial import (
    discriminator_loss,
    generator_loss,
    path_lengths,
    r1_penalty,
    wgan_generator_loss,
    wgan_gp_discriminator_loss,
)
from .ada import AdaController, augment, draw_augmentations
from .augmentation import apply_augmentations
from .options import TrainOptions
from .pairs import PairsScore, PairsTrainer
from .pairs_options import PairsOptions
from .progressive import ProgressiveSchedule, Stage, process_reals
from .sampler import SamplerTraining, train_sampler
from .trainer import PhaseInputs, Trainer, split_rows

__all__ = [
    "AdaController", "PairsOptions", "PairsScore", "PairsTrainer", "PhaseInputs", "ProgressiveSchedule",
    "SamplerTraining", "Stage", "TrainOptions", "Trainer",
    "apply_augmentations", "augment", "discriminator_loss", "draw_augmentations", "generator_loss", "path_lengths",
    "process_reals", "r1_penalty", "split_rows", "train_sampler", "wgan_generator_loss", "wgan_gp_discriminator_loss",
]
