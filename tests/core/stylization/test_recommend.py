"""Recommended styles: distances that mean what they say, weights that follow them; with the demo model, the proof."""

from __future__ import annotations

import pytest
import torch

import stylegan_core as sg
from stylegan_core.assets import FOLDER
from stylegan_core.errors import InvalidInput
from stylegan_core.faces.frame import FRAME_POINTS, FaceMeasures, crop_points
from stylegan_core.latents import Latents
from stylegan_core.networks.dualstylegan import DualStyleGAN
from stylegan_core.stylization import Styles, recommend_styles, recommendation_sheet, suggest_weights
from stylegan_core.stylization.recommend import exemplar_distances, face_colors
from tests.core.networks.test_dualstylegan import mobile

DEMO = [FOLDER / f"{name}.safetensors" for name in ("dualstylegan", "styles")]


def moved(**points: tuple[float, float]) -> FaceMeasures:
    """The average face with some of its points moved."""
    order = ("left", "right", "nose", "mouth_left", "mouth_right")
    at = FRAME_POINTS.clone()
    for name, by in points.items():
        at[order.index(name)] += torch.tensor(by)
    return FaceMeasures.of(at)


def test_measures_ignore_place_size_and_turn() -> None:
    average, turn = FaceMeasures.of(FRAME_POINTS), torch.tensor([[0.8, -0.6], [0.6, 0.8]])
    other = FaceMeasures.of((FRAME_POINTS @ turn.T) * 70 + 5)
    assert average.shape_distance(other) < 1e-5 and abs(average.yaw - other.yaw) < 1e-5
    assert abs(abs(other.roll - average.roll) - 0.6435) < 1e-3


def test_what_moves_shape_and_what_moves_pose() -> None:
    average = moved()
    wide = moved(mouth_left=(-0.05, 0), mouth_right=(0.05, 0))
    turned = moved(nose=(0.08, 0))
    assert average.shape_distance(wide) > 0.3 > average.pose_distance(wide)
    assert average.pose_distance(turned) > 0.3 > average.shape_distance(turned)


def test_weights_fall_with_distance() -> None:
    assert suggest_weights(0, 0, 14) == (1.0,) * 14
    near, far, beyond = (suggest_weights(d, d, 14) for d in (0.3, 1.0, 9.0))
    assert 1 > near[0] > far[0] == beyond[0] == pytest.approx(0.4) and 1 > near[7] > far[7] == pytest.approx(0.7)


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    return sg.take_faces(sg.read_image(sg.example_portrait()), 128)[0]


def test_distances_of_pictures(photo: torch.Tensor) -> None:
    tinted = photo * torch.tensor([0.5, 0.9, 1.0])[None, :, None, None]
    (same, color), (same_shape, far) = exemplar_distances(photo, torch.cat([photo, tinted]))
    assert same < 1e-5 and color < 1e-5 and far > 0.1 and same_shape < 0.3
    assert face_colors(photo).shape == (1, 6) and crop_points(torch.zeros(1, 3, 64, 64)) == [None]


def test_ranking(photo: torch.Tensor) -> None:
    dual = DualStyleGAN.over(mobile()).eval().requires_grad_(False)
    styles = Styles.numbered(Latents(torch.randn(5, dual.num_ws, dual.z_dim), "z+"))
    steps, face = [], Latents(torch.randn(1, dual.z_dim), "z")
    found = recommend_styles(photo, face, dual, styles, 2, on_step=lambda i, n, _: steps.append((i, n)))
    assert len(found) == 2 and found[0].score <= found[1].score and steps[-1] == (10, 10)
    assert all(len(r.weights) == dual.num_weights and r.name == f"style {r.index}" for r in found)
    assert torch.allclose(found[0].image, sg.transfer_style(dual, face, styles.codes.pick(found[0].index), found[0].weights)[0])
    drawn: list[torch.Tensor] = []

    def remember(draw):
        return drawn[0] if drawn else drawn.append(draw()) or drawn[0]

    first, again = (recommend_styles(photo, face, dual, styles, 2, remember=remember) for _ in range(2))
    assert [r.sentence(1) for r in first] == [r.sentence(1) for r in again] == [r.sentence(1) for r in found]
    assert len(drawn) == 1 and drawn[0].shape[0] == 5
    assert "weights [7*" in found[0].sentence(1)
    assert recommendation_sheet(photo, found, 64).shape[3] > 3 * 64
    for bad in ({"photo": photo[..., :100]}, {"content": Latents(torch.randn(2, 16), "z")}, {"count": 0},
                {"faces": Latents(torch.randn(2, 16), "z")}, {"photo": photo[..., :2, :2]}, {"photo": photo * float("nan")},
                {"faces": Latents(torch.full((1, dual.num_ws, 16), 1e38), "w+")}):
        with pytest.raises(InvalidInput):
            recommend_styles(**({"photo": photo, "content": face, "dual": dual, "styles": styles} | bad))


@pytest.mark.slow
@pytest.mark.skipif(not all(path.is_file() for path in DEMO), reason="the demo DualStyleGAN is not here")
def test_the_first_five_beat_random_ones() -> None:
    from benchmarks.recommend import compare

    first, random = compare(faces=1)
    assert first["identity"] < random["identity"] and first["style fit"] < random["style fit"]
