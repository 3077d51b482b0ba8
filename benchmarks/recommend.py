"""Do the first five recommended styles beat random ones on identity and on style fit?

    python -m benchmarks.recommend 8

Photographs are pictures of the demo base, so that their latents are exact. For each, five styles are recommended; beside
them stands the mean over all styles, which is what random picks give on average. All are transferred at the weights the
same rule suggests. identity: distance of face embeddings, photograph to result, below 1 one person. style fit: contextual
loss (the paper's own measure of style) between result and exemplar, drawn on the average face. The ranking tries its
candidates on these two, so they are no independent proof; LPIPS to the photograph and to the exemplar, which it never
sees, stand beside them. Lower is better for all.
"""

from __future__ import annotations

import sys

import torch
from torch import Tensor

import stylegan_core as sg
from stylegan_core.losses.contextual import ContextualLoss
from stylegan_core.losses.identity import IdentityLoss
from stylegan_core.losses.perceptual import LPIPS
from stylegan_core.ops.resize import resize_area
from stylegan_core.stylization.recommend import SEEN, Recommendation, recommend_styles
from stylegan_core.stylization.styles import Styles, average_face

COUNT, PSI, FIRST_SEED = 5, 0.8, 600
Row = dict[str, float]


@torch.no_grad()
def compare(faces: int = 8, count: int = COUNT) -> tuple[Row, Row]:
    """Means over `faces` photographs: of the recommended styles, of all (as random picks give on average)."""
    dual, styles = sg.load(sg.builtin("dualstylegan")), Styles.of(sg.load(sg.builtin("styles")))  # type: ignore[arg-type]
    judge, texture, lpips = IdentityLoss.embedded(), ContextualLoss.embedded(), LPIPS.embedded()
    drawn = sg.transfer_style(dual, average_face(dual), styles.codes, 1.0)  # type: ignore[arg-type]
    exemplars, small = drawn.clamp(-1, 1), resize_area(drawn, SEEN).clamp(-1, 1)
    first, others = [], []
    for face in range(faces):
        z = sg.Latents(sg.sample_z(FIRST_SEED + face, dual.z_dim), "z", dual.base)  # type: ignore[arg-type]
        content = z.truncate(dual.base, PSI)  # type: ignore[arg-type]
        photo = sg.render(dual.base, content).clamp(-1, 1)  # type: ignore[arg-type]
        ask = (photo, content, dual, styles)
        known = {"identity": judge, "texture": texture, "remember": lambda _: small}
        everyone = recommend_styles(*ask, len(styles), **known)  # type: ignore[arg-type]
        best = recommend_styles(*ask, count, **known)  # type: ignore[arg-type]
        first += [measure(r, photo, exemplars, lpips) for r in best]
        others += [measure(r, photo, exemplars, lpips) for r in everyone]
    return mean(first), mean(others)


def measure(found: Recommendation, photo: Tensor, exemplars: Tensor, lpips: LPIPS) -> Row:
    image = found.image[None].clamp(-1, 1)
    return {"identity": found.identity, "style fit": found.fit, "LPIPS to photograph": float(lpips(image, photo)),
            "LPIPS to exemplar": float(lpips(image, exemplars[found.index][None])), "structure weight": found.weights[0]}


def mean(rows: list[Row]) -> Row:
    return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}


def main() -> None:
    first, others = compare(int(sys.argv[1]) if len(sys.argv) > 1 else 8)
    lines = [f"| | {' | '.join(first)} |", "|---" * (len(first) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(f'{value:.3f}' for value in row.values())} |"
              for name, row in (("first five", first), ("random", others))]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
