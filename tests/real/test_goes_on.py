"""A conversion that is interrupted goes on where it was, and its result is the one it would have been."""

import os
import random
import shutil
import signal

import pytest
from films import film
from interrupting import Interrupting, hashes, instants


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return film(tmp_path_factory.mktemp("made") / "film.mkv", seconds=24)


@pytest.fixture(scope="module")
def calm(made, tmp_path_factory):
    """The packets of the film that was converted with nothing happening to it."""
    folder = tmp_path_factory.mktemp("calm")
    shutil.copy(made, folder / "copy.mkv")
    calm = Interrupting(folder, folder / "copy.mkv", read_times=1000)
    calm.finish()
    return hashes(calm.film)


@pytest.fixture
def film_in(tmp_path, made):
    shutil.copy(made, tmp_path / "copy.mkv")
    found = Interrupting(tmp_path, tmp_path / "copy.mkv", read_times=24)
    yield found
    if found.service._process is not None:
        found.service.stop()


def test_killed_at_ten_instants_it_loses_nothing_and_does_nothing_twice(film_in, calm):
    """Never a state that is not whole, never a finished step again, the same packets in the end, and no file left over."""
    dice = random.Random(6)
    for step, after_sec in instants(dice, 10, 0.8):
        if not film_in.interrupt(step, after_sec):
            break
    if not film_in.is_done():
        film_in.finish()
    assert len(film_in.seen) >= 4
    assert hashes(film_in.film) == calm
    assert os.listdir(film_in.films) == ["film.mkv"]
    assert film_in.service.moves(film_in.film).count("converted") == 1


def test_stopped_half_way_it_goes_on_there(film_in, calm):
    """What was encoded is not encoded again; the log says where it goes on, and `status` what waits meanwhile."""
    assert film_in.interrupt("encode", how=signal.SIGTERM, pieces=2)
    half = film_in.seen[-1]
    assert 2 <= half.data["track"]["pieces"] < 5
    assert sorted(name.partition(".")[2].partition(".")[2] for name in os.listdir(film_in.films) if name[0] == ".") == [
        "state.json", "track",
    ]  # fmt: skip
    film_in.finish()
    goes_on = [line["reason"] for line in film_in.service.lines() if line["event"] == "conversion goes on"]
    assert goes_on == [f"at {half.progress_percent:.0f} %, in the step encode"]
    assert film_in.encodings() == [5, 5 - half.data["track"]["pieces"]]
    assert hashes(film_in.film) == calm
    assert os.listdir(film_in.films) == ["film.mkv"]
