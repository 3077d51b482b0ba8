"""Set up the ComfyUI versions that the browser test runs on: python tools/host/set_up.py

Makes build/hosts/VERSION/ComfyUI with VERSION/venv beside it, over one environment that all share. Versions are pinned in
hosts.json. Needs git, node and Chromium (apt-get install chromium); everything of ComfyUI runs on the CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
HOSTS = Path(os.environ.get("ATELIER_HOSTS", HERE.parents[1] / "build" / "hosts"))
PINS = json.loads((HERE / "hosts.json").read_text(encoding="utf-8"))


def python(environment: Path) -> Path:
    return environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def site_packages(environment: Path) -> Path:
    asked = [str(python(environment)), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    return Path(subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip())


def run(*command: object, cwd: Path | None = None) -> None:
    print("+", *command, flush=True)
    subprocess.run([str(word) for word in command], check=True, cwd=cwd)


def set_up_common() -> Path:
    """The environment with torch and what every version needs -> its site-packages."""
    common = HOSTS / "common"
    if not python(common).exists():
        run(sys.executable, "-m", "venv", common)
    pip = (python(common), "-m", "pip", "install", "--quiet")
    run(*pip, PINS["torch"])
    run(*pip, *PINS["common"])
    run(*pip, "--no-deps", *PINS["apart"])
    for library in site_packages(common).glob("torchaudio/**/*.so"):
        library.unlink()  # built for CUDA; without it torchaudio is plain Python, which is all that ComfyUI's import needs
    return site_packages(common)


def fetch(repository: str, commit: str, folder: Path) -> None:
    """That commit's files alone, without the history before it."""
    run("git", "init", "--quiet", cwd=folder)
    run("git", "fetch", "--quiet", "--depth", "1", repository, commit, cwd=folder)
    run("git", "checkout", "--quiet", "FETCH_HEAD", cwd=folder)


def set_up(version: str, source: Path | None, common: Path) -> None:
    told, folder = PINS["hosts"][version], HOSTS / version
    comfyui, environment = folder / "ComfyUI", folder / "venv"
    if not (comfyui / "main.py").exists():
        comfyui.mkdir(parents=True, exist_ok=True)
        if source:
            shutil.copytree(source, comfyui, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".git"))
        else:
            fetch(told["repository"], told["commit"], comfyui)
    if not python(environment).exists():
        run(sys.executable, "-m", "venv", "--without-pip", environment)
    packages = site_packages(environment)
    (packages / "common.pth").write_text(str(common), encoding="utf-8")
    run(python(HOSTS / "common"), "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target", packages,
        *told["packages"])


def unready(sources: dict[str, Path], wanted: list[str]) -> str:
    """Why the set-up can't begin; empty if it can."""
    for version, folder in sources.items():
        if version not in PINS["hosts"] or not (folder / "main.py").is_file():
            return f"--source {version}={folder}: give one of {', '.join(PINS['hosts'])} and a folder with ComfyUI's main.py."
    tools = ["npm", *(["git"] if set(wanted) - set(sources) else [])]
    if lacking := [tool for tool in tools if shutil.which(tool) is None]:
        return f"{' and '.join(lacking)} not found: apt-get install git nodejs npm chromium"
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--source", action="append", default=[], metavar="VERSION=FOLDER",
                        help="a ComfyUI that is on this machine already, in place of the repository")
    parser.add_argument("--only", nargs="*", choices=list(PINS["hosts"]), default=list(PINS["hosts"]))
    options = parser.parse_args()
    sources = {version: Path(folder) for version, _, folder in (text.partition("=") for text in options.source)}
    if problem := unready(sources, options.only):
        print(problem, file=sys.stderr)
        return 2
    common = set_up_common()
    for version in options.only:
        set_up(version, sources.get(version), common)
    run(shutil.which("npm") or "npm", "install", "--silent", "--no-fund", "--no-audit", "--no-package-lock", cwd=HERE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
