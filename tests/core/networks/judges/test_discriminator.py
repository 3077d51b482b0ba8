"""Discriminators: the reference's score, the plain twin for every option, gradients of gradients, shapes, refusals."""

from dataclasses import replace

import pytest
import torch

from benchmarks.twins.discriminator import score
from stylegan_core import checkpoints
from stylegan_core.errors import InvalidInput, LoadError
from stylegan_core.networks.judges.discriminator import Discriminator, DiscriminatorConfig, minibatch_stddev
from stylegan_core.networks.mapping import MappingConfig

LABELS = MappingConfig(z_dim=0, c_dim=3, w_dim=5, num_ws=1, num_layers=2, hidden_dim=5)
VARIANTS = {
    "resnet": {},
    "skip": {"architecture": "skip"},
    "orig": {"architecture": "orig"},
    "clamped": {"conv_clamp": 0.5},
    "skip, clamped, gray": {"architecture": "skip", "conv_clamp": 0.4, "img_channels": 1},
    "conditional": {"mapping": LABELS},
    "groups of two": {"group_size": 2},
    "one group": {"group_size": None},
    "two deviations": {"stddev_channels": 2},
    "no deviations": {"stddev_channels": 0},
    "short filter": {"resample_kernel": (1.0, 1.0)},
    "asymmetric filter": {"resample_kernel": (1.0, 4.0, 2.0, 0.5)},
    "swish": {"activation": "swish"},
    "4 px": {"img_resolution": 4, "channels": (6,)},
    "twice as wide": {"final_pixels": 32},
}


def tiny(seed=0, **fields) -> Discriminator:
    config = DiscriminatorConfig(**{"img_resolution": 16, "channels": (6, 5, 4), **fields})
    torch.manual_seed(seed)
    model = Discriminator(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(std=100.0 if ".fc" in name and "mapping" in name else 1.0)
    return model


def inputs(model, batch=4):
    c = model.config
    wide = c.final_pixels // 16
    images = torch.randn(batch, c.img_channels, c.img_resolution, c.img_resolution * wide)
    return images, torch.eye(model.c_dim)[torch.arange(batch) % model.c_dim] if model.c_dim else None


@pytest.mark.parametrize("file", ["generator-pretrain.pt", "stylegan2-ffhq-config-f.pt"])
def test_scores_of_the_reference(file, golden):
    model = checkpoints.load(golden("ckpt_formats").file(file), which="discriminator")
    with torch.no_grad():
        torch.testing.assert_close(model(golden("ckpt_formats").tensor("out_g_ema")), golden("ckpt_formats").tensor("d_score"),
                                   rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_every_variant_equals_the_plain_twin(variant):
    model = tiny(**variant)
    images, c = inputs(model)
    expected = score(model, images, c)
    with torch.no_grad():
        found = model(images, c)
    assert found.shape == (4, 1) and found.dtype == torch.float32
    assert (found - expected).abs().max() < 2e-5 * expected.abs().max().clamp(min=1)


@pytest.mark.parametrize("variant", [{}, {"architecture": "skip"}, {"mapping": LABELS}], ids=["resnet", "skip", "conditional"])
def test_gradient_penalty_equals_the_plain_twins(variant):
    """R1: the gradient, by the weights, of the squared gradient by the images."""
    model = tiny(**variant)
    found = []
    for judge in (model, lambda x, c: score(model, x, c)):
        torch.manual_seed(1)
        images, c = inputs(model)
        (by_image,) = torch.autograd.grad(judge(images.requires_grad_(), c).sum(), images, create_graph=True)
        penalty = by_image.square().sum(dim=(1, 2, 3)).mean()
        found.append((penalty.detach(), *torch.autograd.grad(penalty, list(model.parameters()), materialize_grads=True)))
    for mine, theirs in zip(*found, strict=True):
        assert (mine - theirs).abs().max() <= 2e-4 * theirs.abs().max() + 1e-6


def test_second_derivatives_are_right():
    model = tiny(img_resolution=8, channels=(3, 2), activation="softplus").double()
    assert torch.autograd.gradgradcheck(model, (inputs(model, 2)[0].double().requires_grad_(),), fast_mode=True)


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_config_is_read_off_the_shapes(variant):
    model = tiny(**variant)
    told = {k: getattr(model.config, k) for k in ("group_size", "conv_clamp", "resample_kernel", "activation", "architecture")}
    shapes = {k: tuple(t.shape) for k, t in model.state_dict().items()}
    assert DiscriminatorConfig.from_shapes(shapes, told) == model.config
    assert dict(model.config.shapes()) == {k: s for k, s in shapes.items() if not k.startswith("mapping.")}


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_survives_safetensors(variant, tmp_path):
    model = tiny(**variant)
    back = checkpoints.load(checkpoints.save(model, tmp_path / "d"))
    images, c = inputs(model)
    assert back.config == model.config and back.kind == "discriminator"
    with torch.no_grad():
        assert torch.equal(back(images, c), model(images, c))


def test_groups_are_those_of_the_published_codes():
    """Samples 0, 2, 4 and 6 of eight are compared with each other, and 1, 3, 5 and 7."""
    x = torch.zeros(8, 2, 4, 4)
    x[2] = 1.0
    told = minibatch_stddev(x, 4)[:, 0, 0, 0]
    assert (told[0::2] > 0.4).all() and (told[1::2] < 1e-3).all()


@pytest.mark.parametrize(("batch", "size", "c", "text"), [
    (4, 8, None, "16"), (6, 16, None, "batch of 6"), (4, 16, None, ""),
])
def test_bad_inputs_are_named(batch, size, c, text):
    model = tiny()
    images = torch.randn(batch, 3, size, size)
    if not text:
        with pytest.raises(InvalidInput, match="3 classes"):
            tiny(mapping=LABELS)(images, c)
        return
    with pytest.raises(InvalidInput, match=text):
        model(images, c)


@pytest.mark.parametrize(("key", "shape"), [("b8.conv1.weight", (6, 4, 3, 3)), ("b4.out.bias", None), ("b4.fc.weight", (6, 95)),
                                            ("b16.fromrgb.weight", None), ("b8.skip.weight", (6, 5, 3, 3))])
def test_contradicting_shapes_are_named(key, shape):
    shapes = {k: tuple(t.shape) for k, t in tiny().state_dict().items()}
    del shapes[key]
    if shape is not None:
        shapes[key] = shape
    with pytest.raises(LoadError, match=key):
        DiscriminatorConfig.from_shapes(shapes, {})


def test_a_config_that_contradicts_itself():
    config = tiny().config
    for fields, text in (({"img_resolution": 48}, "48"), ({"architecture": "dense"}, "dense"), ({"stddev_channels": 4}, "6"),
                         ({"group_size": 0}, "0"), ({"activation": "gelu"}, "gelu")):
        with pytest.raises(InvalidInput, match=text):
            replace(config, **fields)
