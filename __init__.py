"""StyleGAN Atelier as a ComfyUI node pack: the door. Nothing heavy is imported before ComfyUI asks for the nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from comfy_api.latest import ComfyExtension

WEB_DIRECTORY = "./web"

__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]


def comfy_entrypoint() -> ComfyExtension:
    """Called by ComfyUI once: registers the model folders, lays the examples into input, and returns the pack's nodes."""
    from .nodes import AtelierExtension
    from .nodes.files import place_examples, register_folders

    register_folders()
    place_examples()
    return AtelierExtension()
