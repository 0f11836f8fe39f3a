"""`watcher operations`: what was interrupted is listed, shown, resumed and cleared away from the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from watcher.operations import TranscodeOperation, UniversalStateManager, find_resumable_operations

ODD = b"odd\n\x1b[31m[red]\xff.mkv"
ODD_SHOWN = r"odd\n\x1b[31m[red]\xff.mkv"

SCRIPT = """
import sys
from watcher.operations import StateAwareOperation, TranscodeOperation

with StateAwareOperation(TranscodeOperation("vbr", sys.argv[1], preset="slow")) as manager:
    print("from", manager.state.current_step, flush=True)
    if not manager.is_done("probe"):
        manager.update_step("probe")
        manager.update_step("encode", 40, {"piece": 3})
        raise RuntimeError("no room [red]")
"""


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "films" / "film.mkv"
    path.parent.mkdir()
    path.write_bytes(b"film")
    return path


@pytest.fixture
def interrupted(film):
    """A script that failed in the middle of its work."""
    script = film.parent.parent / "script.py"
    script.write_text(SCRIPT)
    run = subprocess.run([sys.executable, script, film.name], cwd=film.parent, capture_output=True, check=False)
    assert run.stdout == b"from initialization\n"
    (found,) = find_resumable_operations(film.parent)
    return Path(found["state_file"])


def watcher(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "watcher", "operations", *arguments],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def test_list_names_what_can_be_resumed_and_what_is_broken(call, film, interrupted):
    """With tabs for a pipe, as JSON for programs; names of any bytes on one line."""
    at_work = UniversalStateManager(TranscodeOperation("qp", os.path.join(os.fsencode(film.parent), ODD)))
    at_work.update_step("search", 5)
    broken = film.parent / ".watcher_state" / "x_vbr.state.json"
    broken.write_text("{")
    code, out, err = call("operations", "list", film.parent)
    assert (code, err) == (0, "")
    rows = [line.split("\t") for line in out.splitlines()]
    assert rows == [
        [str(film), "vbr", "40.0", "encode", "stopped by RuntimeError: no room [red]"],
        [f"{film.parent}/{ODD_SHOWN}", "qp", "5.0", "search", f"process {os.getpid()} works on it"],
        [str(broken), "", "", "", rows[2][4]],
    ]
    assert rows[2][4].startswith("broken: it is no JSON")

    _, out, _ = call("operations", "list", "--type", "qp", "--json", film.parent)
    odd, unreadable = map(json.loads, out.splitlines())
    assert odd["path_escaped"] is True
    assert (odd["current_step"], odd["broken"]) == ("search", None)
    assert unreadable["state_file"] == str(broken)
    assert unreadable["broken"].startswith("it is no JSON")


def test_list_searches_below_when_asked_to(call, film, interrupted):
    assert call("operations", "list", film.parent.parent)[1] == ""
    assert call("operations", "list", "-r", film.parent.parent)[1].startswith(f"{film}\t")


def test_show_tells_all_that_is_known(call, film, interrupted):
    """By the film or by the state file; only settings that somebody made."""
    code, out, err = call("operations", "show", film)
    assert (code, err) == (0, "")
    assert out == call("operations", "show", interrupted)[1]
    first, *facts = out.splitlines()
    assert first == str(film)
    told = {line[:13].strip(): line[13:].strip() for line in facts}
    assert told["stands"] == "interrupted: 40.0 %, at encode"
    assert told["stopped by"] == "RuntimeError: no room [red]"
    assert told["done"] == "probe"
    assert told["with"] == "preset slow"
    assert told["data"] == "{'piece': 3}"
    assert told["program"].endswith("script.py film.mkv")
    assert told["in"] == str(film.parent)

    document = json.loads(call("operations", "show", "--json", film)[1])
    assert document["state"] == json.loads(interrupted.read_text())


def test_resume_runs_the_program_again_where_it_was(film, interrupted):
    """It takes the command's place, goes on with its own state, and nothing is left when it is done."""
    run = watcher("resume", "--yes", film)
    assert (run.returncode, run.stdout, run.stderr) == (0, "from encode\n", "")
    assert os.listdir(film.parent) == ["film.mkv"]


def test_resume_runs_nothing_that_nobody_agreed_to(film, interrupted):
    """Without a terminal to ask on, it says what it would run."""
    run = watcher("resume", film, stdin=subprocess.DEVNULL)
    assert (run.returncode, run.stdout) == (1, "")
    assert f"would run: cd {film.parent} && {sys.executable}" in run.stderr
    assert "--yes" in run.stderr
    assert find_resumable_operations(film.parent)[0]["progress_percent"] == 40.0


def edited(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_resume_says_why_it_cannot(call, film, interrupted):
    """Exit code 1 and one sentence: somebody is at work, no program is known, its folder is gone, it is broken."""

    def why(path=film):
        code, out, err = call("operations", "resume", "--yes", path)
        assert (code, out) == (1, "")
        return err

    edited(interrupted, command={"argv": ["true"], "cwd": "/none"})
    assert "/none, where it was started, is not there any more" in why()
    edited(interrupted, command={"argv": ["/none/program"], "cwd": "/"})
    here = os.getcwd()
    assert "/none/program cannot be started: No such file" in why()
    os.chdir(here)
    edited(interrupted, command=None)
    assert "does not say which program was at work" in why()

    other = UniversalStateManager(TranscodeOperation("qp", film))
    other.update_step("search")
    assert "has several interrupted operations; name one" in why()
    assert f"process {os.getpid()} works on it already" in why(other.state_file)
    other.cleanup_state()

    interrupted.write_text("{")
    assert "is broken and cannot be resumed" in why(interrupted)
    interrupted.unlink()
    assert "has no stored operation" in why()
    assert "is not there" in why(interrupted)


def test_resume_runs_no_command_of_another_user(call, film, interrupted):
    """Whoever may write into the films' folder could have put it there."""
    if os.geteuid() != 0:
        pytest.skip("only root may give files away")
    edited(interrupted, command={"argv": ["touch", str(film.with_name("planted"))], "cwd": "/"})
    os.chown(interrupted, 12345, -1)
    code, _, err = call("operations", "resume", "--yes", film)
    assert (code, "belongs to another user" in err) == (1, True)
    assert not film.with_name("planted").exists()


def test_cleanup_removes_records_of_completed_work(call, film, interrupted):
    """Thirty days old ones, unless told otherwise; interrupted work stays."""
    manager = UniversalStateManager(TranscodeOperation("qp", film))
    manager.mark_completed(success=True)
    manager.release()
    assert call("operations", "cleanup", film.parent) == (0, "removed 0 records of completed work\n", "")
    assert call("operations", "cleanup", "--days", "0", film.parent)[1] == "removed 1 record of completed work\n"
    assert interrupted.exists()
    code, _, err = call("operations", "cleanup", film)
    assert (code, err) == (1, f"watcher: {film} is no folder\n")
