"""`tail`, `report`, `simulate` and `status --watch`: what a person sees of it, also in a real (pseudo-)terminal."""

import csv
import io
import json
import os
import pty
import re
import select
import subprocess
import sys
import time

import pytest
from films import Audio, film

from watcher.commands import following, live
from watcher.config import load
from watcher.store import reports


@pytest.fixture
def settings(tmp_path):
    file = tmp_path / "settings.json"
    watch = [{"path": str(tmp_path / "films")}]
    file.write_text(json.dumps({"storage_url": str(tmp_path / "watcher.db"), "watch": watch}))
    return file


@pytest.fixture
def lived(bench):
    """Three films: one converted, one that has stereo, one cut; a minute lies between the moves."""
    for name, moves in (
        ("done.mkv", ("check_started", "check_passed", "converted")),
        ("good.mkv", ("check_started", "check_passed", "has_stereo")),
        ("cut\x1b.mkv", ("check_started", "check_failed", "check_started", "check_failed")),
    ):
        bench.write(name, b"x" * 2_000_000)
        bench.see(name)
        for move in moves:
            bench.clock.forward(60)
            reason = "truncated" if move == "check_failed" else ""
            bench.engine.move(bench.entry(name), move, reason=reason, next_at=bench.clock() + 600)
    bench.clock.forward(-100_000_000)
    return bench


class Terminal:
    """A command in a pseudo-terminal of 24 lines, wide enough that no path is folded."""

    def __init__(self, *arguments):
        self.text = ""
        pid, self._fd = pty.fork()
        if pid == 0:
            os.environ.update(TERM="xterm-256color", COLUMNS="200", LINES="24")
            os.execv(sys.executable, [sys.executable, "-m", "watcher", *map(str, arguments)])
        self._pid = pid

    def until(self, pattern, timeout=30, meanwhile=lambda: None):
        end = time.monotonic() + timeout
        while not re.search(pattern, self.text, re.DOTALL):
            assert time.monotonic() < end, f"{pattern} not in {self.text[-2000:]!r}"
            meanwhile()
            if select.select([self._fd], [], [], 0.2)[0]:
                self.text += os.read(self._fd, 65536).decode()

    def interrupt(self):
        os.write(self._fd, b"\x03")
        try:
            while data := os.read(self._fd, 65536):
                self.text += data.decode()
        except OSError:
            pass  # how a terminal says that nobody is left
        os.close(self._fd)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


def test_tail_follows_the_moves_as_they_happen(lived, settings):
    """The last ones first, then each new one; names break no terminal; Ctrl-C ends it."""
    terminal = Terminal("tail", "-n", "3", "--config", settings)
    terminal.until("not whole.*not whole")
    assert r"cut\x1b.mkv" in terminal.text
    assert "stereo track added" not in terminal.text
    lived.engine.move(lived.entry("cut\x1b.mkv"), "check_started", next_at=None)
    lived.engine.move(lived.entry("cut\x1b.mkv"), "check_passed", next_at=None)
    terminal.until(r"whole: [^:]*cut\\x1b.mkv.*whole: [^:]*cut\\x1b.mkv")  # a long path begins a line of its own
    assert terminal.interrupt() == 130


def test_status_watch_shows_what_arrives_and_how_fast(bench, settings, tmp_path):
    """A file that grows has a rate; what runs its share, pace and rest; trouble its reason; and Ctrl-C ends it cleanly."""
    bench.clock.now = time.time() - 30
    bench.write("long.mkv", bytes(900_000))
    bench.see("long.mkv")
    job = bench.checks.begin(bench.entry("long.mkv"), "quiet")
    bench.engine.write_progress({job.attempt_id: 0.25})
    path = bench.write("arriving.mkv")
    bench.see("arriving.mkv")
    bench.write("cut.mkv")
    bench.see("cut.mkv")
    bench.engine.move(bench.entry("cut.mkv"), "check_started", next_at=None)
    bench.engine.move(bench.entry("cut.mkv"), "check_failed", reason="truncated", next_at=None, waits_for="half")
    terminal = Terminal("status", "--watch", "--config", settings)
    terminal.until("In trouble.*not whole.*half.*Files.*Folders")
    assert re.search(r"Running\W.*check .*25 %.* \d\.\d kB/s +\S+ \S+ left .*long\.mkv", terminal.text, re.DOTALL)
    assert f"running (process {os.getpid()})" in terminal.text

    def grow():
        with open(path, "ab") as file:
            file.write(bytes(100_000))

    terminal.until(r"[kM]B/s", meanwhile=grow)
    assert terminal.interrupt() == 130
    assert "\x1b[?25h" in terminal.text


def test_what_only_a_terminal_can_show_is_refused_elsewhere(settings):
    """A picture that is drawn anew each second would fill a pipe, or hold it up for ever."""
    command = [sys.executable, "-m", "watcher", "status", "--watch", "--config", settings]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, "watcher status --json" in done.stderr) == (2, "", True)


def test_a_list_on_a_terminal_folds_no_name(lived, settings):
    """The name has a line of its own, and how the file stands is below it."""
    terminal = Terminal("list", "--config", settings)
    terminal.until(r"cut\\x1b.mkv\r\n.*INCOMPLETE.* 2.0 MB .*truncated.*done.mkv\r\n.*CONVERTED.*good.mkv")


def test_a_pace_is_that_of_now_whatever_lies_between_a_jobs_beginning_and_now():
    """An hour's pause is no part of it, nor what was done before an interruption."""
    paces, began = live._Paces(), 1_000_000
    hour, second = 3_600_000, 1000

    def look(share, after_ms, *, stands_still=False):
        job = reports.Job("a", b"/film.mkv", "convert", share, began)
        return paces.look([job], began + after_ms, stands_still=stands_still).get("a")

    assert look(0.5, 10 * second) == pytest.approx(0.05), "all there is to know at first"
    assert look(0.6, 20 * second) == pytest.approx(0.01)
    assert look(0.6, hour, stands_still=True) is None
    look(0.6, hour)
    assert look(0.7, hour + 10 * second) == pytest.approx(0.01)


def test_tail_for_programs_is_one_object_a_line(lived, settings, capsys):
    """With the path as it is on disk."""
    import asyncio

    assert asyncio.run(following.tail(load(settings), 2, follow=False, as_json=True)) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["move"], second["move"], second["before"], second["reason"]) == (
        "check_started", "check_failed", "pending", "truncated",
    )  # fmt: skip
    assert second["path"].endswith("cut\x1b.mkv")


def test_next_names_what_is_at_work_before_what_comes(bench, settings):
    """A file at work waits for nothing, and yet something is going on."""
    command = [sys.executable, "-m", "watcher", "next", "--config", settings]

    def said():
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert said() == "nothing waits: every file rests until it changes\n"
    bench.write("film.mkv")
    bench.see("film.mkv")
    bench.checks.begin(bench.entry("film.mkv"), "quiet")
    assert re.sub(r"\s", "", said()) == f"atwork:{bench.path('film.mkv').decode()}"
    bench.write("next.mkv")
    bench.see("next.mkv")
    assert re.search(r"at work: .*film\.mkv\n.*next\.mkv", said(), re.DOTALL)


def test_a_report_says_what_came_of_each_film_in_three_forms(lived, settings, capsys):
    """A film once, by its last outcome; with its size and the time it took, which is that of its conversion alone."""
    lived.store.put_finding(lived.entry("done.mkv").id, proof={"took_ms": 7000})
    assert following.report(load(settings), "4w", as_json=False, as_csv=False) == 0
    out = capsys.readouterr().out
    assert "Stereo track added: 1 film, 2.0 MB" in out
    assert re.search(r"Not whole: 1 film, 2.0 MB\n.*60 s +\S+cut\\x1b.mkv\n +truncated", out)
    following.report(load(settings), "4w", as_json=False, as_csv=True)
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["outcome"], row["size_bytes"], row["took_sec"]) for row in rows] == [
        ("converted", "2000000", "7.0"), ("has_stereo", "2000000", "120.0"), ("check_failed", "2000000", "60.0"),
    ]  # fmt: skip
    following.report(load(settings), "1h", as_json=True, as_csv=False)
    answer = json.loads(capsys.readouterr().out)
    assert answer["totals"]["check_failed"] == 1
    assert [film["path"].rpartition("/")[2] for film in answer["files"]] == ["done.mkv", "good.mkv", "cut\x1b.mkv"]


def test_a_simulation_says_what_would_be_done_and_touches_nothing(tmp_path, settings):
    """No database, no file, no time is written; each answer has its reason."""
    films = tmp_path / "films"
    (films / "@eaDir").mkdir(parents=True)
    whole = film(films / "surround.mkv", seconds=1)
    film(films / "good.mkv", seconds=1, audio=(Audio("eng", 2),))
    film(films / "german.mkv", seconds=1, audio=(Audio("ger", 6),))
    (films / "cut.mkv").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    (films / "@eaDir" / "junk.mkv").write_bytes(b"")
    (films / "film.mkv.part").write_bytes(b"x")
    (films / "link.mkv").symlink_to(whole)
    before = {path: path.stat() for path in tmp_path.rglob("*")}
    command = [sys.executable, "-m", "watcher", "simulate", "--config", settings]
    done = subprocess.run(
        [*command, films, films / "film.mkv.part", films / "link.mkv", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    would = {answer["path"].rpartition("/")[2]: answer for answer in map(json.loads, done.stdout.splitlines())}
    assert {name: answer["would"] for name, answer in would.items()} == {
        "surround.mkv": "convert", "good.mkv": "nothing", "german.mkv": "ignore", "cut.mkv": "wait", "film.mkv.part": "ignore",
        "link.mkv": "ignore",
    }  # fmt: skip
    assert "from stream 1 (ac3, 6 channels)" in would["surround.mkv"]["why"]
    assert "looked at again: cut" in would["cut.mkv"]["why"]
    assert "unfinished download" in would["film.mkv.part"]["why"]
    after = {path: path.stat() for path in tmp_path.rglob("*")}
    assert {path: (was.st_mtime_ns, was.st_size) for path, was in before.items()} == {
        path: (now.st_mtime_ns, now.st_size) for path, now in after.items()
    }
    done = subprocess.run([*command, tmp_path / "none"], capture_output=True, text=True, check=False)
    assert (done.returncode, "it is not there" in done.stderr) == (78, True)
