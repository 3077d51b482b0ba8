"""(family, layout) of a state by the table; a clear refusal with what is known otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from ..errors import UnsupportedCheckpoint
from .layout import Layout, SourceState
from .layouts import LAYOUTS

TELLING = 5


@dataclass(frozen=True)
class Foreign:
    """Something well known that is not supported: how it is told, and its sentence."""

    tells: tuple[str, ...]
    sentence: str


FOREIGN: tuple[Foreign, ...] = (
    Foreign((r".*(?:iwt|dwt).*",),
            "is a SWAGAN (wavelet StyleGAN2), which is not supported; use a plain StyleGAN2"),
    Foreign((r"(?:synthesis/)?ToRGB_lod\d+/.*", r".*/mod_weight"),
            "is a StyleGAN2 of config B to D (ToRGB_lod heads), which is not supported; use one of config E or F"),
    Foreign((r"(?:synthesis/)?\d+x\d+/ToRGB_lod\d+/.*", r".*/mod_weight"),
            "is a StyleGAN2 of config B to D (ToRGB_lod heads), which is not supported; use one of config E or F"),
    Foreign((r"4x4/Dense/weight", r"ToRGB_lod\d+/weight"),
            "is a Progressive GAN (it has no style inputs), which is not supported; use StyleGAN 1, 2 or 3"),
    Foreign((r"mapping\.embed_proj\..*",),
            "is a StyleGAN-XL, which is not supported; use StyleGAN3"),
    Foreign((r"synthesis\.first_stage.*|.*\.head_layer_names.*",),
            "is a StyleGAN-XL, which is not supported; use StyleGAN3"),
    Foreign((r".*backbone.*", r"(?:synthesis\.)?.*superresolution.*"),
            "is an EG3D model (a 3-D GAN), which is not supported; use StyleGAN 1, 2 or 3"),
    Foreign((r"(?:model\.)?diffusion_model\..*",),
            "is a diffusion checkpoint, not a StyleGAN; load it with Load Checkpoint"),
    Foreign((r"(?:double_blocks|transformer_blocks|down_blocks|input_blocks)\..*",),
            "is a diffusion model, not a StyleGAN; load it with Load Diffusion Model"),
    Foreign((r".*(?:lora_up|lora_down|lora_A|lora_B|hada_w1_a|lora\.up|lora\.down).*",),
            "is a LoRA for diffusion models, not a StyleGAN; load it with Load LoRA"),
    Foreign((r".*text_model\.encoder\.layers\..*",),
            "is a CLIP text encoder, not a StyleGAN; load it with Load CLIP"),
    Foreign((r"(?:control_model|controlnet.*|input_hint_block)\..*",),
            "is a ControlNet, not a StyleGAN; load it with Load ControlNet Model"),
    Foreign((r"(?:first_stage_model\.)?decoder\.(?:conv_in|mid|up)\..*",
             r"(?:first_stage_model\.)?encoder\.(?:conv_in|down|mid)\..*"),
            "is a VAE, not a StyleGAN; load it with Load VAE"),
    Foreign((r"synthesis/.*",),
            "is a TensorFlow network but neither StyleGAN 1 nor StyleGAN 2 (config E or F); use NVIDIA's own release"),
    Foreign((r"(?:model\.)?model\.\d+\.conv_block\..*|.*netG_A.*",),
            "is a CycleGAN, not a StyleGAN; use StyleGAN 1, 2 or 3"),
    *(Foreign(tells, "holds the discriminator of a Progressive GAN or of a StyleGAN1 not by NVIDIA, which is not supported; "
                     "use NVIDIA's StyleGAN1 or a StyleGAN2's")
      for tells in ((r"FromRGB_lod\d+/weight",), (r"from_rgb\.\d+\.conv\.weight_orig", r"progression\.\d+\.conv2\..*"))),
    Foreign((r"(?:.*\.)?mapping\.dense0\.weight", r"(?:.*\.)?synthesis\.layer0\..*"),
            "has the keys of a genforce generator, a layout that is not supported; use NVIDIA's or rosinality's file of it"),
    Foreign((r"(?:GAN\.)?G\.blocks\.\d+\.to_style1\.weight", r"(?:GAN\.)?S\.net\.0\.weight"),
            "has the keys of a lucidrains StyleGAN2, another architecture under that name, which is not supported; use "
            "NVIDIA's or rosinality's"),
    Foreign((r"lin4\.model\.1\.weight",),
            "holds the LPIPS weights of a perceptual distance, which losses use; choose a generator's file"),
    Foreign((r"features\.0\.weight", r"heads\.\d\.weight"),
            "holds the network and weights of LPIPS, a perceptual distance, which losses use; choose a generator's file"),
    Foreign((r"features\.0\.weight", r"features\.\d+\.bias"),
            "is an image classifier's feature network, which losses use; choose a generator's file"),
    Foreign((r"pnet\.conv1\.weight", r"onet\.conv1\.weight"),
            "is the face detector MTCNN, which Align Faces uses; choose a generator's file"),
    Foreign((r"conv256_down_out\.conv1\.weight", r"conv32_1\.conv1\.weight"),
            "is a face identity network, which losses use; choose a generator's file"),
)


def find_layout(state: SourceState) -> Layout:
    """The first matching row. Raises UnsupportedCheckpoint: what the file is, or what it comes nearest to."""
    for layout in LAYOUTS:
        if layout.matches(state):
            return layout
    for foreign in FOREIGN:
        if all(map(state.has, foreign.tells)):
            raise UnsupportedCheckpoint(f"The file {foreign.sentence}.")
    refuse(state)


def refuse(state: SourceState) -> NoReturn:
    """Raise with the five most telling keys, the nearest layout and what differs."""
    def matched(layout: Layout) -> float:
        return sum(map(state.has, layout.tells)) / len(layout.tells) - 0.1 * sum(map(state.has, layout.never))

    nearest = max(LAYOUTS, key=matched)
    absent = [tell for tell in nearest.tells if not state.has(tell)]
    present = [never for never in nearest.never if state.has(never)]
    differs = [f"it has no {_readable(p)}" for p in absent] + [f"it has {_readable(p)}" for p in present]
    near = "it resembles no known kind"
    if matched(nearest) > 0 and differs:
        near = f"the nearest known kind is {nearest.title}, but {' and '.join(differs[:3])}"
    raise UnsupportedCheckpoint(
        f"The file holds an unknown network with {', '.join(telling_keys(state))}; {near}; choose a StyleGAN "
        "checkpoint."
    )


def telling_keys(state: SourceState) -> list[str]:
    """Up to five keys with shapes: the largest tensor of each top-level part, largest first."""
    best: dict[str, str] = {}
    for key in sorted(state.tensors, key=lambda k: -state.tensors[k].numel):
        best.setdefault(key.replace("/", ".").split(".")[0], key)
    names = dict.fromkeys([*best.values(), *state.tensors])
    return [f"{key[:80]} {list(state.tensors[key].shape)}" for key in list(names)[:TELLING]]


def _readable(pattern: str) -> str:
    return pattern.replace(r"\d+", "N").replace("\\", "").replace(".*", "*")
