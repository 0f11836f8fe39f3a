"""A root that lost most of its films at once stays suspended until those are back, not as long as others stand."""

import asyncio
import os
import shutil

import pytest

from watcher.rules import names
from watcher.service.conversions import Conversions
from watcher.service.recovery import Recovery
from watcher.service.roots import Roots
from watcher.watch.observers import Observers


@pytest.fixture
def kept(bench):
    """60 films in one folder, 20 in folders of their own, so that a sample holds more of those."""
    for number in range(60):
        bench.write(f"big/{number}.mkv")
    for number in range(20):
        bench.write(f"small {number}/film.mkv")

    async def in_store(call, *arguments):
        return call(*arguments)

    recovery = Recovery(bench.engine, bench.checks, Conversions(bench.engine), in_store)
    return Roots(bench.engine, recovery, bench.intake, Observers(lambda: None), in_store, lambda: None)


async def beat(roots):
    """One turn, its scans, and the turn that takes their end."""
    roots._next_beat = 0.0
    await roots.turn()
    await asyncio.gather(*(root.beat for root in roots._roots.values() if root.beat is not None))
    await roots.turn()
    tasks = [root.task for root in roots._roots.values() if root.task is not None]
    if tasks:
        await asyncio.wait(tasks)


def suspended(bench):
    return bench.store.root_row(bench.root_id).suspended_because


async def test_a_doubted_root_is_not_believed_again_for_the_films_that_never_left(bench, kept, capsys):
    root = await kept._take_on(os.fsencode(bench.root), "poll")
    await beat(kept)
    shutil.move(bench.root / "big", bench.root.parent / "elsewhere")
    root.due_scan = 0.0
    await beat(kept)
    assert "60 of 80" in suspended(bench)
    for _ in range(3):
        await beat(kept)
        assert "60 of 80" in suspended(bench), names.readable(root.path)
    shutil.move(bench.root.parent / "elsewhere", bench.root / "big")
    await beat(kept)
    await beat(kept)
    assert suspended(bench) is None
    assert bench.entry("big/1.mkv").missing_since_ms is None


async def test_a_person_vouches_for_a_doubted_root(bench, kept):
    root = await kept._take_on(os.fsencode(bench.root), "poll")
    await beat(kept)
    shutil.rmtree(bench.root / "big")
    root.due_scan = 0.0
    await beat(kept)
    kept.vouch(root.path)
    await beat(kept)
    await beat(kept)
    assert suspended(bench) is None
    assert bench.entry("big/1.mkv").missing_since_ms is not None
