"""How the pack's models are made: losses, augmentation, schedules, the trainer."""

from ..engine import RunFolder, read_log
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
from .data import PictureSet, prepare_pictures
from .dual_options import DualOptions
from .dual_recipe import DualResult, train_dual
from .options import TrainOptions
from .pairs import PairsScore, PairsTrainer
from .pairs_options import PairsOptions
from .progressive import ProgressiveSchedule, Stage, process_reals
from .sampler import SamplerTraining, train_sampler
from .style_sampler import check_sampler, fit_sampler
from .trainer import PhaseInputs, Trainer, split_rows
from .transfer import Transfer, TransferResult
from .transfer_options import TransferOptions, open_run, preset_options

__all__ = [
    "AdaController", "DualOptions", "DualResult", "PairsOptions", "PairsScore", "PairsTrainer", "PhaseInputs", "PictureSet",
    "ProgressiveSchedule", "RunFolder", "SamplerTraining", "Stage", "TrainOptions", "Trainer", "Transfer", "TransferOptions",
    "TransferResult", "apply_augmentations", "augment", "check_sampler", "discriminator_loss", "draw_augmentations",
    "fit_sampler", "generator_loss", "open_run", "path_lengths", "prepare_pictures", "preset_options", "process_reals",
    "r1_penalty", "read_log", "split_rows", "train_dual", "train_sampler", "wgan_generator_loss",
    "wgan_gp_discriminator_loss",
]
