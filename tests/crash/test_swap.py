"""kill -9 at every line of the swap: the film is whole at that instant, and the next start leaves no trace of the stop."""

import json
import os
import signal
import sys
import types
from dataclasses import asdict

import pytest

from watcher.media import replace
from watcher.rules.signature import Signature
from watcher.service import landing

OLD, NEW = b"the film as it was" * 100, b"the film with its new track" * 100


def write(path, content):
    with open(path, "wb") as out:
        out.write(content)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def convert(film, target, temp, intent, expected):
    """Do what the service does after the proof, with a file for the database."""
    result = replace.prepare(film, temp, expected, lambda _: None)
    write(intent + b".new", json.dumps(asdict(result)).encode())
    os.rename(intent + b".new", intent)
    if target == film:
        replace.swap(film, temp, expected, lambda _: None)
    else:
        replace.place_sidecar(temp, target)


def in_a_child_killed_at_line(number, work):
    """Run `work` in a child that dies by SIGKILL before the n-th line of replace.py; tells whether it lived to the end."""
    child = os.fork()
    if child == 0:
        lines = 0

        def count(frame, event, _):
            nonlocal lines
            if frame.f_code.co_filename != replace.__file__:
                return None
            if event == "line":
                lines += 1
                if lines == number:
                    os.kill(os.getpid(), signal.SIGKILL)
            return count

        failed = 1
        try:
            sys.settrace(count)
            work()
            failed = 0
        finally:
            os._exit(failed)  # whatever happens, no second pytest goes on
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (0, -signal.SIGKILL)
    return os.waitstatus_to_exitcode(status) == 0


@pytest.mark.parametrize("name", [b"Film.mkv", b"Film.stereo.mkv"], ids=["swap", "sidecar"])
def test_the_film_is_whole_whichever_line_is_the_last(tmp_path, name):
    """Old or new under its name, never less; afterwards the work is done once, or undone, and no file is left over."""
    number, lived, swapped, undone = 0, False, 0, 0
    while not lived:
        number += 1
        folder = os.path.join(os.fsencode(tmp_path), b"%d" % number)
        os.mkdir(folder)
        film, target, intent = (os.path.join(folder, part) for part in (b"Film.mkv", name, b"intent"))
        temp = replace.temp_path(film, "0123456789ab")
        write(film, OLD)
        write(temp, NEW)
        expected = Signature.of(os.lstat(film))

        lived = in_a_child_killed_at_line(number, lambda a=(film, target, temp, intent, expected): convert(*a))

        assert read(film) in ((OLD, NEW) if target == film else (OLD,))
        assert not os.path.lexists(target) or target == film or read(target) == NEW
        result = json.loads(read(intent)) if os.path.exists(intent) else None
        replaces = asdict(expected) if target == film else None
        attempt = types.SimpleNamespace(
            source=asdict(expected), replaces=replaces, result=result, target=target, temp=temp
        )
        landed = landing.settle_attempt(attempt, film)
        assert (landed is not None) == (result is not None)
        assert read(target if landed else film) == (NEW if landed else OLD)
        left = set(os.listdir(folder)) - {b"intent", b"intent.new"}
        assert left == ({b"Film.mkv", name} if landed else {b"Film.mkv"})
        swapped, undone = swapped + (landed is not None), undone + (landed is None)
    assert swapped > 5
    assert undone > 5
