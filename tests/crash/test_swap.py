"""kill -9 between any two effects of a swap: the film is whole at that instant, and the next start leaves no trace of it."""

import asyncio
import os
import shutil
import signal
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers import Bench
from swaps import FORMS, NEW, OLD, Flight, done, read, recovered, tree, undone, write

from watcher.media import disk, replace
from watcher.rules.statuses import ProcessedStatus as P
from watcher.store.store import StateStore

ON_DISK = ("rename", "link", "unlink", "chown", "chmod", "utime", "setxattr", "fsync")


def in_a_child_killed_before_effect(number, work):
    """Run `work` in a child that dies by SIGKILL before the n-th effect on disk or database; tells whether it lived."""
    child = os.fork()
    if child == 0:
        failed = 1
        try:
            count_effects(number)
            work()
            failed = 0
        finally:
            os._exit(failed)  # whatever happens, no second pytest goes on
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (0, -signal.SIGKILL)
    return os.waitstatus_to_exitcode(status) == 0


def count_effects(number):
    left = [number]

    def before():
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(call):
        def wrapped(*arguments, **options):
            before()
            return call(*arguments, **options)

        return wrapped

    @contextmanager
    def transaction(self, call=StateStore.transaction):
        with call(self):
            yield
            before()  # all is written, nothing committed

    for name in ON_DISK:
        setattr(os, name, counted(getattr(os, name)))
    disk._rename_without_replacing = counted(disk._rename_without_replacing)
    StateStore.transaction = transaction


@pytest.fixture
def fast_disk():
    """Memory where there is some: a kill is no power cut, and what is killed need not wait for disks."""
    folder = Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("form", FORMS)
def test_the_film_is_whole_whichever_effect_was_the_last(fast_disk, form):
    """Old or new under its name, never less; afterwards the work is done once, or undone, and no file is left over."""
    number, lived, results = 0, False, []
    while not lived:
        number += 1
        folder = fast_disk / str(number)
        folder.mkdir()
        bench = Bench(folder)
        flight = Flight(bench, form)
        swap, spec = flight.swap, flight.spec
        os.unlink(swap.temp)
        bench.store.close()

        def convert(folder=folder, flight=flight):
            flight.bench = Bench(folder)
            replace.rehearse(flight.swap, replace.Keeping())
            write(flight.swap.temp, NEW)
            asyncio.run(flight.land())

        lived = in_a_child_killed_before_effect(number, convert)

        there = [path for path in (swap.film, swap.target) if os.path.lexists(path)]
        assert read(there[0]) in (OLD, NEW)
        assert all(read(path) in (OLD, NEW, b"the sidecar of before") for path in there)

        for _ in range(2):  # the second start finds nothing to do
            bench = Bench(folder)
            asyncio.run(recovered(bench))
            entry = bench.store.entry(spec.entry_id)
            converted = entry.processed_status is P.CONVERTED
            assert tree(swap) == (done(swap) if converted else undone(swap))
            assert bench.store.attempts() == []
            assert converted or entry.next_check_at_ms is not None
            assert bench.journal(os.path.basename(entry.path)).count("converted") == converted
            assert not bench.see(os.path.basename(entry.path)).any()
            bench.store.close()
        results.append(converted)
        shutil.rmtree(folder)
    assert results == sorted(results)  # once intended, always finished
    assert results.count(False) > 3
    assert results.count(True) > 2
