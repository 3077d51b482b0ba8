"""Where nodes lie: groups are columns from left to right, nodes below each other, nothing overlaps, also after a run.

sizes.json holds what the editors themselves need for each node (tools/host/measure.py asks them); what a node shows after a
run needs room on top.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .parts import Group, Node

SIZES: dict[str, list[int]] = json.loads(Path(__file__).with_name("sizes.json").read_text(encoding="utf-8"))
WIDTH, TITLE, GAP, MARGIN, HEADER = 340, 40, 30, 20, 50
"""Pixels: a node's least width, the bar above it, between nodes, from node to group, a group's own bar."""
PICTURE, LIVE, TEXT = 440, 320, 110
"""Pixels of a picture, of a live preview (Vue nodes keep it below the picture), of a field with text."""
SHOWS_PICTURE = {
    "LoadImage", "SaveImage", "PreviewImage", "SaveVideo", "AtelierAlignFaces", "AtelierInvertWithEncoder",
    "AtelierInvertByOptimization", "AtelierInvertVideo", "AtelierTuneModelToImage", "AtelierReconstructionReport",
    "AtelierBlendPreviewGrid", "AtelierDirectionPreviewGrid", "AtelierPickStyle", "AtelierRecommendStyle",
    "AtelierDestylizePortrait", "AtelierRefineStyle", "AtelierSampleTrainingPairs", "AtelierFineTuneOnPairs",
    "AtelierTrainingData", "AtelierFineTuneStyleGAN", "AtelierTrainGANEncoder", "AtelierTrainDualStyleGAN",
    "AtelierTrainingCurves", "AtelierFID", "AtelierPerceptualPathLength", "AtelierLinearSeparability"}
SHOWS_LIVE = {"AtelierBlendPreviewGrid", "AtelierInvertByOptimization", "AtelierTuneModelToImage",
              "AtelierDestylizePortrait", "AtelierRefineStyle", "AtelierFineTuneOnPairs", "AtelierFineTuneStyleGAN",
              "AtelierTrainGANEncoder", "AtelierTrainDualStyleGAN", "AtelierTrainingData"}
STRIP = 150
"""Pixels of the pictures that a blend is chosen by, where faces are linked to it."""
SHOWS_TEXT = {
    "AtelierLoadStyleGAN", "AtelierLoadDualStyleGAN", "AtelierLoadStyleCodes", "AtelierLoadStyleSampler",
    "AtelierLoadGANEncoder", "AtelierLoadDirections", "AtelierSaveStyleGAN", "AtelierSaveStyleCodes", "AtelierSaveDirections",
    "AtelierSaveLatents", "AtelierSaveModelDelta", "AtelierTransferExemplarStyle", "AtelierTrainStyleSampler", "PreviewAny"}
NOTE_LETTERS, NOTE_LINE = 40, 24


@dataclass(frozen=True)
class Box:
    x: int
    y: int
    width: int
    height: int


def height(node: Node) -> int:
    """Pixels that the node needs below its title bar."""
    if node.type == "MarkdownNote":
        text = node.inputs[""]
        return 60 + NOTE_LINE * sum(1 + len(line) // NOTE_LETTERS for line in text.split("\n"))
    measured = SIZES.get(node.type, [0, 100 + 26 * len(node.inputs)])[1]
    room = ((PICTURE, SHOWS_PICTURE), (LIVE, SHOWS_LIVE), (TEXT, SHOWS_TEXT))
    strip = STRIP if node.type == "AtelierBlendStyleGANsByResolution" and "latents" in node.inputs else 0
    return measured + strip + node.noted * TEXT + sum(pixels for pixels, kinds in room if node.type in kinds)


def unmeasured(groups: Iterable[Group]) -> set[str]:
    """Types whose size was never asked of an editor."""
    return {node.type for group in groups for node in group.nodes} - set(SIZES)


def place(groups: Iterable[Group]) -> tuple[dict[str, Box], list[tuple[str, Box]]]:
    """Node key -> its box (from below the title bar, as the editor counts), and the boxes of the groups."""
    nodes, boxes, x = {}, [], 0
    for group in groups:
        y, width = HEADER + TITLE, max(WIDTH, *(SIZES.get(node.type, [0])[0] for node in group.nodes))
        for node in group.nodes:
            nodes[node.key] = Box(x + MARGIN, y, width, height(node))
            y += height(node) + GAP + TITLE
        boxes.append((group.title, Box(x, 0, width + 2 * MARGIN, y - GAP - TITLE + MARGIN)))
        x += width + 2 * MARGIN + GAP
    return nodes, boxes
