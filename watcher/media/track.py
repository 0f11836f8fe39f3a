"""The new track by itself, in a file beside the film: made, measured and found good before anything is put together.

An AAC track is made in pieces (`pieces`): each is added to the file as soon as it is whole, the file is brought to disk,
and a checkpoint is kept. An interrupted run is gone on with at the piece that was under way, and the file comes out the
same, byte for byte. Other codecs have no exact join, and are made in one go.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from watcher.errors import ConversionFailed
from watcher.media import downmix, encoder, ffmpeg, loudness, proof, remux, sound
from watcher.media.joined import Joined, Stand
from watcher.media.loudness import Level, Meter
from watcher.media.pieces import FRAME, Cuts
from watcher.media.sound import Sound

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from watcher.media.downmix import StereoSettings
    from watcher.media.ffmpeg import Argument, Feed
    from watcher.media.layout import Plan
    from watcher.media.pieces import Piece
    from watcher.media.probe import Probe
    from watcher.media.runs import Runs

_Result = TypeVar("_Result")

LISTENING_SHARE: Final = 0.1
"""Of the whole work, where all of the film is listened to first."""
ENCODED_SHARE: Final = 0.85
"""What is done of the whole work when the track is made."""
MEASURED_SHARE: Final = 0.88
TRIES: Final = 3
"""A coder may overshoot the limiter by as much as 6 dB, with noise. The second try is lower by what the first was over."""
_LAST_SEC: Final = 30
_PEAK_MARGIN_DB: Final = 0.5


@dataclass(frozen=True, slots=True)
class Track:
    """A finished track, on disk."""

    path: bytes
    sound: str
    """The filter it was made with."""
    gain_db: float
    seconds: float
    level: Level


class TrackMaker:
    """Makes the track of one film at `path`, going on with what an earlier run has left there."""

    def __init__(
        self, runs: Runs, film: bytes, path: bytes, before: Probe, plan: Plan, settings: StereoSettings
    ) -> None:
        self._runs = runs
        self._film = film
        self._before = before
        self._plan = plan
        self._settings = settings
        self._sound = Sound(runs, film, before, plan, settings)
        self._source = self._sound.source
        self._rate = self._sound.rate
        self._cuts = Cuts.of(before.duration_sec if plan.codec == "aac" else None, self._rate)
        self._file = Joined(path)
        self._begins_at = LISTENING_SHARE if settings.loudness != "keep" else 0.0
        """The share of the work that is done when the encoding begins."""

    async def make(self) -> Track:
        """Give the finished track. Raises ConversionFailed: `clipped`, `wrong_length`, `silent`, and what `Runs.run` raises."""
        kept = self._runs.kept
        self._sound.changes = bool(kept.get("sound_changes"))
        gain = float(kept["gain_db"]) if "gain_db" in kept else await self._listen()
        await asyncio.to_thread(self._file.recall, kept.get("track", {}))
        measured = kept.get("measured") if self._file.stand.whole else None
        if measured is not None:
            level = Level(**measured["level"])
            return Track(self._file.path, self._mixing(gain), gain, float(measured["seconds"]), level)
        while True:
            if not self._file.stand.whole:
                await self._whatever_its_form(lambda: self._encode(self._mixing(gain)))
            level = await self._measure()
            over = level.true_peak_db - loudness.TRUE_PEAK_LIMIT_DB
            if over <= 0:
                break
            await self._begin_lower(over)
        seconds = await self._require_sound(level)
        await self._runs.save("mux", {"measured": {"level": asdict(level), "seconds": seconds}})
        return Track(self._file.path, self._mixing(gain), gain, seconds, level)

    def _mixing(self, gain: float) -> str:
        ceiling = self._file.stand.ceiling_db
        return downmix.downmix(self._source, self._settings, sample_rate=self._rate, gain_db=gain, ceiling_db=ceiling)

    async def _begin_lower(self, over: float) -> None:
        """Begin anew with a lower limit."""
        stand = self._file.stand
        if stand.tries == TRIES:
            raise ConversionFailed("clipped", f"its peaks stay {over:.1f} dB too high, however low the limit")
        await asyncio.to_thread(self._file.begin, Stand(stand.ceiling_db - over - _PEAK_MARGIN_DB, stand.tries + 1))
        await self._save()

    async def _whatever_its_form(self, work: Callable[[], Awaitable[_Result]]) -> _Result:
        try:
            return await work()
        except ConversionFailed as error:
            if error.reason != sound.CHANGED:
                raise
            await self._runs.save("encode", {"sound_changes": True})
            return await work()

    async def _save(self) -> None:
        await self._runs.save("encode", {"track": asdict(self._file.stand)})

    async def _listen(self) -> float:
        """Give by how many decibels the mix is to be louder."""
        gain = 0.0
        if loudness.has_to_listen(self._source, self._settings):
            meter = await self._whatever_its_form(self._heard_level)
            gain = loudness.gain_db(meter, self._settings)
        await self._runs.save("encode", {"gain_db": gain})
        return gain

    async def _heard_level(self) -> Meter:
        tools, settings, source = self._runs.tools, self._settings, self._source
        what, share = "listening to the film", (0.0, self._begins_at) if self._begins_at else None
        sample = loudness.sample_command(tools, self._film, source, settings, self._before.duration_sec)
        if sample is not None:
            meter = Meter()
            try:
                await self._runs.run(sample, what, share=share, meter=meter)
            except ConversionFailed as error:
                if error.reason != "ffmpeg_failed":
                    raise  # else: a film without times, say, in which no place can be found; it can be heard
            else:
                return meter
        meter = Meter()

        def command(heard: Sequence[Argument], stream: int) -> list[Argument]:
            return loudness.listen_command(tools, heard, stream, source, settings)

        await self._sound.hear(command, what, share=share, meter=meter)
        return meter

    # --- making it

    async def _encode(self, mixing: str) -> None:
        if self._file.stand.pieces == self._cuts.count:
            pass  # the last had just been added when it was interrupted
        elif self._cuts.count == 1:
            outputs: dict[str, str | bytes] = {"[p0]": ffmpeg.source(self._file.path)}
            await self._hear([0], mixing, outputs)
            await asyncio.to_thread(self._file.adopt)
        else:
            await self._encode_pieces(mixing)
        self._file.end()
        await self._save()

    async def _encode_pieces(self, mixing: str) -> None:
        todo = range(self._file.stand.pieces, self._cuts.count)
        pieces, news = [self._cuts.piece(number) for number in todo], asyncio.Event()
        feeds = [ffmpeg.Feed(self._taker(number, piece, news)) for number, piece in zip(todo, pieces, strict=True)]
        outputs: dict[str, str | bytes] = {f"[p{number}]": feed.to for number, feed in zip(todo, feeds, strict=True)}
        try:
            async with asyncio.TaskGroup() as group:
                adding = group.create_task(self._add_whole_ones(pieces, news))
                await self._hear(todo, mixing, outputs, feeds)
                adding.cancel()
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        await self._add_the_rest(pieces[self._file.stand.pieces - todo.start :])

    def _taker(self, number: int, piece: Piece, news: asyncio.Event) -> Callable[[bytes], None]:
        begin, duration = number * self._cuts.frames, self._before.duration_sec or 1.0

        def take(chunk: bytes) -> None:
            piece.take(chunk)
            done = (begin + piece.frames) * FRAME / self._rate / duration
            self._runs.tell(self._begins_at + (ENCODED_SHARE - self._begins_at) * min(1.0, done))
            if piece.full:
                news.set()

        return take

    async def _add_whole_ones(self, pieces: Sequence[Piece], news: asyncio.Event) -> None:
        """Put each piece that is whole into the file, in their order, as soon as it can be."""
        for piece in pieces:
            while not piece.full:
                news.clear()
                await news.wait()
            await self._add(piece)

    async def _add_the_rest(self, pieces: Sequence[Piece]) -> None:
        """Add what was left when all of the sound had been heard: it may end before the last piece begins."""
        ended = False
        for piece in pieces:
            if piece.broken or (ended and piece.frames):
                raise ConversionFailed("ffmpeg_failed", "making the track: its pieces do not join")
            ended = not piece.full
            await self._add(piece)

    async def _add(self, piece: Piece) -> None:
        async def add() -> None:
            await asyncio.to_thread(self._file.add, bytes(piece.data))
            piece.data.clear()

        await ffmpeg.uncancelled(add())
        await self._save()

    async def _hear(
        self, todo: Sequence[int], mixing: str, outputs: Mapping[str, str | bytes], feeds: Sequence[Feed] = ()
    ) -> None:
        def command(heard: Sequence[Argument], stream: int) -> list[Argument]:
            graph = self._cuts.filter(mixing, stream, todo)
            return remux.encode_command(self._runs.tools, heard, self._plan, self._settings, graph, outputs)

        await self._sound.hear(command, "making the track", share=(self._begins_at, ENCODED_SHARE), feeds=feeds)

    # --- finding it good

    async def _measure(self) -> Level:
        argv = loudness.measure_command(self._runs.tools, self._file.path, encoder.demuxer(self._plan.codec))
        meter = Meter()
        await self._runs.run(argv, "measuring the track", share=(ENCODED_SHARE, MEASURED_SHARE), meter=meter)
        return meter.level()

    async def _require_sound(self, level: Level) -> float:
        """Compare the track's length with that of the one it was made from; silent it may only be if that is."""
        seconds = (level.samples - encoder.padding(self._plan.codec)) / self._rate
        if not any(_near(seconds, end) for end in self._ends_by_description()):
            # A description may be stale (statistics of before a cut) or missing: then the packets are asked.
            end = await self._end_by_packets()
            if end is not None and not _near(seconds, end):
                raise ConversionFailed(
                    "wrong_length", f"the new track has {seconds:.2f} s, that it is made from {end:.2f}"
                )
        if level.sample_peak_db <= proof.SILENT_DB and await self._peak_of_source() > proof.SILENT_DB:
            raise ConversionFailed("silent", "the new track is silent, the one it was made from is not")
        return seconds

    def _begin(self) -> float:
        """Say which time of the film becomes the result's zero."""
        if not self._plan.foreign:
            return float(self._before.raw_format.get("start_time") or 0.0)
        # Of broadcasts FFmpeg takes the first stream that it uses.
        used = {*self._plan.mapped, self._plan.made_from}
        starts = [float(s.raw.get("start_time") or 0.0) for s in self._before.streams if s.index in used]
        return min(starts, default=0.0)

    def _ends_by_description(self) -> list[float]:
        """Say where a track ends: what begins late is filled up with silence, so the new one is as long as that.

        Two ways to count are in use: Matroska's tag is the end by FFmpeg's hand, and the length by mkvmerge's.
        """
        source = self._source
        if source.duration_sec is None:
            return []
        start = float(source.raw.get("start_time") or 0.0)
        return [source.duration_sec - self._begin(), source.duration_sec + start - self._begin()]

    async def _end_by_packets(self) -> float | None:
        begin, duration = self._begin(), self._before.duration_sec
        if duration is None:
            return None
        from_sec = max(0.0, begin + duration - _LAST_SEC)
        argv = remux.end_command(self._runs.tools, self._film, self._source.index, from_sec)
        finished = await self._runs.run(argv, "looking for the end of the track")
        ends = [_numbers(line) for line in finished.stdout.decode("ascii", "replace").split()]
        return max((sum(numbers) - begin for numbers in ends if numbers), default=None)

    async def _peak_of_source(self) -> float:
        argv = loudness.samples_command(self._runs.tools, self._film, self._source.index)
        meter = Meter()
        await self._runs.run(argv, "measuring the film", meter=meter)
        return meter.sample_peak_db


def _near(seconds: float, end: float) -> bool:
    return abs(seconds - end) <= proof.LENGTH_TOLERANCE_SEC


def _numbers(line: str) -> list[float]:
    try:
        return [float(word) for word in line.split(",") if word not in {"", "N/A"}]
    except ValueError:
        return []
