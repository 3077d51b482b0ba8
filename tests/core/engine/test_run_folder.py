"""The folder of a run: what is refused, what survives."""

import errno
import json
import subprocess
import sys

import pytest
import torch

from stylegan_core.engine import RunFolder, check_run, read_log
from stylegan_core.errors import InvalidInput, TrainingStopped

TENSORS = {"a": torch.arange(6.0).view(2, 3), "b.step": torch.ones(())}


def test_the_newest_whole_state_is_read(tmp_path):
    with RunFolder(tmp_path / "run", {}) as folder:
        assert folder.read_state() is None
        for n in (5, 10, 15):
            folder.write_state(n, TENSORS, {"rate": 0.5, "n": n})
        assert [path.stem for path in folder.states()] == ["state-00000015", "state-00000010"]
        newest = folder.states()[0]
        newest.write_bytes(newest.read_bytes()[:-5])
        iteration, tensors, facts = folder.read_state()
    assert iteration == 10 and facts == {"rate": 0.5, "n": 10}
    assert tensors.keys() == TENSORS.keys() and all(torch.equal(tensors[k], TENSORS[k]) for k in TENSORS)


def test_settings_are_compared(tmp_path):
    RunFolder(tmp_path, {"lr": 0.1, "steps": 5, "betas": (0.0, 0.99)}).close()
    with pytest.raises(InvalidInput, match="holds a run already"):
        RunFolder(tmp_path, {"lr": 0.1, "steps": 5, "betas": (0.0, 0.99)})
    with pytest.raises(InvalidInput, match=r"lr \(was 0.1, now 0.2\); on resuming only steps may change"):
        RunFolder(tmp_path, {"lr": 0.2, "steps": 5, "betas": (0.0, 0.99)}, True, ("steps",))
    RunFolder(tmp_path, {"lr": 0.1, "steps": 9, "betas": (0.0, 0.99)}, True, ("steps",)).close()
    assert json.loads((tmp_path / "settings.json").read_text())["settings"]["steps"] == 9


@pytest.mark.parametrize(("text", "said"), [('{"version": 7, "settings": {}}', "version 7"), ("{", "damaged"),
                                            ("[]", "damaged"), ('{"version": 1}', "version 1")])
def test_settings_of_others(tmp_path, text, said):
    (tmp_path / "settings.json").write_text(text)
    with pytest.raises(InvalidInput, match=said):
        RunFolder(tmp_path, {}, True)
    assert (tmp_path / "settings.json").read_text() == text, "left as it was"


def test_one_process_at_a_time(tmp_path):
    code = f"from stylegan_core.engine import RunFolder\nRunFolder({str(tmp_path)!r}, {{}}, True)"
    with RunFolder(tmp_path, {}):
        with pytest.raises(InvalidInput, match="in use by another process"):
            RunFolder(tmp_path, {}, True)
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert "in use by another process" in other.stderr
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(InvalidInput, match="is a file"):
        RunFolder(tmp_path / "x", {})


def test_the_log_forgets_what_is_done_again(tmp_path):
    with RunFolder(tmp_path, {}) as folder:
        for n in range(1, 5):
            folder.log({"iteration": n, "loss": {"ä": n / 3}})
        with folder.log_file.open("a") as file:
            file.write('{"iteration": 5, "lo')
        assert [entry["iteration"] for entry in read_log(tmp_path)] == [1, 2, 3, 4]
        folder.cut_log(2)
    assert read_log(tmp_path) == [{"iteration": n, "loss": {"ä": n / 3}} for n in (1, 2)]
    with pytest.raises(InvalidInput, match="no training run"):
        read_log(tmp_path / "states")


def test_a_full_disk_stops_the_run(tmp_path, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    with RunFolder(tmp_path, {}) as folder:
        folder.write_state(1, TENSORS, {})
        monkeypatch.setattr("stylegan_core.engine.run_folder.write_safetensors", full)
        with pytest.raises(TrainingStopped, match="is full"):
            folder.write_state(2, TENSORS, {})
        assert folder.read_state()[0] == 1


def test_a_run_whose_states_are_all_damaged_does_not_begin_anew(tmp_path):
    with RunFolder(tmp_path, {}) as folder:
        for n in (1, 2):
            path = folder.write_state(n, TENSORS, {})
            path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(InvalidInput, match="No state of the run .* can be read .*state-00000002.* begin anew"):
            folder.read_state()


@pytest.mark.parametrize("line", ["[" * 100_000, "[1]", '{"iteration": "x"}', '{"iteration": null}', "\x00\x1b"])
def test_odd_lines_of_a_log_are_no_end(tmp_path, line):
    with RunFolder(tmp_path, {}) as folder:
        folder.log_file.write_text(f'{line}\n{{"iteration": 1}}\n{{"iteration": 9}}\n')
        folder.cut_log(2)
    assert read_log(tmp_path)[-1] == {"iteration": 1}


@pytest.mark.parametrize("text", ["[" * 100_000, '{"version": 1, "settings": {"n": ' + "9" * 5000 + "}}"])
def test_settings_that_cost_too_much_are_damaged(tmp_path, text):
    (tmp_path / "settings.json").write_text(text)
    with pytest.raises(InvalidInput, match="damaged"):
        RunFolder(tmp_path, {}, True)


def test_what_a_run_refuses_anyway_is_told_before_its_settings_are_known(tmp_path):
    check_run(tmp_path / "new", False)
    assert not (tmp_path / "new").exists()
    RunFolder(tmp_path / "run", {}).close()
    check_run(tmp_path / "run", True)
    with pytest.raises(InvalidInput, match="holds a run already"):
        check_run(tmp_path / "run", False)
    for place in ("a\0b", "\ud800", "x" * 300):
        with pytest.raises(InvalidInput, match="can't be a folder's"):
            check_run(tmp_path / place, False)


def test_a_limit_on_files_stops_the_run_with_its_own_remedy(tmp_path, monkeypatch):
    def limited(*_args, **_kwargs):
        raise OSError(errno.EFBIG, "File too large")

    with RunFolder(tmp_path, {}) as folder:
        monkeypatch.setattr("stylegan_core.engine.run_folder.write_safetensors", limited)
        with pytest.raises(TrainingStopped, match=r"larger than files may be there.*allow larger ones \(ulimit -f\)"):
            folder.write_state(2, TENSORS, {})


def test_settings_with_bytes_of_no_text(tmp_path):
    """A licence typed in a terminal of another encoding."""
    settings = {"licence": "\udcfcber\U0001f98a\\ud83e", "caf\udce9": 1}
    RunFolder(tmp_path, settings).close()
    RunFolder(tmp_path, settings, resume=True).close()
    with pytest.raises(InvalidInput, match="other settings"):
        RunFolder(tmp_path, {**settings, "licence": "x"}, resume=True)
