"""A root that lost most of its films at once stays suspended until those are back, not as long as others stand."""

import asyncio
import os
import shutil

import pytest

from watcher.config import WatchSettings
from watcher.rules import names
from watcher.rules.statuses import IntegrityStatus as I
from watcher.rules.statuses import Mode, Reason
from watcher.rules.verdict import Verdict
from watcher.service.conversions import Conversions
from watcher.service.jobs import Checked
from watcher.service.recovery import Recovery
from watcher.service.roots import Roots
from watcher.store import reports
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
    await asyncio.gather(*(root.beat for root in roots.all() if root.beat is not None))
    await roots.turn()
    tasks = [root.task for root in roots.all() if root.task is not None]
    if tasks:
        await asyncio.wait(tasks)


def suspended(bench):
    return bench.store.root_row(bench.root_id).suspended_because


async def test_a_doubted_root_is_not_believed_again_for_the_films_that_never_left(bench, kept, capsys):
    root = await kept.take_on(os.fsencode(bench.root), "poll")
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
    root = await kept.take_on(os.fsencode(bench.root), "poll")
    await beat(kept)
    shutil.rmtree(bench.root / "big")
    root.due_scan = 0.0
    await beat(kept)
    kept.vouch(root.path)
    await beat(kept)
    await beat(kept)
    assert suspended(bench) is None
    assert bench.entry("big/1.mkv").missing_since_ms is not None


async def test_who_vouches_for_a_root_vouches_for_what_is_missing_now_and_not_for_what_goes_later(bench, kept):
    """It is scanned at once, and the wish is spent; it is spent too where nothing stands that could be vouched for."""
    root = await kept.take_on(os.fsencode(bench.root), "poll")
    await beat(kept)
    os.unlink(bench.root / "big" / "1.mkv")
    kept.vouch(root.path)
    await beat(kept)
    assert bench.entry("big/1.mkv").missing_since_ms is not None
    bench.root.rename(bench.root.with_name("elsewhere"))
    bench.root.mkdir()
    await beat(kept)
    assert "is the disk mounted" in suspended(bench)
    bench.root.rmdir()
    kept.vouch(root.path)
    await beat(kept)
    bench.root.mkdir()
    await beat(kept)
    assert "is the disk mounted" in suspended(bench)


async def test_what_comes_in_the_place_of_a_root_that_was_away_is_known_by_its_films(bench, kept):
    """Its numbers prove nothing: of two disks that take turns in one slot, each has those of the other."""
    await kept.take_on(os.fsencode(bench.root), "poll")
    await beat(kept)
    elsewhere = bench.root.with_name("elsewhere")
    for comes in ("another", "itself"):
        bench.root.rename(elsewhere)
        await beat(kept)
        assert "is not there" in suspended(bench)
        if comes == "another":
            (elsewhere / "big").rename(elsewhere.with_name("big"))
            for folder in elsewhere.glob("small*"):
                shutil.rmtree(folder)
            (elsewhere / "other.mkv").touch()
        elsewhere.rename(bench.root)
        await beat(kept)
        if comes == "another":
            assert "known files are there" in suspended(bench)
            (bench.root.with_name("big")).rename(bench.root / "big")
            for number in range(20):
                bench.write(f"small {number}/film.mkv")
            await beat(kept)
        assert suspended(bench) is None
    assert bench.entry("big/1.mkv").missing_since_ms is None


async def test_nothing_is_due_in_a_folder_that_is_watched_no_more_until_it_is_again(bench, kept, tmp_path):
    """Its films would be said to be next, and to be late, for ever."""
    bench.see("big/1.mkv")
    (tmp_path / "others").mkdir()
    await kept.start([WatchSettings(path=tmp_path / "others", mode="poll")], observing=False)
    assert suspended(bench) == reports.UNWATCHED
    assert reports.upcoming(bench.store, 10, 0) == []
    await kept.take_on(os.fsencode(bench.root), "poll")
    await beat(kept)
    assert suspended(bench) is None
    assert reports.upcoming(bench.store, 10, 0) != []


async def test_nothing_is_believed_against_a_film_whose_folder_was_pulled_away(bench, kept):
    """What stands against it is trouble of the machine; what speaks for it was read from it and stays."""
    await kept.take_on(os.fsencode(bench.root), "poll")
    await beat(kept)
    with bench.engine.turn():
        spec = bench.checks.begin(bench.entry("big/1.mkv"), "test")
    cut = Checked(spec, Verdict(I.INCOMPLETE, Mode.FULL, Reason.DAMAGED, evidence=("decode: no such file",)), None)
    assert await kept.believed(cut) is cut
    bench.root.rename(bench.root.with_name("elsewhere"))
    verdict = (await kept.believed(cut)).verdict
    assert (verdict.status, verdict.reason) == (I.ERROR, Reason.ROOT_SUSPENDED)
    assert verdict.evidence == (f"folder: {bench.root} is not there", "decode: no such file")
    whole = Checked(spec, Verdict(I.COMPLETE, Mode.FULL), None)
    assert await kept.believed(whole) is whole
