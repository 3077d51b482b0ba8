"""Schemas that ComfyUI 0.3.64 takes as well as its newest version."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from comfy_api.latest import io

CATEGORY = "StyleGAN"
MAX_SEED = 0xFFFFFFFFFFFFFFFF
RESOLUTIONS = [str(4 << i) for i in range(9)]
"""4 to 1024 px, as a combo shows them."""

W = TypeVar("W", bound=io.Input)


def schema(name: str, group: str, title: str = "", shows: bool = False, **fields: Any) -> io.Schema:
    """A Schema with our id and category; fields that the installed ComfyUI lacks (search_aliases...) are left out.

    The id is "Atelier" and the name, without spaces, under which the node was first released; `title` is shown in its place
    where a clearer one was found. Outputs show their ids, not their types. shows: the node keeps a picture or text of its own.
    """
    if shows and not fields.get("is_output_node"):
        fields["has_intermediate_output"] = True
    for output in fields.get("outputs", ()):
        output.display_name = output.display_name or output.id
    known = {field.name for field in dataclasses.fields(io.Schema)}
    node_id = "Atelier" + "".join(word[0].upper() + word[1:] for word in name.split())
    return io.Schema(node_id=node_id, display_name=title or name, category=f"{CATEGORY}/{group}",
                     **{key: value for key, value in fields.items() if key in known})


def advanced(widget: W) -> W:
    """The widget, marked advanced: newer editors hide it until asked for, ComfyUI 0.3.64 shows it, so it goes last.

    It is optional, too: whatever queues the node without it gets its default, and workflows outlive new widgets.
    """
    widget.optional = True
    if hasattr(widget, "advanced"):
        setattr(widget, "advanced", True)  # noqa: B010 - no attribute of the older class
    else:
        widget.extra_dict["advanced"] = True
    return widget
