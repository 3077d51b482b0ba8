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
"""dict of keyword arguments for stylegan_core.invert that replace a preset's."""
