"""kill -9 while an operation tells its steps: its state is whole at that instant, and no finished step is done again."""

import functools
import os
import random
import signal
import sys
import time

from watcher.operations import (
    StateAwareOperation,
    TranscodeOperation,
    document,
    find_resumable_operations,
    holds,
    places,
)

STEPS = [f"piece {number}" for number in range(30)]
KILLS = 25


def work(operation, ledger):
    """Do what was not done before, and note each step outside of its state."""
    with StateAwareOperation(operation, keep_completed=True) as manager:
        for number, step in enumerate(STEPS):
            if not manager.is_done(step):
                manager.update_step(step, 100 * number / len(STEPS), {step: "x" * 500})
                with open(ledger, "a") as lines:
                    lines.write(step + "\n")


def lives(work, kill=lambda _child: None):
    """Run `work` in a child that may be killed; tells whether it lived to the end."""
    child = os.fork()
    if child == 0:
        failed = 1
        try:
            work()
            failed = 0
        finally:
            os._exit(failed)  # whatever happens, no second pytest goes on
    kill(child)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (0, -signal.SIGKILL)
    return os.waitstatus_to_exitcode(status) == 0


def until_line(number, work):
    """Run `work` until the n-th line of the modules that change something on the disk, and die there."""
    files = {module.__file__ for module in (holds, places)}
    lines = 0

    def count(frame, event, _):
        nonlocal lines
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            lines += 1
            if lines == number:
                os.kill(os.getpid(), signal.SIGKILL)
        return count

    sys.settrace(count)
    work()


def after(ledger, lines, seconds, child):
    """Kill a child at some instant after it has noted this many steps in all; it may be done before."""
    while (
        len(ledger_lines(ledger)) < lines and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    ):
        time.sleep(0.0005)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)


def done_steps(operation, folder):
    """Give the steps that the state on the disk says are finished: it must be whole, or not there yet."""
    found = find_resumable_operations(folder)
    assert not [one for one in found if one["broken"]]
    state = document.read(places.state_path(operation))
    return set() if state is None else set(state.steps_completed)


def ledger_lines(path):
    return path.read_text().splitlines() if path.exists() else []


def test_a_state_is_whole_whichever_line_is_the_last(tmp_path, monkeypatch):
    """Every line of the first and of a later save: the old state or the new one is there, and the next run takes it."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # a kill leaves the kernel's cache alone, and this takes its time
    film = tmp_path / "film.mkv"
    film.write_bytes(b"film")
    operation = TranscodeOperation("vbr", film)

    def two_steps():
        with StateAwareOperation(operation, keep_completed=True) as manager:
            manager.update_step("one")
            manager.update_step("two", data={"long": "x" * 10_000})

    number, lived, seen = 0, False, set()
    while not lived:
        number += 1
        lived = lives(functools.partial(until_line, number, two_steps))
        seen.add(frozenset(done_steps(operation, tmp_path)))
        assert lives(two_steps)
        assert document.read(places.state_path(operation)).steps_completed == ["one", "two"]
        os.unlink(places.state_path(operation))
        assert os.listdir(tmp_path / ".watcher_state") == []
    assert number > 50
    assert seen == {frozenset(), frozenset({"one"}), frozenset({"one", "two"})}


def killed_at_random(operation, folder, kills, seed):
    """Kill `work` at random instants until that often, or it is done; gives how many kills hit it, having checked each."""
    ledger = folder / "ledger"
    chance = random.Random(seed)
    hits = 0
    for _ in range(kills):
        before, noted = done_steps(operation, folder), len(ledger_lines(ledger))
        kill = functools.partial(after, ledger, noted + chance.randrange(3), chance.uniform(0, 0.01))
        lived = lives(functools.partial(work, operation, ledger), kill)
        assert not before & set(ledger_lines(ledger)[noted:]), "a finished step was done again"
        assert before <= done_steps(operation, folder)
        hits += not lived
        if lived:
            break
    return hits


def test_no_finished_step_is_done_again_whenever_the_kill_comes(tmp_path):
    """Random instants of a job of thirty steps, until it is done; then its record holds all it has learned."""
    film = tmp_path / "film.mkv"
    film.write_bytes(b"film")
    operation = TranscodeOperation("vbr", film)
    hits = killed_at_random(operation, tmp_path, KILLS, seed=7)
    assert hits > 1
    assert lives(functools.partial(work, operation, tmp_path / "ledger"))
    state = document.read(places.state_path(operation))
    assert state.completed
    assert state.steps_completed == STEPS
    assert state.data == dict.fromkeys(STEPS, "x" * 500)
    assert set(ledger_lines(tmp_path / "ledger")) == set(STEPS)
