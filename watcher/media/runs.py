"""The runs of FFmpeg that one conversion is made of: bounded in time, counted in CPU seconds, told of as shares of one work.

What is finished is handed to the checkpoints from here; what an earlier run of the same work left there is `kept`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from watcher.media import ffmpeg, refusals

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from watcher.media.checkpoints import Checkpoints, Step, Stops
    from watcher.media.ffmpeg import Argument, Feed, Finished, Link, Progress, Tools
    from watcher.media.loudness import Meter
    from watcher.media.passed import Account
    from watcher.media.probe import Probe


_UNWANTED: Final = "Broken pipe"
"""What a command says whose output nobody takes any more: the other has ended, and knows why."""


class Runs:
    """Runs FFmpeg for one film, in one conversion."""

    def __init__(
        self,
        tools: Tools,
        before: Probe,
        limit_sec: float,
        on_progress: Callable[[float], None] | None,
        checkpoints: Checkpoints | None,
        stops: Stops | None,
    ) -> None:
        self.tools = tools
        self.kept: Mapping[str, Any] = {}
        """What earlier runs have saved."""
        self.cpu_sec = 0.0
        """Of all runs of FFmpeg so far, the earlier ones' included as far as they were saved."""
        self._duration = before.duration_sec
        self._on_progress = on_progress
        self._checkpoints = checkpoints
        self._stops = stops
        self._share = 0.0
        self._limit = limit_sec
        # MP4's index is moved to the front in the end: the position stands while the file is shifted. And what goes on
        # after an interruption reads the film's beginning before it has anything to tell.
        self._stall = 300.0 + before.size_bytes / 5e6

    async def recall(self) -> None:
        """Learn what earlier runs have saved."""
        if self._checkpoints is not None:
            self.kept = await asyncio.to_thread(self._checkpoints.kept)
            self.cpu_sec = float(self.kept.get("cpu_sec", 0.0))
            self.tell(float(self.kept.get("share", 0.0)))

    async def save(self, step: Step, data: Mapping[str, Any]) -> None:
        """Keep what is done; on disk when this returns. Being cancelled waits for that, too."""
        if self._checkpoints is not None:
            more = {**data, "cpu_sec": round(self.cpu_sec, 3), "share": self._share}
            await ffmpeg.uncancelled(asyncio.to_thread(self._checkpoints.save, step, 100 * self._share, more))

    def tell(self, share: float) -> None:
        """Report how much of the whole work is done; what is told never goes back."""
        self._share = max(self._share, min(1.0, share))
        if self._on_progress is not None:
            self._on_progress(self._share)

    async def run(
        self,
        argv: list[Argument],
        what: str,
        *,
        share: tuple[float, float] | None = None,
        limit_sec: float | None = None,
        meter: Meter | None = None,
        account: Account | None = None,
        feeds: Sequence[Feed] = (),
        fed_by: tuple[list[Argument], Link] | None = None,
    ) -> Finished:
        """Run to the end. `share` is what this run is of the whole work, told as its position moves. `fed_by` is another
        command, which runs beside it and hands its output over by the link. Raises ConversionFailed.
        """
        limit = limit_sec or self._limit
        run = ffmpeg.run(
            argv,
            time_limit_sec=limit,
            stall_limit_sec=self._stall if share else None,
            on_progress=self._reporter(share) if share and not feeds else None,
            ignore_line=lambda line: (meter is not None and meter.take(line)) or "[info]" in line,
            take_line=account.take if account else None,
            stops=self._stops,
            feeds=feeds,
            ends=[fed_by[1].reading] if fed_by else (),
        )
        if fed_by is None:
            finished = await run
        else:
            argv, link = fed_by
            feeding = ffmpeg.run(argv, time_limit_sec=limit, stops=self._stops, ends=[link.writing])
            fed, finished = await _both(feeding, run)
            self.cpu_sec += fed.cpu_sec
            if not any(_UNWANTED in line for line in fed.stderr_lines):
                refusals.require_success(fed, what)
        self.cpu_sec += finished.cpu_sec
        refusals.require_success(finished, what)
        if share:
            self.tell(share[1])
        return finished

    def _reporter(self, share: tuple[float, float]) -> Callable[[Progress], None] | None:
        duration, (low, high) = self._duration, share
        if not duration:
            return None
        return lambda now: self.tell(low + (high - low) * min(1.0, (now.out_time_sec or 0.0) / duration))


async def _both(
    feeding: Coroutine[Any, Any, Finished], run: Coroutine[Any, Any, Finished]
) -> tuple[Finished, Finished]:
    try:
        async with asyncio.TaskGroup() as group:
            tasks = group.create_task(feeding), group.create_task(run)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return tasks[0].result(), tasks[1].result()
