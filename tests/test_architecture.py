"""The house's rules, read from the source: who imports whom, no print in the library, files of a readable length."""

from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CORE = ROOT / "stylegan_core"
MAX_LINES = 420
COMFY = {"comfy", "comfy_api", "comfy_execution", "folder_paths", "node_helpers", "execution", "server"}
ALLOWED_OUTSIDE = {"torch", "numpy", "PIL", "safetensors", "einops", "kornia", "tqdm"}
COMFY_MODULES = {"residency.py", "progress.py", "images.py", "files.py", "types.py", "schema.py"}
"""Of nodes/, beside the schema classes themselves."""
ORDER = [
    "_early", "version", "errors", "options", "assets", "ops", "latents", "networks", "checkpoints", "runtime", "engine",
    "losses", "blending", "pictures", "faces", "inversion", "tuning", "directions", "stylization", "metrics", "training",
    "pipeline", "cli", "__init__", "__main__",
]
"""The core from the ground up: a part imports only from parts before it, at any depth of a file. README's map is this list."""
UNTOLD = {"_early", "version", "__init__", "__main__"}
"""Single files that the map leaves out: an interrupt during the imports, the number, the two doors."""
ONE_SYSTEM = {"fcntl", "grp", "msvcrt", "posix", "pwd", "resource", "termios", "winreg"}
TEXT_CALLS = {"read_text", "write_text", "open"}
OPENERS = {"Image", "Source", "os"}
"""Whose open() is none of texts."""

CORE_FILES = sorted(CORE.rglob("*.py"))
NODE_FILES = sorted((ROOT / "nodes").glob("*.py"))
FOLDERS = ("stylegan_core", "nodes", "tools", "benchmarks", "tests")
ALL_FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py") if "node_modules" not in path.parts)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> list[tuple[int, str]]:
    """(level, module) of every import, at any depth of the file; `from . import a` counts as importing a."""
    found = []
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found += [(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module] if node.module else [alias.name for alias in node.names]
            found += [(node.level, module) for module in modules]
    return found


def part(path: Path) -> str:
    """The part of the core that a file belongs to."""
    return path.relative_to(CORE).with_suffix("").parts[0]


def core_targets(path: Path) -> set[str]:
    """Parts of the core that a file imports."""
    package = list(path.relative_to(CORE).parent.parts)
    found = set()
    for level, module in imports(path):
        if level:
            base = package[: len(package) - (level - 1)]
            found.add([*base, *module.split(".")][0])
    return found


@pytest.mark.parametrize("path", CORE_FILES, ids=name)
def test_core_imports_neither_comfyui_nor_strangers(path):
    outside = {module.split(".")[0] for level, module in imports(path) if not level}
    assert not outside & COMFY
    assert "nodes" not in outside and "stylegan_core" not in outside, "inside the pack every import is relative"
    assert outside <= ALLOWED_OUTSIDE | set(sys.stdlib_module_names)


@pytest.mark.parametrize("path", CORE_FILES, ids=name)
def test_core_dependencies_point_down(path):
    here = part(path)
    assert here in ORDER, f"say in ORDER where {here} stands"
    above = [target for target in core_targets(path) - {here} if ORDER.index(target) > ORDER.index(here)]
    assert not above, f"{here} imports {above}, which stand above it"


def test_readme_draws_the_house_as_it_stands():
    """Its map names every part of the core, in ORDER, and every folder beside the core that is there."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").split("    stylegan_core/\n", 1)[1]
    lines = text.split("\n\n", 1)[0].splitlines()
    rooms = [name for line in lines if line[:6].isspace() and line[6] != " " for name in line[6:24].replace("/", "").split()]
    assert rooms == [part for part in ORDER if part not in UNTOLD]
    assert {part(path) for path in CORE_FILES} == set(ORDER)
    beside = {folder for line in lines if line[4] != " " for folder in line[4:24].replace("/", "").split()}
    assert all((ROOT / folder).is_dir() for folder in beside)


@pytest.mark.parametrize("path", NODE_FILES, ids=name)
def test_nodes_import_comfyui_in_few_places(path):
    used = {module for level, module in imports(path) if not level and module.split(".")[0] in COMFY}
    if path.name not in COMFY_MODULES:
        assert used <= {"comfy_api.latest"}, "ask residency, progress, images or files instead"
    assert not any(not level and module.split(".")[0] in ("stylegan_core", "nodes", "utils") for level, module in imports(path))


def test_the_door_imports_nothing_heavy():
    tree = parsed(ROOT / "__init__.py")
    top = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert {getattr(node, "module", None) for node in top} <= {"__future__", "typing"}


@pytest.mark.parametrize("path", [p for p in CORE_FILES if part(p) != "cli"] + NODE_FILES, ids=name)
def test_library_neither_prints_nor_executes_nor_seeds(path):
    calls = {ast.unparse(node.func) for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)}
    forbidden = {"print", "eval", "exec", "__import__", "pickle.load", "pickle.loads", "torch.manual_seed", "np.random.seed"}
    assert not calls & forbidden


@pytest.mark.parametrize("path", CORE_FILES + NODE_FILES, ids=name)
def test_nothing_needs_one_operating_system(path):
    """Modules that only some have are imported where their absence is met; texts are read and written as UTF-8, not as the
    system's own code page."""
    tree = parsed(path)
    guarded = {id(inner) for node in ast.walk(tree) if isinstance(node, (ast.Try, ast.If)) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)) and id(node) not in guarded:
            told = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module]
            assert not set(told) & ONE_SYSTEM, node.lineno
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in TEXT_CALLS:
            modes = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
            other = node.func.attr == "open" and ("b" in "".join(modes) or ast.unparse(node.func.value) in OPENERS)
            assert other or any(keyword.arg == "encoding" for keyword in node.keywords), node.lineno


def defined(tree: ast.Module) -> set[str]:
    """What a module's own statements bind, in branches too, but not inside its functions and classes."""
    found, waiting = set(), list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        else:
            found |= {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)}
            waiting += [inner for inner in ast.iter_child_nodes(node) if isinstance(inner, (ast.stmt, ast.ExceptHandler))]
    return found


@pytest.mark.parametrize("path", ALL_FILES, ids=name)
def test_imported_names_exist(path):
    """Scripts that no test runs, and imports deferred into functions, still find what they ask of the project's own files."""
    for node in ast.walk(parsed(path)):
        if not isinstance(node, ast.ImportFrom):
            continue
        parts = node.module.split(".") if node.module else []
        if not node.level and (not parts or parts[0] not in FOLDERS):
            continue
        place = path.parents[node.level - 1].joinpath(*parts) if node.level else ROOT.joinpath(*parts)
        module = place.with_suffix(".py") if place.with_suffix(".py").is_file() else place / "__init__.py"
        known = defined(parsed(module)) if module.is_file() else set()
        for alias in node.names:
            within = place / alias.name
            assert alias.name in known or within.with_suffix(".py").is_file() or within.is_dir(), (node.lineno, alias.name)


@pytest.mark.parametrize("path", CORE_FILES + NODE_FILES, ids=name)
def test_files_stay_readable(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", [*CORE_FILES, *NODE_FILES, *sorted((ROOT / "tools").rglob("*.py"))], ids=name)
def test_every_file_says_what_it_is(path):
    tree = parsed(path)
    assert ast.get_docstring(tree) or not tree.body


def test_both_lists_of_dependencies_agree():
    """ComfyUI's manager reads requirements.txt, pip and the registry read pyproject.toml."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = ast.literal_eval(text.split("\ndependencies = ", 1)[1].split("]", 1)[0] + "]")
    assert sorted(project) == sorted((ROOT / "requirements.txt").read_text(encoding="utf-8").split())
