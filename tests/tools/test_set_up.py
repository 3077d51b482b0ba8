"""The set-up of the hosts for the browser test, as far as it goes without a network."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tools.host.set_up import fetch


def git(folder, *words):
    told = ("git", "-c", "user.name=test", "-c", "user.email=test@localhost", *words)
    return subprocess.run(told, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_pinned_commit_is_fetched_though_others_followed(tmp_path):
    there, here = tmp_path / "repository", tmp_path / "ComfyUI"
    there.mkdir()
    here.mkdir()
    git(there, "init", "--quiet")
    commits = []
    for text in ("before", "pinned", "after"):
        (there / "main.py").write_text(text, encoding="utf-8")
        git(there, "add", "main.py")
        git(there, "commit", "--quiet", "-m", text)
        commits.append(git(there, "rev-parse", "HEAD"))
    for _ in range(2):  # a second time goes over what a first left
        fetch(there.as_uri(), commits[1], here)
    assert (here / "main.py").read_text(encoding="utf-8") == "pinned"
    assert git(here, "rev-list", "--count", "HEAD") == "1", "the history came along"
