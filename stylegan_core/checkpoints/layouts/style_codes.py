"""Style codes as DualStyleGAN's scripts save them: exstyle_code.npy, refined_exstyle_code.npy, instyle_code.npy."""

from __future__ import annotations

import re

import torch

from ...errors import LoadError
from ..layout import ConvertedState, Layout, SourceState
from ..npy_file import ROOT
from ..tensors import LazyTensor

STYLE_CODES = re.compile(r"(?<!re)style|code", re.IGNORECASE)
"""DualStyleGAN's scripts name their files exstyle_code.npy, instyle_code.npy and the like; ReStyle is an encoder."""
UNNAMED = ("The file does not say whether it holds style codes in z+ or latents in w+; it is taken for style codes. Latents "
           "are read by Load StyleGAN Latents.")


def bank_from_codes(state: SourceState) -> ConvertedState:
    """Codes [rows, dim], [1, rows, dim] or [N, rows, dim] -> one [N, rows, dim]; the order is the style number."""
    names, parts = [], []
    for key, tensor in state.tensors.items():
        name = key.removeprefix(f"{ROOT}.")
        shape = tensor.shape if len(tensor.shape) == 3 else (1, *tensor.shape)
        if len(shape) != 3 or 0 in shape or len(names) + shape[0] > 100_000:
            raise LoadError(f"The code of {name} has shape {list(tensor.shape)}; expected [1, rows, numbers a row].")
        names += [name] if shape[0] == 1 else [f"{name} {i}" for i in range(shape[0])]
        parts.append(tensor.reshape(*shape))
    if len({p.shape[1:] for p in parts}) != 1:
        sizes = sorted({str(list(p.shape[1:])) for p in parts})
        raise LoadError(f"The codes differ in size ({', '.join(sizes)}); a style file holds codes of one model.")
    codes = LazyTensor((len(names), *parts[0].shape[1:]), parts[0].dtype, lambda: torch.cat([p.read() for p in parts]))
    role = "intrinsic" if "instyle" in state.file.lower() else "extrinsic"
    named = STYLE_CODES.search(state.file)
    return ConvertedState({"codes": codes}, {"names": names, "role": role}, notes=() if named else (UNNAMED,))


LAYOUT = Layout(name="style-codes", family="style_bank", title="a file of style codes", tells=(rf"{ROOT}\..*",),
                convert=bank_from_codes)
