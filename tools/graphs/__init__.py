"""The bundled workflows and blueprints as descriptions."""

from __future__ import annotations

from .inversion import EDIT_WITH_DIRECTIONS, INVERT_AND_COMPARE, TOONIFY_VIDEO, VIDEO_BLUEPRINT
from .parts import Blueprint, Group, Node, Out
from .style import (
    DESTYLIZE_AND_RESTYLE,
    DESTYLIZE_BLUEPRINT,
    EXEMPLAR_TRANSFER,
    PORTRAIT_GENERATOR,
    STYLE_GRID,
    TRANSFER_BLUEPRINT,
    UNSEEN_STYLE,
)
from .toonify import BLEND_GRID, SAMPLE_AND_MIX, TOON_INTO_PIPELINE, TOONIFY, TOONIFY_BLUEPRINT, TOONIFY_FOLDER
from .training import DISTILL_A_LOOK, SCORE_A_MODEL, STYLE_FROM_ONE_DRAWING, TRAIN_DUAL_STYLE, TRAIN_YOUR_STYLE

__all__ = ["BLUEPRINTS", "WORKFLOWS", "Blueprint", "Group", "Node", "Out"]

WORKFLOWS: dict[str, tuple[list[Group], str]] = {
    "toonify_portrait": (TOONIFY, "5_pasted"),
    "toonify_folder": (TOONIFY_FOLDER, "pasted"),
    "toonify_video": (TOONIFY_VIDEO, "toon"),
    "toon_into_pipeline": (TOON_INTO_PIPELINE, "blurred"),
    "sample_and_mix": (SAMPLE_AND_MIX, "mixed"),
    "blend_grid": (BLEND_GRID, "grid"),
    "invert_and_compare": (INVERT_AND_COMPARE, "2_optimized"),
    "edit_with_directions": (EDIT_WITH_DIRECTIONS, "sweep"),
    "exemplar_transfer": (EXEMPLAR_TRANSFER, "style"),
    "style_grid": (STYLE_GRID, "cell"),
    "destylize_and_restyle": (DESTYLIZE_AND_RESTYLE, "3_restyled"),
    "unseen_style": (UNSEEN_STYLE, "3_faces"),
    "portrait_generator": (PORTRAIT_GENERATOR, "new"),
    "distill_a_look": (DISTILL_A_LOOK, "drawn"),
    "train_your_style": (TRAIN_YOUR_STYLE, "docs/transfer_time.jpg"),
    "train_dual_style": (TRAIN_DUAL_STYLE, "1_drawings"),
    "style_from_one_drawing": (STYLE_FROM_ONE_DRAWING, "drawn"),
    "score_a_model": (SCORE_A_MODEL, "fid"),
}
"""Name -> what stands on the canvas, and the prefix of the picture that becomes the thumbnail; where a run to its end takes an
hour, a picture of the documentation that shows one."""

BLUEPRINTS: dict[str, Blueprint] = {
    "Toonify Portrait": TOONIFY_BLUEPRINT,
    "Transfer Portrait Style": TRANSFER_BLUEPRINT,
    "Destylize Portrait": DESTYLIZE_BLUEPRINT,
    "Toonify Video": VIDEO_BLUEPRINT,
}
"""Jobs that newer editors offer as one node."""
