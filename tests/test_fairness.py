"""Whose turn it is: what was just dropped goes before the back catalogue, and nothing starves."""

import os

import pytest
from helpers import Bench
from hypothesis import given
from hypothesis import strategies as st

from watcher.rules.planner import LONGEST_DUE_EVERY, Lanes, in_turn
from watcher.rules.signature import Signature
from watcher.service.conversions import Conversions
from watcher.service.dispatch import Dispatch
from watcher.service.intake import Sighting
from watcher.service.judging import WatchedRoot

# --- as plain values: films are numbers, the higher the newer


def folder(*films):
    """What is due in a folder, the films given in the order in which they came to be due."""
    return Lanes(sorted(films, reverse=True), list(films))


def test_the_newest_comes_first_and_every_fourth_is_the_one_that_has_been_due_for_longest():
    assert in_turn([folder(1, 2, 3, 4, 5, 6, 7, 8)], 0, 8) == [8, 7, 6, 1, 5, 4, 3, 2]


def test_who_takes_one_at_a_time_takes_them_in_the_same_order():
    films, taken = [1, 2, 3, 4, 5, 6, 7, 8], []
    for turn in range(8):
        taken += in_turn([folder(*films)], turn, 1)
        films.remove(taken[-1])
    assert taken == [8, 7, 6, 1, 5, 4, 3, 2]


def test_folders_take_turns_and_one_that_has_no_more_leaves_its_turn_to_the_others():
    assert in_turn([folder(1, 2, 3, 4, 5), folder(11, 12)], 0, 9) == [5, 12, 4, 11, 3, 1, 2]


@given(st.integers(1, 30), st.integers(0, 100))
def test_a_film_is_taken_however_many_newer_ones_come_meanwhile(old, turn):
    """Films that were due before it are taken first; of four places one is theirs."""
    due, newest = list(range(old)), old
    for waited in range(LONGEST_DUE_EVERY * old):
        due.append(newest)
        newest += 1
        (taken,) = in_turn([folder(*due)], turn + waited, 1)
        due.remove(taken)
    assert old - 1 not in due


@given(st.lists(st.sets(st.integers(0, 9), min_size=1), min_size=1, max_size=4), st.integers(0, 50), st.integers(0, 50))
def test_each_film_is_taken_once_and_none_is_left_out(sets, turn, limit):
    roots = [folder(*(10 * number + each for each in films)) for number, films in enumerate(sets)]
    taken = in_turn(roots, turn, limit)
    assert len(taken) == len(set(taken)) == min(limit, sum(map(len, sets)))


# --- as the service does it, on a real database


class OneAtATime:
    """A pool with one place, whose jobs are ended by the next question."""

    def __init__(self):
        self.begun = []
        self.full = False

    def free(self, kind):
        return 0 if self.full or kind == "convert" else 1

    def submit(self, spec):
        self.begun.append(os.path.basename(spec.path).decode())
        self.full = True


class Present:
    """Folders that are there."""

    def __init__(self, bench, *more):
        every = {bench.root_id: os.fsencode(bench.root), **dict(more)}
        self.roots = {each: WatchedRoot(each, path, "poll", None, compared=True) for each, path in every.items()}

    def active(self):
        return list(self.roots)

    def root(self, root_id):
        return self.roots[root_id]

    async def ask(self, root_id, call, *arguments):
        return call(*arguments)


async def in_store(call, *arguments):
    return call(*arguments)


def found_by_a_scan(bench, root_id, folder, films):
    """Let a folder be full of films, and found so."""
    os.makedirs(folder, exist_ok=True)
    sighting = Sighting(b"")
    for name in films:
        path = os.path.join(folder, name)
        with open(path, "wb") as file:
            file.write(name.encode())
        seen = Signature.of(os.lstat(path))
        raw = (seen.device, seen.inode, seen.size_bytes, seen.mtime_ns, seen.blocks)
        sighting.files.append((name.encode(), raw))
    bench.intake.take(root_id, [sighting])


@pytest.fixture
def catalogue(tmp_path, request):
    """So many films in a folder, due for an hour."""
    bench = Bench(tmp_path, settle_sec=0)
    films = [f"old {number:04}.mkv" for number in range(request.param)]
    found_by_a_scan(bench, bench.root_id, bench.root, films)
    bench.clock.forward(3600)
    yield bench
    bench.store.close()


def taking(bench, *more):
    pool = OneAtATime()
    dispatch = Dispatch(bench.engine, bench.checks, Conversions(bench.engine), pool, Present(bench, *more), in_store)

    async def next_one():
        pool.full = False
        await dispatch.turn()
        return pool.begun[-1]

    return next_one


@pytest.mark.parametrize("catalogue", [5000], indirect=True)
async def test_a_film_dropped_beside_a_back_catalogue_of_5000_is_checked_next(catalogue):
    next_one = taking(catalogue)
    assert (await next_one()).startswith("old")
    catalogue.write("dropped.mkv")
    catalogue.see("dropped.mkv")
    catalogue.clock.forward(61)
    assert await next_one() == "dropped.mkv"


@pytest.mark.parametrize("catalogue", [300], indirect=True)
async def test_the_back_catalogue_goes_on_while_films_are_dropped_without_end(catalogue):
    next_one, begun = taking(catalogue), []
    for number in range(12):
        catalogue.write(f"new {number}.mkv")
        catalogue.see(f"new {number}.mkv")
        catalogue.clock.forward(61)
        begun.append(await next_one())
    assert [name for name in begun if name.startswith("old")] == ["old 0000.mkv", "old 0001.mkv", "old 0002.mkv"]


@pytest.mark.parametrize("catalogue", [300], indirect=True)
async def test_a_folder_with_three_films_takes_turns_with_one_of_300(catalogue, tmp_path):
    other = os.fsencode(tmp_path / "other")
    root = catalogue.store.root_at(other).id
    found_by_a_scan(catalogue, root, os.fsdecode(other), ["a.mkv", "b.mkv", "c.mkv"])
    catalogue.clock.forward(3600)
    next_one = taking(catalogue, (root, other))
    begun = [await next_one() for _ in range(6)]
    assert [name for name in begun if name < "old"] == ["a.mkv", "b.mkv", "c.mkv"]
