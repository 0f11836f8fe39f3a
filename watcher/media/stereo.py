"""Making a stereo track, and proving the result, in two passes over the film.

    0 ffmpeg   a minute of the film, or all of it: how loud would the mix be?
    1 ffmpeg   film -> result, and what passes by of the film's packets on the way
    2 ffprobe  what the result says it holds
    3 ffmpeg   the same of the result's packets, and its new track decoded and measured

Where 3 finds the new track's peaks too high, 1 to 3 are done again with a lower limit.

The film is only read. What goes wrong is a ConversionFailed, and leaves no file behind; so does being cancelled.
How the result is put together stands in `remux`, what is compared in `proof`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from watcher.errors import ConversionFailed, ProbeFailed
from watcher.media import downmix, ffmpeg, layout, loudness, probe, proof, refusals, remux, scratch, structure
from watcher.media.containers import matroska
from watcher.media.downmix import StereoSettings
from watcher.media.layout import Plan, plan
from watcher.media.proof import Proof

if TYPE_CHECKING:
    from collections.abc import Callable

    from watcher.media.checkpoints import Stops
    from watcher.media.ffmpeg import Argument, Finished, Progress, Tools
    from watcher.media.passed import Account, Passed
    from watcher.media.probe import Probe
    from watcher.rules.audio import Decision, Stream

__all__ = ["Plan", "Proof", "StereoSettings", "make", "plan", "time_limit_sec"]

MAKING_SHARE: Final = 0.9
"""Of the whole work; reading the result back costs about a tenth of it."""
LISTENING_SHARE: Final = 0.1
"""Of the whole work, where all of the film is listened to first."""
TRIES: Final = 3
"""A coder may overshoot the limiter by as much as 6 dB, with noise. The second try is lower by what the first was over."""
_COVERS_LIMIT_SEC: Final = 120.0
_LAST_SEC: Final = 30
_PEAK_MARGIN_DB: Final = 0.5


def time_limit_sec(size_bytes: int, duration_sec: float | None) -> float:
    """Give the longest time that a conversion may take.

    Ten minutes, four times the film's length (a small NAS encodes at ten times real time), and the film read once,
    written twice (MP4's index is moved to the front) and read again at 2 MB/s. Where the length is not known it is
    taken from the size at 1 Mbit/s, at most 12 hours.
    """
    length = duration_sec if duration_sec is not None else min(size_bytes / 125_000, 43_200.0)
    return 600.0 + 4 * length + 2 * size_bytes / 1e6


async def make(
    tools: Tools,
    source: bytes,
    target_temp: bytes,
    probe: Probe,
    decision: Decision,
    settings: StereoSettings,
    *,
    on_progress: Callable[[float], None] | None = None,
    stops: Stops | None = None,
) -> Proof:
    """Write the film with its new track to `target_temp`, and prove that nothing else changed.

    `on_progress` gets the share of the work done, 0 to 1; `stops` may let FFmpeg stand still meanwhile. Raises ConversionFailed: `no_space`, `read_only`, `permission`,
    `io_error`, `timeout`, `stalled`, `killed` (of the machine); `unsupported_streams`, `ffmpeg_failed`, `silent`,
    `clipped`, `wrong_length`, `proof_failed` (of the film). ToolMissing when FFmpeg cannot be started. No file is left then.
    """
    work = _Making(
        tools, source, target_temp, probe, layout.plan(probe, decision, source, settings), settings, on_progress, stops
    )
    with scratch.removed_on_failure(target_temp):
        return await work.run()


class _Making:
    """One conversion under way."""

    def __init__(
        self,
        tools: Tools,
        film: bytes,
        temp: bytes,
        before: Probe,
        plan: Plan,
        settings: StereoSettings,
        on_progress: Callable[[float], None] | None,
        stops: Stops | None,
    ) -> None:
        self._tools = tools
        self._film = film
        self._temp = temp
        self._before = before
        self._plan = plan
        self._settings = settings
        self._on_progress = on_progress
        self._stops = stops
        self._source = next(s for s in before.streams if s.index == plan.made_from)
        self._cpu_sec = 0.0
        self._begins_at = 0.0
        """The share of the work that is done when the making begins."""
        self._told = 0.0
        """The share of the work last reported."""
        self._limit = time_limit_sec(before.size_bytes, before.duration_sec)
        # MP4's index is moved to the front in the end: the position stands while the file is shifted.
        self._stall = 300.0 + before.size_bytes / 5e6

    async def run(self) -> Proof:
        """Make, describe, read back; each step raises when it finds something wrong."""
        hidden = await self._hidden()
        gain, ceiling = await self._listen(), downmix.CEILING_DB
        for _ in range(TRIES):
            sound = downmix.downmix(self._source, self._settings, gain_db=gain, ceiling_db=ceiling)
            film = await self._make(sound)
            after = await self._describe()
            proof.require_track(after, self._plan, self._settings)
            result, meter = await self._read_back(after)
            over = meter.true_peak_db - loudness.TRUE_PEAK_LIMIT_DB
            if over <= 0:
                break
            ceiling -= over + _PEAK_MARGIN_DB
        else:
            raise ConversionFailed("clipped", f"its peaks stay {over:.1f} dB too high, however low the limit")
        proof.require_equal(self._before, after, self._plan, self._settings, (film, result))
        made = {**await self._require_sound(meter, after), "filter": sound, "gain_db": gain}
        places = remux.hashed(self._before, self._plan)
        codecs = {s.index: s.codec for s in self._before.streams}
        return Proof(
            streams=tuple(
                {"film": old, "result": new, "codec": codecs[old], "packets": found.packets, "content": found.content}
                for (old, new), found in zip(places, result, strict=True)
            ),
            made=made,
            chapters=len(after.chapters),
            attachments=len(self._plan.places()) - len(places),
            left_out=self._plan.left_out,
            lost=(*proof.lost(self._before, self._plan), *hidden),
            tool_version=self._tools.version,
            cpu_sec=round(self._cpu_sec, 3),
        )

    async def _hidden(self) -> tuple[str, ...]:
        """Name what the film holds and FFmpeg does not show; refuses to lose it where that is not allowed."""
        if self._plan.sidecar or self._plan.muxer != "matroska" or self._plan.foreign:
            return ()
        hidden = await asyncio.to_thread(matroska.not_shown, self._film)
        if hidden and not self._settings.allow_data_loss:
            raise ConversionFailed(
                "unsupported_streams", f"FFmpeg could not keep {'; '.join(hidden)}; the film stays as it is"
            )
        return hidden

    async def _listen(self) -> float:
        """Give by how many decibels the mix is to be louder."""
        duration = self._before.duration_sec
        argv = loudness.listen_command(self._tools, self._film, self._source, self._settings, duration)
        if argv is None:
            return 0.0
        meter = loudness.Meter()
        whole = self._settings.loudness != "keep"
        self._begins_at = LISTENING_SHARE if whole else 0.0
        try:
            await self._run(argv, "listening to the film", share=(0.0, self._begins_at) if whole else None, meter=meter)
        except ConversionFailed as error:
            if error.reason != "ffmpeg_failed":
                raise
            return 0.0  # sound that changes its form half-way cannot be joined; it can be converted
        return loudness.gain_db(meter, self._settings)

    async def _make(self, sound: str) -> list[Passed]:
        taken_out = self._plan.covers if self._plan.attaches_covers else ()
        with scratch.memory_files(len(taken_out)) as files:
            covers = list(zip(taken_out, files, strict=True))
            if covers:
                argv = remux.cover_command(self._tools, self._film, covers)
                await self._run(argv, "taking the cover out", limit=_COVERS_LIMIT_SEC)
            argv = remux.command(
                self._tools, self._film, self._temp, self._before, self._plan, self._settings, sound, files
            )
            account = remux.account_of(self._before, self._plan)
            await self._run(argv, "making the track", share=(self._begins_at, MAKING_SHARE), account=account)
        return account.passed()

    async def _describe(self) -> Probe:
        found = await asyncio.to_thread(structure.walk, self._temp)
        if found.status != "whole":
            raise ConversionFailed("proof_failed", f"the result is not whole: {', '.join(found.reasons)}")
        try:
            return await probe.probe(self._tools, self._temp)
        except ProbeFailed as error:
            raise ConversionFailed("proof_failed", f"the result cannot be read: {error}") from error

    async def _read_back(self, after: Probe) -> tuple[list[Passed], loudness.Meter]:
        argv = remux.read_back_command(self._tools, self._temp, self._before, self._plan, after)
        meter, account = loudness.Meter(), remux.account_of(self._before, self._plan)
        await self._run(argv, "reading the result back", share=(MAKING_SHARE, 1.0), meter=meter, account=account)
        return account.passed(), meter

    async def _require_sound(self, meter: loudness.Meter, after: Probe) -> dict[str, object]:
        """Compare the new track's length with that of the track it was made from; silent it may only be if that is."""
        source = self._source
        made = self._plan.in_result(after)[self._plan.made_at]
        seconds = meter.samples / 2 / (made.sample_rate or 48_000)
        if not any(_near(seconds, end) for end in self._ends_by_description(source)):
            # A description may be stale (statistics of before a cut) or missing: then the packets are asked.
            end = await self._end_by_packets(source)
            if end is not None and not _near(seconds, end):
                raise ConversionFailed(
                    "wrong_length", f"the new track has {seconds:.2f} s, that it is made from {end:.2f}"
                )
        if meter.sample_peak_db <= proof.SILENT_DB and await self._peak_of(source) > proof.SILENT_DB:
            raise ConversionFailed("silent", "the new track is silent, the one it was made from is not")
        return {
            "stream": self._plan.made_at,
            "from": self._plan.made_from,
            "codec": made.codec,
            "seconds": round(seconds, 3),
            "loudness_lufs": meter.loudness_lufs(),
            "true_peak_dbtp": meter.true_peak_db,
        }

    def _begin(self) -> float:
        """Say which time of the film becomes the result's zero."""
        if not self._plan.foreign:
            return float(self._before.raw_format.get("start_time") or 0.0)
        # Of broadcasts FFmpeg takes the first stream that it uses.
        used = {*self._plan.mapped, self._plan.made_from}
        starts = [float(s.raw.get("start_time") or 0.0) for s in self._before.streams if s.index in used]
        return min(starts, default=0.0)

    def _ends_by_description(self, source: Stream) -> list[float]:
        """Say where a track ends: what begins late is filled up with silence, so the new one is as long as that.

        Two ways to count are in use: Matroska's tag is the end by FFmpeg's hand, and the length by mkvmerge's.
        """
        if source.duration_sec is None:
            return []
        start = float(source.raw.get("start_time") or 0.0)
        return [source.duration_sec - self._begin(), source.duration_sec + start - self._begin()]

    async def _end_by_packets(self, source: Stream) -> float | None:
        begin, duration = self._begin(), self._before.duration_sec
        if duration is None:
            return None
        argv = remux.end_command(self._tools, self._film, source.index, max(0.0, begin + duration - _LAST_SEC))
        finished = await self._run(argv, "looking for the end of the track")
        ends = [_numbers(line) for line in finished.stdout.decode("ascii", "replace").split()]
        return max((sum(numbers) - begin for numbers in ends if numbers), default=None)

    async def _peak_of(self, source: Stream) -> float:
        argv, meter = loudness.samples_command(self._tools, self._film, source.index), loudness.Meter()
        await self._run(argv, "measuring the film", meter=meter)
        return meter.sample_peak_db

    async def _run(
        self,
        argv: list[Argument],
        what: str,
        *,
        share: tuple[float, float] | None = None,
        limit: float | None = None,
        meter: loudness.Meter | None = None,
        account: Account | None = None,
    ) -> Finished:
        finished = await ffmpeg.run(
            argv,
            time_limit_sec=limit or self._limit,
            stall_limit_sec=self._stall if share else None,
            on_progress=self._report(share) if share else None,
            ignore_line=lambda line: (meter is not None and meter.take(line)) or "[info]" in line,
            take_line=account.take if account else None,
            stops=self._stops,
        )
        self._cpu_sec += finished.cpu_sec
        refusals.require_success(finished, what)
        return finished

    def _report(self, share: tuple[float, float]) -> Callable[[Progress], None] | None:
        duration, tell, (low, high) = self._before.duration_sec, self._on_progress, share
        if tell is None or not duration:
            return None

        def report(now: Progress) -> None:
            # At the ends of a pass FFmpeg may not know its position; what is told never goes back.
            self._told = max(self._told, low + (high - low) * min(1.0, (now.out_time_sec or 0.0) / duration))
            tell(self._told)

        return report


def _near(seconds: float, end: float) -> bool:
    return abs(seconds - end) <= proof.LENGTH_TOLERANCE_SEC


def _numbers(line: str) -> list[float]:
    try:
        return [float(word) for word in line.split(",") if word not in {"", "N/A"}]
    except ValueError:
        return []
