"""Ask the editors how large nodes must be, and write tools/graphs/sizes.json: python -m tools.host.measure"""

from __future__ import annotations

import json
import sys
import tempfile
import urllib.request
from pathlib import Path

from .serve import PACK, VERSIONS, Editor, lacking, served

SIZES = PACK / "tools" / "graphs" / "sizes.json"
CORE = PACK / "tools" / "graphs" / "core_nodes.json"


def measured(version: str, base: Path) -> list[dict[str, list[int]]]:
    """{type: [width, height]} as each of the version's frontends draws it."""
    with served(version, base) as url:
        with urllib.request.urlopen(url + "/object_info", timeout=120) as answer:
            types = [name for name in json.loads(answer.read()) if name.startswith("Atelier")]
        types += ["MarkdownNote", *json.loads(CORE.read_text(encoding="utf-8"))]
        editor = Editor(url)
        try:
            return [editor.ask("measure", types=types, vue=vue) for vue in ((False,) if version == "0.3.64" else (False, True))]
        finally:
            editor.close()


def main() -> int:
    sizes: dict[str, list[int]] = {}
    for version in VERSIONS:
        if why := lacking(version):
            print(why, file=sys.stderr)
            return 2
        with tempfile.TemporaryDirectory() as base:
            for found in measured(version, Path(base)):
                for kind, (width, height) in found.items():
                    known = sizes.setdefault(kind, [0, 0])
                    sizes[kind] = [max(known[0], width), max(known[1], height)]
    sizes["LoadVideo"] = [444, 540]  # with the clip in it, which appears only after the file was read
    SIZES.write_text("{\n" + ",\n".join(f' "{kind}": {json.dumps(size)}' for kind, size in sorted(sizes.items())) + "\n}\n",
                     encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
