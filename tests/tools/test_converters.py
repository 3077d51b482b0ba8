"""The converters open foreign files without running anything in them."""

from __future__ import annotations

import io
import os
import pickle

import numpy as np
import pytest
import torch

from tools.assets.convert_identity import our_name
from tools.assets.convert_lpips import ArrayUnpickler
from tools.assets.convert_mtcnn import channels_first


class Hostile:
    def __reduce__(self) -> tuple:
        return os.system, ("exit 1",)


def test_arrays_open() -> None:
    tree = {"a": {"b": np.arange(6, dtype=np.float32).reshape(2, 3)}}
    # the name numpy gave the function when the file was made
    data = pickle.dumps(tree, protocol=3).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert np.array_equal(ArrayUnpickler(io.BytesIO(data)).load()["a"]["b"], tree["a"]["b"])


def test_anything_else_is_refused() -> None:
    with pytest.raises(pickle.UnpicklingError, match="only numpy arrays"):
        ArrayUnpickler(io.BytesIO(pickle.dumps(Hostile()))).load()


def test_names() -> None:
    assert our_name("conv32_down/conv/filters") == "conv32_down.weight"
    assert our_name("conv64_1/conv2/scale/biases") == "conv64_1.conv2.shift"
    assert our_name("conv256_down_out/conv1/conv/bias") == "conv256_down_out.conv1.bias"
    assert our_name("fc") == "fc"


def test_dense_layer_is_reordered() -> None:
    weight = torch.rand(5, 576)
    theirs = torch.rand(64, 3, 3)
    flat = theirs.permute(2, 1, 0).flatten()
    torch.testing.assert_close(channels_first("rnet.dense4.weight", weight) @ theirs.flatten(), weight @ flat)
    assert channels_first("pnet.conv1.weight", weight) is weight
