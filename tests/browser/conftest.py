"""Both hosts with this pack and their editors in a browser; skipped, saying why, where they are not set up."""

from __future__ import annotations

import pytest

from tools.host.serve import SHOTS, VERSIONS, Editor, lacking, served


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/browser" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)


@pytest.fixture(params=VERSIONS, scope="session")
def host(request, tmp_path_factory):
    """(version, editor): one server and one browser at a time."""
    if why := lacking(request.param):
        pytest.skip(why)
    SHOTS.mkdir(parents=True, exist_ok=True)
    with served(request.param, tmp_path_factory.mktemp("host")) as url:
        editor = Editor(url)
        yield request.param, editor
        editor.close()
