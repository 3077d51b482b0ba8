"""The bundled workflows as descriptions: name -> (nodes, prefix of the picture that becomes the thumbnail)."""

from __future__ import annotations

from .inversion import EDIT_WITH_DIRECTIONS, INVERT_AND_COMPARE, TOONIFY_VIDEO
from .parts import Node, Out
from .style import DESTYLIZE_AND_RESTYLE, EXEMPLAR_TRANSFER, PORTRAIT_GENERATOR, STYLE_GRID, UNSEEN_STYLE
from .toonify import BLEND_GRID, SAMPLE_AND_MIX, TOONIFY

__all__ = ["WORKFLOWS", "Node", "Out"]

WORKFLOWS: dict[str, tuple[list[Node], str]] = {
    "toonify_portrait": (TOONIFY, "5_pasted"),
    "sample_and_mix": (SAMPLE_AND_MIX, "mixed"),
    "blend_grid": (BLEND_GRID, "grid"),
    "invert_and_compare": (INVERT_AND_COMPARE, "2_optimized"),
    "edit_with_directions": (EDIT_WITH_DIRECTIONS, "sweep"),
    "toonify_video": (TOONIFY_VIDEO, "frame"),
    "exemplar_transfer": (EXEMPLAR_TRANSFER, "style"),
    "style_grid": (STYLE_GRID, "cell"),
    "destylize_and_restyle": (DESTYLIZE_AND_RESTYLE, "3_restyled"),
    "unseen_style": (UNSEEN_STYLE, "3_faces"),
    "portrait_generator": (PORTRAIT_GENERATOR, "new"),
}
