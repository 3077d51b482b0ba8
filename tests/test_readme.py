"""What README says to type can be typed."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from stylegan_core.cli.main import build_parser

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    .*?-m stylegan_core (.*)$", README, re.MULTILINE)
MODULES = sorted(set(re.findall(r"python -m ((?:benchmarks|tools)[\w.]*)", README)))


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_are_understood(line):
    arguments = build_parser().parse_args(shlex.split(line, comments=True))
    if out := getattr(arguments, "out", None):
        files = arguments.command in ("convert", "blend", "train-sampler")
        assert files == (out.suffix == ".safetensors"), "a folder or a file, as the command takes it"


def test_modules_and_targets_are_there():
    assert COMMANDS and all(importlib.util.find_spec(module) for module in MODULES)
    targets = set(re.findall(r"`make ([\w-]+)", README)) | set(re.findall(r"^    make ([\w-]+)$", README, re.MULTILINE))
    made = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert targets <= made


def test_files_it_names_are_there():
    linked = re.findall(r"\]\(((?:docs|web)/[\w./-]+)\)", README)
    quoted = re.findall(r"`((?:tools|tests|docs|stylegan_core)/[\w./-]+)`", README)
    assert linked and quoted and all((ROOT / name).exists() for name in linked + quoted)


def test_every_workflow_is_in_its_table():
    table = README.split("## Workflows", 1)[1].split("## Nodes", 1)[0]
    named = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)))
    assert sorted(named) == sorted(path.stem for path in (ROOT / "example_workflows").glob("*.json"))
