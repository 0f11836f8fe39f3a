"""media/pieces, media/joined and media/track: a track made in pieces is one track, whatever came between them."""

import os
import types

import films
import pytest
from films import Audio

from watcher.media import pieces, probe, stereo
from watcher.media.pieces import WARM_UP, Cuts, Piece
from watcher.rules.audio import Decision

MAKE = Decision("make", "english_surround", "", source=1)


def frame(size, filling=0):
    """Give an ADTS frame of so many bytes."""
    return bytes([0xFF, 0xF1, 0x4C, 0x80 | size >> 11, size >> 3 & 0xFF, (size & 7) << 5 | 0x1F, 0xFC]) + bytes(
        [filling]
    ) * (size - 7)


@pytest.mark.parametrize("step", [1, 5, 10_000])
def test_a_piece_keeps_its_own_frames_however_they_come(step):
    """What warms the encoder up is dropped, what comes after is nobody's, half a frame waits for its other half."""
    frames = [frame(20 + number, number) for number in range(6)]
    piece, data = Piece(dropped=2, wanted=3), b"".join(frames)
    for at in range(0, len(data), step):
        piece.take(data[at : at + step])
    assert (bytes(piece.data), piece.frames, piece.full, piece.broken) == (b"".join(frames[2:5]), 3, True, False)


def test_what_is_no_adts_is_noticed():
    """It is never taken for a track."""
    piece = Piece(dropped=0, wanted=None)
    piece.take(frame(20) + b"Lavf" * 5)
    assert (piece.frames, piece.broken) == (1, True)


@pytest.mark.parametrize(
    ("seconds", "count", "piece_sec"),
    [(None, 1, 0), (20, 1, 120), (239, 1, 120), (240, 2, 120), (7200, 48, 150), (14_400, 48, 300)],
)
def test_a_film_has_pieces_of_two_minutes_or_more_and_not_too_many(seconds, count, piece_sec):
    """Each costs an encoder's memory while it is made, and a second of encoding."""
    cuts = Cuts.of(seconds, 48_000)
    assert cuts.count == count
    assert abs(cuts.frames * 1024 / 48_000 - piece_sec) < 0.03


def test_a_piece_begins_early_and_hears_more_than_it_gives():
    """But for the first and the last, which have all that there is."""
    graph = Cuts(100, 3).filter("anull", 1, [0, 1, 2])
    ends = [part.split("]")[1].split("[")[0] for part in graph.split(";")[1:]]
    assert ends == [
        f"atrim=start_sample=0:end_sample={102 * 1024}",
        f"atrim=start_sample={(100 - WARM_UP) * 1024}:end_sample={202 * 1024}",
        f"atrim=start_sample={(200 - WARM_UP) * 1024}",
    ]


class Kept:
    """Checkpoints in memory, which can end the work by an error at one of them."""

    def __init__(self, fail_at=0):
        self.data, self.steps, self.fail_at = {}, [], fail_at

    def kept(self):
        return self.data

    def save(self, step, percent, data):
        assert step in {"encode", "mux", "verify"}
        assert 0 <= percent <= 100
        self.steps.append(step)
        self.data = {**self.data, **data}
        if len(self.steps) == self.fail_at:
            raise RuntimeError("killed")


@pytest.fixture
def short_pieces(monkeypatch):
    """Pieces of a bit more than a second, so that a film of seconds has several."""
    monkeypatch.setattr(pieces, "SHORTEST_SEC", 1.2)


@pytest.fixture
def work(ours, tmp_path, short_pieces):
    """A film of seven seconds, and one way to make its track."""
    film = os.fsencode(films.film(tmp_path / "film.mp4", seconds=7, audio=(Audio("eng", 6),)))
    temp = os.fsencode(tmp_path / ".watcher-0123456789ab.tmp")

    async def make(checkpoints=None, **settings):
        before = await probe.probe(ours, film)
        return await stereo.make(
            ours, film, temp, before, MAKE, stereo.StereoSettings(**settings), checkpoints=checkpoints
        )

    def names():
        return sorted(os.fsdecode(name).rpartition(".")[2] for name in os.listdir(tmp_path))

    return types.SimpleNamespace(make=make, film=film, temp=temp, names=names)


def read(path):
    with open(path, "rb") as file:
        return file.read()


async def test_a_conversion_that_is_ended_at_each_checkpoint_gives_the_very_same_file(work):
    """Once at every one of them in a row: no finished step is made again, and the result is byte for byte that of one go."""
    whole = (await work.make()).to_dict()
    result = read(work.temp)
    os.unlink(work.temp)
    once, broken = Kept(), Kept()
    await work.make(once)
    assert read(work.temp) == result
    os.unlink(work.temp)
    assert once.steps.count("encode") > 6
    for number in range(1, len(once.steps) + 1):
        broken.fail_at = number
        with pytest.raises(RuntimeError):
            await work.make(broken)
    assert broken.steps == once.steps
    again = (await work.make(broken)).to_dict()
    assert read(work.temp) == result
    assert broken.steps == once.steps
    assert work.names() == ["mp4", "tmp"]
    assert {**again, "cpu_sec": 0} == {**whole, "cpu_sec": 0}
