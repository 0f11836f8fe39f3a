"""media/pieces, media/joined and media/track: a track made in pieces is one track, whatever came between them."""

import dataclasses
import json
import os
import types

import films
import plans
import pytest
from films import Audio
from making import changing_film, short_pieces

from watcher.errors import ConversionFailed
from watcher.media import loudness, probe, scratch, stereo, track
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
    [(None, 1, 0), (20, 1, 240), (479, 1, 240), (480, 2, 240), (7200, 30, 240), (14_400, 48, 300)],
)
def test_a_film_has_pieces_of_four_minutes_or_more_and_not_too_many(seconds, count, piece_sec):
    """Each costs an encoder's memory while it is made, and a second of encoding."""
    cuts = Cuts.of(seconds, 48_000)
    assert cuts.count == count
    assert abs(cuts.frames * 1024 / 48_000 - piece_sec) < 0.03


def test_a_piece_begins_early_and_hears_more_than_it_gives():
    """But for the first and the last, which have all that there is."""
    graph = Cuts(300, 3).filter("anull", 1, [0, 1, 2])
    ends = [part.split("]")[1].split("[")[0] for part in graph.split(";")[1:]]
    assert ends == [
        f"atrim=start_sample=0:end_sample={302 * 1024}",
        f"atrim=start_sample={(300 - WARM_UP) * 1024}:end_sample={602 * 1024}",
        f"atrim=start_sample={(600 - WARM_UP) * 1024}",
    ]


class Kept:
    """Checkpoints in memory, and a failure right behind one of them."""

    def __init__(self, data=None, fail_at=0):
        self.data, self.saved, self.fail_at = data or {}, [], fail_at

    def kept(self):
        return self.data

    def save(self, step, percent, data):
        assert step in {"encode", "mux", "verify"}
        assert 0 <= percent <= 100
        self.data = {**self.data, **data}
        self.saved.append({key: value for key, value in data.items() if key in {"gain_db", "track", "measured"}})
        if len(self.saved) == self.fail_at:
            raise RuntimeError("power cut")


@pytest.fixture
def work(ours, tmp_path, monkeypatch):
    """A film of four seconds, and one way to make its track."""
    short_pieces(monkeypatch)
    film = os.fsencode(films.film(tmp_path / "film.mp4", seconds=4, audio=(Audio("eng", 6),)))
    temp = os.fsencode(tmp_path / ".watcher-0123456789ab.tmp")

    async def make(checkpoints=None, **settings):
        before = await probe.probe(ours, film)
        return await stereo.make(
            ours, film, temp, before, MAKE, stereo.StereoSettings(**settings), checkpoints=checkpoints
        )

    def result():
        with open(temp, "rb") as file:
            return file.read()

    return types.SimpleNamespace(make=make, result=result, film=film, temp=temp, folder=tmp_path)


@pytest.mark.parametrize(("codec", "pieces", "changing"), [("aac", 3, False), ("ac3", 0, False), ("aac", 3, True)])
async def test_a_conversion_that_fails_behind_each_checkpoint_gives_the_very_same_film(work, codec, pieces, changing):
    """Behind every one of them in a row: nothing finished is made again, and the result is byte for byte that of one go."""
    if changing:
        changing_film(work.folder / "film.mp4", "mpeg4")
    once, broken = Kept(), Kept()
    whole = await work.make(once, codec=codec)
    result = work.result()
    os.unlink(work.temp)
    assert sum("track" in data for data in once.saved) == pieces + 1  # and once more when it is whole
    for number in range(1, len(once.saved) + 1):
        broken.fail_at = number
        with pytest.raises(RuntimeError):
            await work.make(broken, codec=codec)
    again = await work.make(broken, codec=codec)
    assert broken.saved == once.saved
    assert work.result() == result
    assert dataclasses.replace(again, cpu_sec=0) == dataclasses.replace(whole, cpu_sec=0)
    assert [name for name in os.listdir(work.folder) if name.startswith(".")] == [".watcher-0123456789ab.tmp"]


async def test_what_was_kept_counts_only_where_the_files_are_as_they_were(work):
    """A track that somebody changed, or that a power cut left short, begins anew; so does a result that is gone."""
    kept = Kept(fail_at=3)
    with pytest.raises(RuntimeError):
        await work.make(kept)
    track = work.temp[:-3] + b"track"
    with open(track, "r+b") as file:
        file.write(b"x")
    kept.saved.clear()
    kept.fail_at = 0
    await work.make(kept)
    assert kept.saved[0]["track"]["pieces"] == 1
    result = work.result()
    os.unlink(work.temp)
    await work.make(kept)
    assert work.result() == result


async def test_a_film_whose_track_cannot_be_made_leaves_nothing_to_go_on_with(work, monkeypatch):
    """The fault is the film's: another run would come to the same end."""
    monkeypatch.setattr(track, "TRIES", 1)
    monkeypatch.setattr(loudness, "TRUE_PEAK_LIMIT_DB", -90)
    with pytest.raises(ConversionFailed, match="peaks"):
        await work.make(Kept())
    assert os.listdir(work.folder) == ["film.mp4"]


async def test_trouble_of_the_machine_leaves_what_can_be_gone_on_with_until_it_is_cleared(work, monkeypatch):
    """Without checkpoints nobody could go on, and nothing is left."""
    monkeypatch.setattr(stereo, "time_limit_sec", lambda *_: 0.01)
    kept = {"gain_db": 0.0}
    for checkpoints, left in ((None, ["film.mp4"]), (Kept(kept), [".watcher-0123456789ab.track", "film.mp4"])):
        with pytest.raises(ConversionFailed) as failed:
            await work.make(checkpoints)
        assert failed.value.reason == "timeout"
        assert sorted(os.listdir(work.folder)) == left
    scratch.clear(work.temp)
    assert os.listdir(work.folder) == ["film.mp4"]


def test_the_identity_of_a_conversion_is_all_that_its_result_depends_on(ours):
    """Another FFmpeg, another bit rate or another source: what was kept is of no use. It is plain JSON."""
    film, settings = plans.film(), stereo.StereoSettings()
    same = stereo.identity(film, plans.plan_of(film), settings, ours)
    assert json.loads(json.dumps(same)) == same
    others = [
        stereo.identity(film, plans.plan_of(film), settings, dataclasses.replace(ours, version="9")),
        stereo.identity(film, plans.plan_of(film), stereo.StereoSettings(bitrate_kbps=256), ours),
        stereo.identity(film, plans.plan_of(film, position="first"), settings, ours),
    ]
    assert all(other != same for other in others)
