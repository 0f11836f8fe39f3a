"""The log: fields for the journal, JSON or lines elsewhere, and calm whatever happens."""

import io
import json
import logging
import os
import re
import socket
import struct
from pathlib import Path

import pytest
import structlog

from watcher.rules import machine
from watcher.service import calm, journal, log, wording
from watcher.service.calm import Calm

CATALOG = Path(__file__).parent.parent / "systemd" / "watcher.catalog"
ODD = b"/films/caf\xe9 \x1b[31m\n.mkv"


class Journald:
    """A socket where journald's would be; takes an entry and gives its fields."""

    def __init__(self, folder):
        self.address = str(folder / "journal")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.settimeout(2)

    def take(self):
        data, descriptors, _, _ = socket.recv_fds(self._socket, 1 << 20, 1)
        for descriptor in descriptors:
            with os.fdopen(descriptor, "rb") as file:
                file.seek(0)
                data = file.read()
        fields = {}
        while data:
            head, _, rest = data.partition(b"\n")
            name, equals, value = head.partition(b"=")
            if not equals:
                (length,) = struct.unpack("<Q", rest[:8])
                value, rest = rest[8 : 8 + length], rest[9 + length :]
            fields[name.decode()], data = value, rest
        return fields

    def close(self):
        self._socket.close()


@pytest.fixture
def journald(tmp_path, monkeypatch):
    journald = Journald(tmp_path)
    sender = journal.Journal(journald.address)
    monkeypatch.setattr(journal, "Journal", lambda: sender)
    monkeypatch.setattr(log, "_calm", Calm())
    yield journald
    sender.close()
    journald.close()


def logger():
    return structlog.get_logger("watcher")


# --- fields


def test_a_line_in_the_journal_is_fields_with_names_byte_for_byte(journald):
    """MESSAGE can be read on any terminal; FILE_PATH is the name as it is on disk, newline, escape and stray byte included."""
    log.set_up("info", "journal")
    keys = {"path": ODD, "root": b"/films", "from": "UNKNOWN", "to": "PENDING", "job": "a1b2"}
    logger().warning("check_failed", **keys, reason="truncated", detail="cut: half is there", ffmpeg_stderr="one\ntwo")
    fields = journald.take()
    assert fields["MESSAGE"] == rb"not whole: /films/caf\xe9 \x1b[31m\n.mkv (cut: half is there)"
    assert (fields["FILE_PATH"], fields["ROOT"], fields["WATCHER_JOB"]) == (ODD, b"/films", b"a1b2")
    assert (fields["FROM"], fields["TO"], fields["REASON"]) == (b"UNKNOWN", b"PENDING", b"truncated")
    assert (fields["EVENT"], fields["PRIORITY"], fields["FFMPEG_STDERR"]) == (b"check_failed", b"4", b"one\ntwo")
    assert fields["MESSAGE_ID"].decode() == wording.SAYINGS["check_failed"].message_id
    assert fields["CODE_FILE"].endswith(b"test_log.py")
    assert fields["CODE_FUNC"] == b"test_a_line_in_the_journal_is_fields_with_names_byte_for_byte"


def test_what_is_too_large_for_a_datagram_arrives_whole(journald):
    """It is handed over in memory."""
    log.set_up("info", "journal")
    logger().info("found", path=b"/films/a.mkv", evidence="x" * 3_000_000)
    assert len(journald.take()["EVIDENCE"]) == 3_000_000


def test_a_trace_and_the_lines_of_libraries_arrive_too(journald):
    """The trace is a field of its own: the message stays one line."""
    log.set_up("info", "journal")
    try:
        raise RuntimeError("why")
    except RuntimeError:
        logger().exception("job crashed", path=b"/films/a.mkv")
    crashed = journald.take()
    assert (crashed["MESSAGE"], crashed["PRIORITY"]) == (b"a fault of this program: /films/a.mkv", b"3")
    assert b"RuntimeError: why" in crashed["EXCEPTION"]
    logging.getLogger("peewee").warning("of a library\nand more")
    assert journald.take() == {
        "MESSAGE": b"of a library", "PRIORITY": b"4", "EVENT": b"peewee", "DETAIL": b"of a library\nand more",
    }  # fmt: skip


def test_without_a_journald_the_lines_stand_on_standard_error(tmp_path, capsys):
    """With their priority, as a service's standard error is read."""
    sender = journal.Journal(str(tmp_path / "none"))
    sender.send({"MESSAGE": b"hello", "PRIORITY": b"4"})
    sender.close()
    assert capsys.readouterr().err == "<4>hello\n"


def test_a_stream_is_the_journals_only_by_its_own_numbers(tmp_path, monkeypatch):
    """The variable alone proves nothing: children inherit it."""
    with open(tmp_path / "stream", "w") as stream:
        there = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{there.st_dev}:{there.st_ino}")
        assert journal.is_ours(stream)
        monkeypatch.setenv("JOURNAL_STREAM", f"{there.st_dev}:{there.st_ino + 1}")
        assert not journal.is_ours(stream)
        monkeypatch.delenv("JOURNAL_STREAM")
        assert not journal.is_ours(stream)


def test_elsewhere_a_line_is_a_json_object_with_readable_names(monkeypatch):
    """Also of the odd name."""
    monkeypatch.setattr(log, "_calm", Calm())
    stream = io.StringIO()
    log.set_up("info", "json", stream)
    logger().info("moved", path=ODD, **{"from": b"/films/a", "to": ODD})
    line = json.loads(stream.getvalue())
    assert line["path"] == line["to"] == r"/films/caf\xe9 \x1b[31m\n.mkv"
    assert (line["from"], line["level"]) == ("/films/a", "info")


# --- a person


def test_on_a_terminal_a_line_is_what_the_journal_says(monkeypatch):
    """Trouble in colour, except for those who want none; and a trace below its line."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    trouble = {
        "path": ODD,
        "from": "PENDING",
        "to": "INCOMPLETE",
        "reason": "truncated",
        "detail": "cut: half is there",
    }

    def said():
        monkeypatch.setattr(log, "_calm", Calm())
        log.set_up("info", "auto", stream := Terminal())
        logger().warning("check_failed", **trouble)
        try:
            raise RuntimeError("no disk")
        except RuntimeError:
            logger().exception("job crashed", path=b"/films/a.mkv")
        return stream.getvalue().splitlines()

    first, second, *trace = said()
    shown = r"not whole: /films/caf\xe9 \x1b[31m\n.mkv (cut: half is there)"
    assert re.fullmatch(r"\x1b\[2m\d\d:\d\d:\d\d\x1b\[0m \x1b\[33m" + re.escape(shown) + r"\x1b\[0m", first)
    assert "a fault of this program: /films/a.mkv" in second
    assert trace[-1] == "RuntimeError: no disk"
    monkeypatch.setenv("NO_COLOR", "1")
    assert re.fullmatch(r"\d\d:\d\d:\d\d " + re.escape(shown), said()[0])


class Terminal(io.StringIO):
    def isatty(self):
        return True


# --- words


def test_each_kind_of_trouble_is_explained_by_the_catalog():
    """And the catalog explains nothing that is never said; it fills in no name, which might hold any byte."""
    ids = {saying.message_id for saying in wording.SAYINGS.values() if saying.message_id}
    text = CATALOG.read_text()
    assert set(re.findall(r"^-- ([0-9a-f]{32})$", text, re.MULTILINE)) == ids
    assert set(re.findall(r"@(\w+)@", text)) <= {"DETAIL", "REASON", "TROUBLE", "SET_ASIDE"}


def test_every_move_has_words_of_its_own():
    """None is shown by the name it has in the table."""
    assert {move for move, _, _ in (*machine.INTEGRITY_MOVES, *machine.PROCESSED_MOVES)} <= set(wording.SAYINGS)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"event": "found", "path": b"/films/Heat.mkv", "root": b"/films"}, "found: /films/Heat.mkv"),
        ({"event": "ignored", "path": b"/f/a.mkv", "reason": "no_english"}, "left alone: /f/a.mkv (no english)"),
        ({"event": "converted", "path": b"/f/a.mkv", "reason": "stereo_added; not kept: owner"}, "stereo track added: /f/a.mkv"),
        ({"event": "converted", "path": b"/f/a.ts", "reason": "sidecar"}, "stereo track added: /f/a.ts (sidecar)"),
        ({"event": "has_stereo", "path": b"/f/a.mkv", "reason": "stereo"}, "has a stereo track already: /f/a.mkv"),
        ({"event": "moved", "path": b"/f/b.mkv", "from": b"/f/a.mkv", "to": b"/f/b.mkv"}, "moved: /f/a.mkv -> /f/b.mkv"),
        ({"event": "opened", "database": "/d.db", "ffmpeg": "5.1"}, "opened: /d.db (ffmpeg 5.1)"),
        (
            {"event": "check_undecided", "path": b"/f/a", "reason": "io_error", "times": 4},
            "could not be checked: /f/a (io error; the 4th time in a row)",
        ),
        ({"event": "watching", "roots": {"/films": "events"}}, "watching (roots /films: events)"),
    ],
)  # fmt: skip
def test_a_message_is_one_short_line(event, said):
    """The words, the place, and why where that matters."""
    assert wording.message(event) == said


# --- calm


def passes(calmed, event="scan failed", **keys):
    try:
        return calmed(None, "warning", {"event": event, **keys})
    except structlog.DropEvent:
        return None


def test_the_same_trouble_is_said_at_growing_distances_with_its_number():
    """Until it has stayed away for long: then it is new."""
    now = [0.0]
    calmed = Calm(lambda: now[0])
    said = []
    for _ in range(20):
        now[0] += 600
        line = passes(calmed, root=b"/films", reason="denied")
        said += [line.get("times", 1)] if line else []
    assert said == [1, 2, 4, 8, 16]
    now[0] += calm.FORGOTTEN_SEC
    assert "times" not in passes(calmed, root=b"/films", reason="denied")


def test_of_one_trouble_at_many_places_the_first_are_said_and_the_rest_counted():
    """The count comes when the minute is over; another trouble is not held back by it."""
    now = [0.0]
    calmed = Calm(lambda: now[0])
    lines = [passes(calmed, "not cleared up", path=b"%d" % number, reason="io_error") for number in range(1000)]
    assert sum(line is not None for line in lines) == calm.SAID_AT_MOST
    assert passes(calmed, "folder cannot be read", path=b"1", reason="denied")
    assert calmed.more() == []
    now[0] = calm.WINDOW_SEC
    assert calmed.more() == [("not cleared up", "io_error", 1000 - calm.SAID_AT_MOST)]
    assert calmed.more() == []


def test_news_and_changes_of_state_always_pass():
    """A folder that comes and goes is suspended in the log as often as it is back; a film's life has no gaps."""
    calmed = Calm(lambda: 0.0)
    for number in range(50):
        assert passes(calmed, "check_failed", path=b"%d" % number, reason="truncated", **{"from": "A", "to": "B"})
    for _ in range(50):
        assert calmed(None, "info", {"event": "found", "path": b"a"})
        assert "times" not in passes(calmed, "root suspended", root=b"/films", reason="empty")


def test_a_film_that_cannot_be_checked_is_told_each_time_it_counts(bench):
    """Its failures are counted in its row: a restart does not begin anew. What lies between is for debugging."""
    from structlog.testing import capture_logs

    path = bench.write("a.mkv")
    bench.see("a.mkv")
    entry = bench.entry("a.mkv")
    with capture_logs() as lines:
        for failures in range(1, 10):
            with bench.engine.turn():
                bench.engine.move(entry, "check_started", next_at=None)
                bench.engine.move(entry, "check_undecided", reason="io_error", next_at=None, failures_in_row=failures)
    told = [(line["event"], line.get("times", 1)) for line in lines if line["log_level"] != "debug"]
    assert [times for event, times in told if event == "check_undecided"] == [1, 2, 4, 8]
    assert sum(event == "check_started" for event, _ in told) == 4
    assert {line["path"] for line in lines} == {path}
