"""Prompts in API format, as the long runs build them too."""

from __future__ import annotations

from tools.headless.prompts import (
    Prompt,
    aligned,
    generate,
    inverted,
    load,
    node,
    options,
    sample,
    sampled,
    save,
    swap,
)

__all__ = ["Prompt", "aligned", "generate", "inverted", "load", "node", "options", "sample", "sampled", "save", "swap"]
