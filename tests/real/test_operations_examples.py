"""The three examples, run as their readers would: to the end, stopped in every way, and on a terminal."""

import contextlib
import hashlib
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import films
import pytest

from watcher.operations import find_resumable_operations, resume_operation_from_state

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def film(tmp_path):
    return films.film(tmp_path / "film.mkv", seconds=6, audio=[films.Audio("eng", 2)])


def command(example, *arguments):
    return [sys.executable, EXAMPLES / f"{example}.py", *arguments]


def start(example, *arguments):
    return subprocess.Popen(
        command(example, *arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(example, *arguments):
    """Run an example to its end; give what it said."""
    with start(example, *arguments) as process:
        out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, ""), err
    return out.splitlines()


def until(condition):
    """Wait for something that must come."""
    deadline = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return found


def step_of(folder):
    found = find_resumable_operations(folder)
    return found[0]["current_step"] if found else None


def picture_of(path):
    """Give a hash of the decoded pictures."""
    made = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", path, "-map", "0:v", "-f", "rawvideo", "-"], capture_output=True, check=True
    )
    return hashlib.sha256(made.stdout).hexdigest()


# --- the decorated function


def test_by_decorator_does_only_what_is_left(film):
    """A film that fails stops it; the next run begins with that one, and a third has nothing to do."""
    broken = film.with_name("broken.mkv")
    broken.write_text("no film")
    with start("by_decorator", film, broken) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert out.splitlines() == [f"encoding {film}", f"encoding {broken}"]
    assert "broken.mkv" in err

    listed = run("by_decorator", "--list-resumable", film, broken)
    assert listed[0].startswith("batch: ")
    assert "50.0 %" in listed[1]
    broken.write_bytes(film.read_bytes())
    first, results = run("by_decorator", film, broken)
    assert first == f"encoding {broken}"
    assert str(film) in results
    assert film.with_suffix(".flac").exists()
    assert len(run("by_decorator", film, broken)) == 1
    assert run("by_decorator", "--cleanup-old-states", "0", film) == ["removed 1 record of completed work"]


# --- the block


def pieces(film, output):
    return ["by_context", film, output, "--seconds", "2", "--preset", "medium"]


def test_by_context_ends_with_the_same_film_however_it_was_stopped(film, tmp_path):
    """Killed in each piece, and once told to end: what is finished stays, and the pictures are those of one go."""
    at_once, output = tmp_path / "at_once.mkv", tmp_path / "output.mkv"
    run(*pieces(film, at_once))
    for stop_at, number, code in (("output.0.mkv", 9, -9), ("output.1.mkv", 9, -9), ("output.2.mkv", 15, 143)):
        with start(*pieces(film, output)) as process:
            until(lambda step=stop_at: step_of(film.parent) == step)
            process.send_signal(number)
            process.communicate(timeout=30)
        assert process.returncode in (code, 0)  # 0: it was faster than the signal
        kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("output.*.mkv") if path.name < stop_at}
        assert len(kept) == int(stop_at[7]) or process.returncode == 0
    if process.returncode:
        (found,) = find_resumable_operations(film.parent)
        assert resume_operation_from_state(found["state_file"]).is_done("output.1.mkv")
        assert run(*pieces(film, output))[0].startswith("from output.2.mkv, 63 %")
    assert picture_of(output) == picture_of(at_once)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["at_once.mkv", "film.mkv", "output.mkv"]


def cpu_ticks(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def states_of(pid):
    """Give the states of all threads of a process."""
    return {(task / "stat").read_text().rpartition(")")[2].split()[0] for task in Path(f"/proc/{pid}/task").iterdir()}


def encoder_of(pid):
    """Give the FFmpeg that a script has at work; None while there is none."""
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            if Path(f"/proc/{child}/comm").read_text() == "ffmpeg\n" and cpu_ticks(child) > 2:
                return int(child)
    return None


class Terminal:
    """A script on a terminal of its own, and somebody who types."""

    def __init__(self, *words):
        self.pid, self.keys = pty.fork()
        if self.pid == 0:
            os.execv(sys.executable, [os.fspath(word) for word in command(*words)])
        self.said = b""

    def type(self, text):
        os.write(self.keys, text)

    def reads(self, text):
        """Wait until the script has said this."""
        while text not in self.said:
            self.said += os.read(self.keys, 4096)

    def ended(self):
        """Wait for its end; give its exit code."""
        with contextlib.suppress(OSError):  # the terminal closes with its last process
            while part := os.read(self.keys, 4096):
                self.said += part
        self.close()
        return self.code()

    def close(self):
        """Take the terminal away."""
        os.close(self.keys)

    def code(self):
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.fixture
def slow(film):
    return ["by_context", film, film.with_name("output.mkv"), "--preset", "placebo"]


def test_ctrl_c_stops_the_encoder_at_once_and_enter_lets_it_go_on(slow, film):
    """In the middle of a piece: every thread of FFmpeg stops, and the film is finished afterwards."""
    terminal = Terminal(*slow)
    encoder = until(lambda: encoder_of(terminal.pid))
    terminal.type(b"\x03")
    terminal.reads(b"paused: Enter goes on, Ctrl-C saves and leaves")
    until(lambda: states_of(encoder) == {"T"})
    used = cpu_ticks(encoder)
    assert step_of(film.parent) == "output.0.mkv"
    assert cpu_ticks(encoder) == used
    terminal.type(b"\r")
    terminal.reads(b"going on")
    assert terminal.ended() == 0
    assert film.with_name("output.mkv").exists()
    assert find_resumable_operations(film.parent) == []


def test_the_second_ctrl_c_saves_and_leaves(slow, film):
    """With exit code 130, and no encoder left behind; what was interrupted is resumed from the command line."""
    terminal = Terminal(*slow)
    encoder = until(lambda: encoder_of(terminal.pid))
    terminal.type(b"\x03")
    terminal.reads(b"paused")
    terminal.type(b"\x03")
    assert terminal.ended() == 130
    assert not Path(f"/proc/{encoder}").exists()
    (found,) = find_resumable_operations(film.parent)
    assert (found["error_message"], found["held_by"]) == ("SIGINT", None)
    resume = [sys.executable, "-m", "watcher", "operations", "resume", "--yes", film]
    subprocess.run(resume, check=True, timeout=120, stdin=subprocess.DEVNULL)
    assert film.with_name("output.mkv").exists()


def test_a_terminal_that_closes_during_a_pause_ends_the_script(slow, film):
    """It does not wait for an answer that cannot come; its work is saved."""
    terminal = Terminal(*slow)
    until(lambda: encoder_of(terminal.pid))
    terminal.type(b"\x03")
    terminal.reads(b"paused")
    terminal.close()
    assert terminal.code() in (129, 130)  # its SIGHUP, or what a read of it says
    assert step_of(film.parent) == "output.0.mkv"


# --- by hand


def test_by_hand_tries_nothing_twice(film):
    """Stopped in the middle of the search, it goes on with what it has not tried; finished, it answers at once."""
    with start("by_hand", film) as process:
        tried = [process.stdout.readline(), process.stdout.readline()]
        process.send_signal(signal.SIGTERM)
        tried += process.stdout.read().splitlines(keepends=True)
        assert process.wait(60) == 143
    known = resume_operation_from_state(find_resumable_operations(film.parent)[0]["state_file"])
    remembered = {f"trying {crf}\n" for crf in known.state.optimization_results}
    known.release()
    assert set(tried) >= remembered
    *rest, best = run("by_hand", film)
    assert not remembered & {f"{line}\n" for line in rest}
    assert run("by_hand", film) == [best]
    assert "psnr" in best
