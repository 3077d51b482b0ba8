"""What travels on the pack's own wires."""

from __future__ import annotations

from comfy_api.latest import io

StyleGAN = io.Custom("ATELIER_STYLEGAN")
"""residency.Resident: a generator and its place on the device."""
Latent = io.Custom("ATELIER_LATENT")
"""stylegan_core.Latents, on the CPU."""
Faces = io.Custom("ATELIER_FACES")
"""list of stylegan_core's aligned faces: where each crop sits in which image."""
InversionOptions = io.Custom("ATELIER_INVERSION_OPTIONS")
"""stylegan_core.InversionOptions: every number, in place of a preset's."""
Encoder = io.Custom("ATELIER_ENCODER")
"""residency.Resident: an encoder and its place on the device."""
History = io.Custom("ATELIER_HISTORY")
"""dict of stylegan_core.InversionResult.history: each loss by step, [steps, batch]."""
Delta = io.Custom("ATELIER_DELTA")
"""stylegan_core.Delta: what tuning adds to a generator."""
Style = io.Custom("ATELIER_STYLE")
"""stylegan_core.Styles: extrinsic codes and their names, on the CPU."""
StyleSampler = io.Custom("ATELIER_STYLE_SAMPLER")
"""residency.Resident: a style sampler and its place on the device."""
Direction = io.Custom("ATELIER_DIRECTION")
"""stylegan_core.Directions, on the CPU."""
TrainingData = io.Custom("ATELIER_TRAINING_DATA")
"""stylegan_core.training.PictureSet: checked pictures, mapped from a file."""
TrainingOptions = io.Custom("ATELIER_TRAINING_OPTIONS")
"""dict: fields of stylegan_core.training.TransferOptions, in place of a preset's."""
