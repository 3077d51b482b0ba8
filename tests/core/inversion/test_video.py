"""A video's inversion on tiny networks: each frame from the last, steadier codes, flat memory, what is finished is kept."""

from __future__ import annotations

import gc
from dataclasses import replace

import pytest
import torch

import stylegan_core as sg
from stylegan_core.errors import InvalidInput, LatentMismatch
from stylegan_core.inversion.options import InversionOptions
from stylegan_core.inversion.video import VideoInverter, VideoOptions, invert_video
from tests.core.inversion.tiny import tiny

FIRST = InversionOptions(steps=60, lpips=0.0, identity=0.0, l2=1.0, perturbation=0.0, patience=0, deviation=0.0)
OPTIONS = VideoOptions(FIRST, steps=8, lr=0.03, smoothing=0.0)


@pytest.fixture(scope="module")
def model():
    return tiny()


@pytest.fixture(scope="module")
def walk(model):
    """Twelve frames of a face that changes steadily, and their codes."""
    ends = sg.Latents(sg.sample_z([1, 2], model.z_dim), "z", model).truncate(model, 0.5)
    return sg.interpolate(ends, 12)


@pytest.fixture(scope="module")
def crops(model, walk):
    return sg.render(model, walk).clamp(-1, 1)


class Oracle:
    """An encoder that knows the codes, up to a constant error and a tremble."""

    def __init__(self, crops, codes, tremble=0.0):
        self.crops, self.codes, self.tremble = crops, codes, tremble
        self.draw = torch.Generator().manual_seed(0)

    def encode(self, images, generator=None):
        index = int((self.crops - images).square().mean((1, 2, 3)).argmin())
        code = self.codes.tensor[index : index + 1] + 0.1
        found = sg.Latents(code + self.tremble * torch.randn(code.shape, generator=self.draw), "w+", self.codes.model)
        if generator is not None:
            found.check(generator)
        return found


def far(model, latents, crops):
    """[frames]: mean squared distance of what the latents show."""
    return (sg.render(model, latents) - crops).square().mean((1, 2, 3))


def test_few_steps_follow_the_motion(model, crops):
    """Each frame ends far nearer than the first one's code would be, and about as near as a long run from the mean."""
    found = invert_video(model, crops, options=OPTIONS)
    assert found.space == "w+" and len(found) == 12 and found.noise is None
    still = far(model, found.pick([0] * 12), crops)
    followed = far(model, found, crops)
    assert (followed[6:] < 0.3 * still[6:]).all()
    apart = sg.invert(model, crops[[-1]], "w+", options=replace(FIRST, steps=8))
    assert followed[-1] < 0.5 * far(model, apart.latents, crops[[-1]])


def test_a_video_is_the_same_every_time_and_frame_by_frame_in_any_container(model, crops):
    again = [invert_video(model, some, options=OPTIONS).tensor for some in (crops[:3], list(crops[:3]))]
    assert torch.equal(*again)
    first = sg.invert(model, crops[:1], "w+", options=FIRST).latents
    torch.testing.assert_close(again[0][:1], first.tensor)


def test_smoothing_steadies_the_codes(model, crops, walk):
    options = replace(OPTIONS, steps=0)
    rough, calm = (invert_video(model, crops, Oracle(crops, walk, 0.05), options, smoothing=s).tensor for s in (0.0, 2.0))
    assert calm.diff(n=2, dim=0).std() < 0.3 * rough.diff(n=2, dim=0).std()
    assert (calm.mean(0) - rough.mean(0)).abs().mean() < 0.05


def test_an_encoder_carries_the_motion(model, crops, walk):
    """Without a step the motion is the encoder's, and its constant error is gone from the first frame on."""
    found = invert_video(model, crops, Oracle(crops, walk), replace(OPTIONS, steps=0))
    moved, true = found.tensor - found.tensor[:1], walk.tensor - walk.tensor[:1]
    torch.testing.assert_close(moved, true, atol=1e-4, rtol=1e-4)
    assert far(model, found, crops).max() < 2 * far(model, found, crops)[0] + 1e-3


def test_optimized_noise_is_fixed_from_the_first_frame_on(model, crops):
    options = replace(OPTIONS, first=replace(FIRST, optimize_noise=True, steps=6))
    inverter = VideoInverter(model, crops[:3], options=options)
    found = inverter.run()
    alone = sg.invert(model, crops[:1], "w+", options=options.first).latents
    assert [tuple(n.shape[:2]) for n in found.noise] == [(1, 1)] * len(found.noise)
    assert all(torch.equal(a, b) for a, b in zip(found.noise, alone.noise, strict=True))
    assert sg.render(model, found).shape == crops[:3].shape


def test_steps_are_counted_over_the_whole_video(model, crops):
    ticks = []
    invert_video(model, crops[:3], options=OPTIONS, on_step=lambda i, n, picture: ticks.append((i, n, tuple(picture.shape))))
    assert [i for i, *_ in ticks] == list(range(1, 77)) and {n for _, n, _ in ticks} == {76}
    assert {shape for *_, shape in ticks} == {(1, 3, 16, 16)}


def test_what_is_finished_is_kept(model, crops):
    class Cancelled(Exception):
        pass

    def cancel(i, n, _):
        if i == 60 + 8 + 3:
            raise Cancelled

    inverter = VideoInverter(model, crops[:4], options=replace(OPTIONS, smoothing=1.0))
    with pytest.raises(Cancelled):
        inverter.run(cancel)
    assert inverter.frames_done == 2 and len(inverter.result()) == 2
    whole = inverter.run()
    assert len(whole) == 4
    torch.testing.assert_close(whole.tensor, invert_video(model, crops[:4], options=replace(OPTIONS, smoothing=1.0)).tensor)
    with pytest.raises(InvalidInput, match="No frame"):
        VideoInverter(model, crops, options=OPTIONS).result()


class Reel:
    """Frames drawn when they are asked for."""

    def __init__(self, crops, count):
        self.crops, self.count = crops, count

    def __len__(self):
        return self.count

    def __getitem__(self, t):
        return self.crops[t % len(self.crops)].clone()


def test_memory_is_flat_in_the_number_of_frames(model, crops):
    """Bytes of all tensors alive, at their most during a step: more frames add their codes, nothing else."""

    def peak(count):
        most = 0

        def watch(i, *_):
            nonlocal most
            if i % 4 == 0:
                most = max(most, sum(t.nbytes for t in gc.get_objects() if type(t) in (torch.Tensor, torch.nn.Parameter)))

        invert_video(model, Reel(crops, count), options=replace(OPTIONS, first=replace(FIRST, steps=8), steps=4), on_step=watch)
        return most

    code = model.num_ws * model.w_dim * 4
    gc.collect()
    gc.freeze()  # what was there before is neither new nor worth walking through
    try:
        few, many = peak(3), peak(11)
    finally:
        gc.unfreeze()
    assert few > code
    assert many - few <= 8 * 2 * code + 10_000


@pytest.mark.parametrize(("crops_", "options", "told"), [
    (torch.zeros(0, 3, 16, 16), OPTIONS, "without frames"),
    (torch.zeros(2, 3, 16, 16), replace(OPTIONS, steps=0), "0 steps a frame without an encoder"),
    ([torch.zeros(3, 16, 16), torch.zeros(3, 8, 8)], replace(OPTIONS, first=replace(FIRST, steps=1)), "Frame 2 has shape"),
    (torch.zeros(2, 3, 16, 12), OPTIONS, "square")])
def test_what_is_no_video_is_refused(model, crops_, options, told):
    with pytest.raises(InvalidInput, match=told):
        invert_video(model, crops_, options=options)


def test_wrong_numbers_are_refused():
    for wrong in ({"steps": -1}, {"lr": 0.0}):
        with pytest.raises(InvalidInput, match=next(iter(wrong))):
            VideoOptions(**wrong)
    with pytest.raises(InvalidInput, match="preset"):
        VideoInverter(tiny(), torch.zeros(1, 3, 16, 16), options=VideoOptions("finest"))


def test_an_encoder_for_another_model_is_refused(crops, walk):
    with pytest.raises(LatentMismatch):
        invert_video(tiny(5), crops, Oracle(crops, walk), OPTIONS)


def test_one_frame_is_a_video(model, crops):
    assert len(invert_video(model, crops[:1], options=replace(OPTIONS, first=replace(FIRST, steps=2), smoothing=3.0))) == 1


def test_nothing_is_smoothed_across_frames_that_were_left_out(model, crops, walk):
    """A face that comes back after a long gap is another moment: its codes stay its own."""
    options, far_away = replace(OPTIONS, steps=0, first=replace(FIRST, steps=2)), torch.cat([crops[:4], crops[8:]])
    encoder = Oracle(far_away, sg.Latents(torch.cat([walk.tensor[:4], walk.tensor[8:]]), "w+", model))
    moments = [0, 1, 2, 3, 40, 41, 42, 43]
    rough = invert_video(model, far_away, encoder, options, smoothing=0.0).tensor
    kept = invert_video(model, far_away, encoder, options, smoothing=2.0, moments=moments).tensor
    for part in (slice(0, 4), slice(4, 8)):
        torch.testing.assert_close(kept[part], sg.smooth_over_time(rough[part], 2.0))
    blurred = invert_video(model, far_away, encoder, options, smoothing=2.0).tensor
    assert not torch.allclose(blurred[3:5], kept[3:5], atol=1e-3)
    for wrong in ([0, 1], [0, 1, 2, 3, 3, 4, 5, 6]):
        with pytest.raises(InvalidInput, match="Align Video Faces"):
            VideoInverter(model, far_away, encoder, options, moments=wrong)


def test_an_encoder_may_see_several_frames_at_once(model, crops, walk):
    class Counting(Oracle):
        calls: list[int] = []

        def encode(self, images, generator=None):
            self.calls.append(len(images))
            return sg.Latents.combine([super(Counting, self).encode(image[None], generator) for image in images])

    options = replace(OPTIONS, steps=0, first=replace(FIRST, steps=2))
    one_by_one = invert_video(model, crops, Oracle(crops, walk), options)
    inverter = VideoInverter(model, crops, Counting(crops, walk), options)
    inverter.ahead = 5
    torch.testing.assert_close(inverter.run().tensor, one_by_one.tensor)
    assert Counting.calls == [5, 5, 2]
