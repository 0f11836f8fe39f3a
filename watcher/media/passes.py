"""Passes over a film: samples, and whole ones that are made again where the machine may have spoiled them.

Two things look like damage and may be none. "Input/output error" is what FFmpeg says of a disk that failed and of some
content: reading the file decides, and a share that was away for a moment gives another answer the second time. And a
pass that somebody's SIGTERM ended may come out as 0, with a proper end, when a script stands in FFmpeg's place.

And FFmpeg's word for its position has two meanings: up to 6 it is that of the stream which came furthest, from 7 on that of
the one which ended first, and there is none as long as some stream gave nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from watcher.media import decode, decoders, evidence, faults, ffmpeg, packets

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from watcher.media.checkpoints import Stops
    from watcher.media.ffmpeg import Finished, Tools

_LOOK_SEC: Final = 2.0


@dataclass(frozen=True, slots=True)
class Passes:
    """Decodes for one check, and writes down what it cost."""

    tools: Tools
    path: bytes
    known: evidence.Evidence
    threads: int
    left_sec: Callable[[], float]
    """The time that the check may still take."""
    read_all: Callable[[], Awaitable[object]]
    """Reads the file; raises OSError when the disk fails."""
    on_progress: Callable[[float], None] | None
    """Gets the share of the film that a whole pass has behind it, 0 to 1."""
    stops: Stops | None = None
    """Who may stop a pass and let it go on."""

    async def sample(self, window: decode.Window, *, all_lines: bool = False) -> Finished:
        """Decode a part of the film; `all_lines` keeps also what the seek may have caused."""
        return await self._once(window, all_lines=all_lines)

    async def whole(self, *, key_frames: bool = False) -> Finished:
        """Decode all of it, once more where the first time is in doubt; who was stopped has `ended` as "killed"."""
        once = partial(self._once, None, key_frames=key_frames, strict=not key_frames)
        first = await once()
        if (
            not key_frames
            and decode.no_picture_came(first)
            and decoders.are_doubtful(self.known.chosen.video, self.tools)
        ):
            once = partial(self._once, None)
            first = await once()
        if faults.of(first) is not None:
            return first
        if faults.may_be_the_disk(first):
            await self.read_all()
            return await once()
        if first.returncode or not self.known.is_short(first):
            return first
        if not self._is_a_streams_end(_reached(first)):
            if not await self._goes_on(_reached(first) + _LOOK_SEC / 4):
                return first
            # Odd time stamps end at the same place every time; whoever was stopped does not.
            first, before = await once(), first
            if abs(_reached(first) - _reached(before)) > _LOOK_SEC / 4 and self.known.is_short(first):
                return replace(first, ended="killed")
        end = self.known.duration_sec or 0.0
        # What comes last may be of a stream that FFmpeg's position does not tell of.
        if first.progress is None or not await self._goes_on(end - evidence.slack_sec(end)):
            return first
        return replace(first, progress=replace(first.progress, out_time_sec=end))

    def _is_a_streams_end(self, reached: float) -> bool:
        """Tell whether a stream is said to be so long; the others may be longer."""
        streams = (*self.known.chosen.video, *self.known.chosen.audio)
        return any(abs((stream.duration_sec or 0.0) - reached) < _LOOK_SEC / 4 for stream in streams)

    async def _goes_on(self, after_sec: float) -> bool:
        """Tell whether the film has packets within the two seconds after that."""
        start = after_sec + (self.known.probe.start_sec if self.known.probe else 0.0)
        command = packets.command_between(self.tools, self.path, start, start + _LOOK_SEC)
        listed = await ffmpeg.run(command, time_limit_sec=self.left_sec(), stops=self.stops)
        self.known.cpu_sec += listed.cpu_sec
        return packets.stand_behind(listed.stdout, start)

    async def _once(
        self, window: decode.Window | None, *, key_frames: bool = False, strict: bool = False, all_lines: bool = False
    ) -> Finished:
        finished = await decode.run_pass(
            self.tools,
            self.path,
            self.known.chosen,
            self.known.structure.container,
            threads=1 if window else self.threads,  # a second of film is over before a second thread helps
            time_limit_sec=self.left_sec(),
            stall_limit_sec=decode.STALL_SEC + (self.known.size / decode.SEEK_BYTES_PER_SEC if window else 0),
            window=window,
            key_frames=key_frames,
            strict=strict,
            end=self.known.ends_at,
            all_lines=all_lines,
            on_progress=self._moved if window is None else None,
            stops=self.stops,
        )
        self.known.cpu_sec += finished.cpu_sec
        return finished

    def _moved(self, seconds: float) -> None:
        duration = self.known.duration_sec
        if self.on_progress is not None and duration:
            self.on_progress(min(1.0, max(0.0, seconds / duration)))


def _reached(finished: Finished) -> float:
    return (finished.progress.out_time_sec if finished.progress else None) or 0.0
