"""kill -9, and being told to end, at random instants of a conversion: it goes on where it was, to the very same file."""

import asyncio
import os
import random
import time

import films
import pytest
from films import Audio
from interrupted import Conversion
from making import short_pieces

from watcher.media import tools

ENDINGS = 10


@pytest.mark.timeout(300)
def test_a_conversion_ended_at_random_instants_gives_the_very_same_film(tmp_path, monkeypatch):
    """No finished step is made again, no file is left over, and the result is byte for byte that of one go."""
    short_pieces(monkeypatch)
    film = films.film(tmp_path / "film.mp4", seconds=5, audio=(Audio("eng", 6),))
    work = Conversion(asyncio.run(tools.find_tools()), film, tmp_path)
    began = time.monotonic()
    proof = asyncio.run(work.make())
    whole_sec = time.monotonic() - began
    result, once = work.result(), work.checkpoints.told()
    assert set(once.values()) == {1}
    work.forget()
    rng, endings = random.Random(6), 0
    while endings < ENDINGS:
        endings += work.until_made(rng, whole_sec)
        again = asyncio.run(work.make())
        assert work.result() == result
        assert (again.made, again.streams) == (proof.made, proof.streams)
        assert work.checkpoints.told() <= once
        assert sorted(os.listdir(tmp_path)) == [".watcher-0123456789ab.tmp", "film.mp4", "kept.json", "kept.told"]
        work.forget()
