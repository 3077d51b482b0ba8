"""A face through a video: the filter, the track, and steadier crops."""

from __future__ import annotations

import weakref

import pytest
import torch

import stylegan_core as sg
from stylegan_core.errors import FaceNotFound, InvalidInput
from stylegan_core.faces import smoothing
from stylegan_core.faces.detection import Face
from stylegan_core.faces.smoothing import bridge_gaps, smooth_over_time, take_video_faces, track_face, video_notes

FRONTAL = torch.tensor([[-20.0, -20], [20, -20], [0, 0], [-18, 20], [18, 20]])
SIZE = 100.0


def face(x: float, y: float, size: float = SIZE, profile: bool = False) -> Face:
    points = FRONTAL * (size / 100) * torch.tensor([0.05 if profile else 1.0, 1.0]) + torch.tensor([x, y])
    return Face(torch.tensor([x - size / 2, y - size / 2, x + size / 2, y + size / 2]), 0.99, points)


@pytest.fixture
def seen(monkeypatch):
    """seen([faces of frame 0, ...]) -> frames of which the detector says just that."""

    def script(found: list[list[Face]]) -> torch.Tensor:
        frames = torch.zeros(len(found), 3, 400, 400) + torch.arange(len(found))[:, None, None, None] / 100

        def said(images, *_, **__):
            return [found[round(float(images[0][0, 0, 0]) * 100)]]

        for name in ("detect_faces", "find_faces"):
            monkeypatch.setattr(smoothing, name, said)
        monkeypatch.setattr(smoothing, "look_again", lambda image, *_: said([image])[0])
        monkeypatch.setattr(smoothing.MTCNN, "embedded", classmethod(lambda cls, device: None))
        return frames

    return script


@pytest.mark.parametrize("sigma", [0.05, 0.5, 2.0, 30.0])
def test_accelerated_motion_stays_as_it_is(sigma):
    t = torch.arange(20, dtype=torch.float64)
    path = torch.stack([3 + 2 * t, 0.5 * t * t - t], 1)
    torch.testing.assert_close(smooth_over_time(path, sigma), path, atol=1e-6, rtol=1e-6)


def test_noise_shrinks_and_nothing_lags():
    noise = torch.randn(400, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    smooth = smooth_over_time(noise, 3.0)
    assert smooth.std() < 0.45 and smooth.diff(dim=0).std() < 0.15 * noise.diff(dim=0).std()
    peak = torch.exp(-(torch.arange(41.0) - 20).square() / 100)
    assert int(smooth_over_time(peak, 3.0).argmax()) == 20
    torch.testing.assert_close(smooth_over_time(noise.flip(0), 3.0), smooth.flip(0))


def test_short_and_unsmoothed_paths_are_themselves():
    for path in (torch.randn(1, 2), torch.randn(2, 4, 3), torch.randn(9, 2)):
        assert torch.equal(smooth_over_time(path, 0.0), path)
    assert torch.equal(smooth_over_time(torch.ones(2, 5), 4.0), torch.ones(2, 5))
    for wrong in (-1.0, float("nan")):
        with pytest.raises(InvalidInput, match="0 .none. on"):
            smooth_over_time(torch.ones(3), wrong)


def test_short_gaps_are_bridged_and_nothing_else():
    here = [None, FRONTAL, None, None, FRONTAL + 3, None, None, None, FRONTAL, None]
    bridged = bridge_gaps(here, 2)
    assert [p is None for p in bridged] == [True, False, False, False, False, True, True, True, False, True]
    shift = torch.stack([p for p in bridged[1:5] if p is not None]).sub(FRONTAL).mean((1, 2))
    torch.testing.assert_close(shift, torch.tensor([0.0, 1, 2, 3], dtype=torch.float64))
    assert [p is None for p in bridge_gaps(here, 0)] == [p is None for p in here]
    assert bridge_gaps([None, None], 5) == [None, None]


@pytest.mark.parametrize(("fps", "bridge", "drawn"), [(24.0, 0.5, [1, 2, 3, 7, 8]), (2.0, 0.5, [1, 2, 3, 7, 8]),
                                                      (24.0, 0.0, [1, 3, 7, 8]), (6.0, 0.5, [1, 2, 3, 4, 5, 6, 7, 8])])
def test_frames_without_a_face_are_left_alone(seen, fps, bridge, drawn):
    """Gaps of one and three frames; ends without a face."""
    if (fps, bridge) == (24.0, 0.5):
        bridge = 2 / 24
    frames = seen([[face(200, 200)] if t in (1, 3, 7, 8) else [] for t in range(12)])
    crops, places = take_video_faces(frames, 16, 0.0, fps=fps, bridge=bridge)
    assert [place.image for place in places] == drawn
    pasted, mask = sg.return_faces(frames, -crops + 0.5, places, outline="oval")
    for t in range(12):
        assert torch.equal(pasted[t], frames[t]) == (t not in drawn) and bool(mask[t].any()) == (t in drawn)
    assert video_notes(places, 12) == (f"{12 - len(drawn)} of 12 frames show no face that can be followed and stay as they "
                                       f"are.",)
    assert video_notes(places, len(drawn)) == ()


def test_stretches_are_smoothed_each_for_itself(seen):
    """What happened before a long gap does not pull at what comes after it."""
    frames = seen([[face(100, 100)]] * 4 + [[]] * 30 + [[face(300, 300)]] * 4)
    _, places = take_video_faces(frames, 8, smoothing=5.0)
    middles = torch.stack([place.transform.quad.mean(0) for place in places])
    torch.testing.assert_close(middles[:4], middles[:1].expand(4, 2))
    torch.testing.assert_close(middles[4:] - middles[:4], torch.full((4, 2), 200.0).double())


def test_the_whole_frame_is_searched_now_and_then(seen, monkeypatch):
    frames = seen([[face(100 + t, 100)] for t in range(13)])
    looks: list[str] = []

    def counted(name):
        call = getattr(smoothing, name)
        return lambda *a, **k: (looks.append(name), call(*a, **k))[1]

    for name in ("detect_faces", "find_faces", "look_again"):
        monkeypatch.setattr(smoothing, name, counted(name))
    found = track_face(frames, search_every=4)
    assert all(p is not None for p in found)
    assert looks == ["find_faces", *["look_again"] * 3, *["detect_faces", *["look_again"] * 3] * 2, "detect_faces"]
    looks.clear()
    track_face(frames, search_every=1)
    assert "look_again" not in looks
    with pytest.raises(InvalidInput, match="every 0 frames"):
        track_face(frames, search_every=0)


def test_a_lost_face_is_searched_at_once(seen):
    frames = seen([[face(100, 100)], [], [face(110, 100)], [face(110, 100)]])
    assert [p is None for p in track_face(frames, search_every=100)] == [False, True, False, False]


@pytest.mark.parametrize("turns", [0, 1])
def test_tracking_agrees_with_searching_every_frame_in_any_turn(astronaut, detector, turns):
    frames = torch.rot90(sg.moving_crop(astronaut, 3, 200), turns, (2, 3))
    plain, quick = (track_face(frames, detector=detector, search_every=every) for every in (1, 5))
    upright = track_face(sg.moving_crop(astronaut, 3, 200), detector=detector, search_every=1)
    for a, b, c in zip(plain, quick, upright, strict=True):
        assert a is not None and b is not None and c is not None
        assert (a - b).abs().max() < 1.5
        x, y = c.T
        back = {0: (x, y), 1: (y, 199 - x)}[turns]
        assert (a - torch.stack(back, 1)).abs().max() < 1.5


def test_the_same_person_is_followed(seen):
    """The other one comes nearer and gets larger; a profile and a far face count as lost."""
    frames = seen([[face(60, 100), face(150, 100, 60)], [face(140, 100, 140), face(64, 100)], [face(150, 100, 150)],
                   [face(68, 100, profile=True)], [face(76, 100), face(150, 100, 150)]])
    found = track_face(frames)
    assert [None if p is None else round(float(p.mean(0)[0])) for p in found] == [60, 64, None, None, 76]


def test_a_face_found_late_begins_there(seen):
    frames = seen([[], [face(90, 100)], [face(94, 100)]])
    _, places = take_video_faces(frames, 32, smoothing=0.0)
    quads = [place.transform.quad for place in places]
    torch.testing.assert_close(quads[1] - quads[0], torch.tensor([4.0, 0]).double().expand(4, 2))
    assert [place.image for place in places] == [1, 2]


def test_crops_of_a_trembling_detector_are_steadier(seen):
    """Jitter of the five points within the crops (their second difference over time), true motion being smooth."""
    draw = torch.Generator().manual_seed(1)
    t = torch.arange(32, dtype=torch.float64)
    truth = FRONTAL.double() + torch.stack([200 + 20 * torch.sin(t / 12), 200 + 10 * torch.cos(t / 9)], 1)[:, None]
    noisy = truth + 1.5 * torch.randn(truth.shape, generator=draw, dtype=torch.float64)
    frames = seen([[Face(torch.tensor([50.0, 50, 150, 150]), 0.99, points.float())] for points in noisy])

    def jitter(sigma: float) -> float:
        _, places = take_video_faces(frames, 8, sigma)
        quads = torch.stack([place.transform.quad for place in places])
        across, down = quads[:, 3] - quads[:, 0], quads[:, 1] - quads[:, 0]
        inside = torch.linalg.solve(torch.stack([across, down], 2), (truth - quads[:, :1]).mT).mT * 256
        return float(inside.diff(n=2, dim=0).square().mean().sqrt())

    assert jitter(3.0) < 0.2 * jitter(0.0)
    assert jitter(3.0) < 2.0


@pytest.mark.slow
def test_real_frames_give_one_face_each(astronaut, detector):
    frames = sg.moving_crop(astronaut, 6, 240)
    crops, places = take_video_faces(frames, 64, 0.0, detector=detector)
    assert crops.shape == (6, 3, 64, 64) and len(places) == 6
    whole, _ = sg.take_faces(astronaut[None], 64, detector=detector)
    assert (crops - whole).abs().mean((1, 2, 3)).max() < 0.12
    pasted, mask = sg.return_faces(frames, crops, places)
    assert pasted.shape == frames.shape and (pasted - frames).abs().mean() < 0.05 and mask.amax((1, 2, 3)).min() == 1


class Reel:
    """Frames made as they are asked for, like a file's; counts how many are alive at once."""

    def __init__(self, count: int) -> None:
        self.count, self.alive, self.most = count, weakref.WeakSet(), 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, t: int) -> torch.Tensor:
        frame = torch.full((3, 400, 400), t / 100)
        self.alive.add(frame)
        self.most = max(self.most, len(self.alive))
        return frame


def test_few_frames_are_held_at_once(seen):
    most = []
    for count in (4, 40):
        seen([[face(200, 200)]] * count)
        reel, steps = Reel(count), []
        crops, _ = take_video_faces(reel, 8, on_step=lambda i, n, _: steps.append((i, n)))  # noqa: B023
        most.append(reel.most)
        assert len(crops) == count and steps == [(i + 1, count) for i in range(count)]
    assert most[0] == most[1] <= 3


def test_what_is_no_video_is_refused(seen):
    with pytest.raises(InvalidInput, match="without frames"):
        take_video_faces([], 32)
    with pytest.raises(FaceNotFound, match="None of 2 frames"):
        take_video_faces(seen([[], []]), 32)
    frames = seen([[face(100, 100)]] * 2)
    with pytest.raises(InvalidInput, match="Frame 2 has shape"):
        take_video_faces([frames[0], frames[1, :, :100]], 32)
    crops, places = take_video_faces(frames[:1], 32)
    assert crops.shape == (1, 3, 32, 32) and len(places) == 1


def test_a_bridge_of_any_length_is_no_number_too_large() -> None:
    with pytest.raises(FaceNotFound, match="None of 2 frames"):
        take_video_faces(torch.zeros(2, 3, 40, 40), 32, fps=1e300, bridge=1e300)
