"""Write locales/en/nodeDefs.json from the nodes' schemas, and report what the other languages lack.

    python tools/make_locales.py
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from headless import PACK, Folders
from headless.runtime import RuntimeEngine

LOCALES = PACK / "locales"


def english(node: Any) -> dict[str, Any]:
    """One node's entry: outputs are keyed by position, as the editor wants it."""
    schema = node.GET_SCHEMA()
    return {"display_name": schema.display_name, "description": schema.description,
            "inputs": {i.id: {"name": i.display_name or i.id, "tooltip": i.tooltip, **_options(i)} for i in schema.inputs},
            "outputs": {str(n): {"name": o.display_name or o.id, "tooltip": o.tooltip} for n, o in enumerate(schema.outputs)}}


def _options(widget: Any) -> dict[str, dict[str, str]]:
    """A combo's words; names of files and numbers need no translation."""
    words = [] if widget.id == "file" else [str(o) for o in getattr(widget, "options", None) or [] if not str(o).isdigit()]
    return {"options": {word: word for word in words}} if words else {}


def missing(theirs: dict[str, Any], ours: dict[str, Any], where: str = "") -> list[str]:
    """Paths of texts that `ours` has and `theirs` has not."""
    found = []
    for key, value in ours.items():
        if isinstance(value, dict):
            found += missing(theirs.get(key, {}), value, f"{where}.{key}")
        elif key not in theirs:
            found.append(f"{where}.{key}")
    return found


def main() -> int:
    with tempfile.TemporaryDirectory() as scratch:
        engine = RuntimeEngine(Folders(Path(scratch), Path(scratch, "output"), Path(scratch, "temp")))
        nodes = {name: node for name, node in engine.node_types().items() if name.startswith("Atelier")}
    entries = {name: english(node) for name, node in nodes.items()}
    (LOCALES / "en").mkdir(parents=True, exist_ok=True)
    (LOCALES / "en" / "nodeDefs.json").write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
    lacking = 0
    for path in sorted(LOCALES.glob("*/nodeDefs.json")):
        language = path.parent.name
        for place in missing(json.loads(path.read_text(encoding="utf-8")), entries, language):
            print(f"locales/{language}/nodeDefs.json lacks {place.removeprefix(language + '.')}.", file=sys.stderr)
            lacking += 1
    return int(lacking > 0)


if __name__ == "__main__":
    sys.exit(main())
