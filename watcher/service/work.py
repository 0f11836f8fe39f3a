"""The work itself: what a job of each kind does, from its spec to its outcome. Runs in the executor, knows no database."""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING

import structlog

from watcher.errors import ConversionFailed, StateNotSaved, ToolMissing
from watcher.media import integrity, replace, space, stereo
from watcher.media.probe import Probe
from watcher.operations import PauseManager
from watcher.rules import audio
from watcher.rules.statuses import IntegrityStatus, Mode, Reason
from watcher.rules.verdict import Verdict
from watcher.service import landing
from watcher.service.jobs import Checked, Failed, Made, stereo_settings
from watcher.service.room import Room
from watcher.service.steps import Steps
from watcher.watch import scan

if TYPE_CHECKING:
    from collections.abc import Callable

    from watcher.config import StateConfig
    from watcher.media.ffmpeg import Tools
    from watcher.media.stereo import Proof
    from watcher.service.jobs import JobSpec, Outcome
    from watcher.service.temps import Temps

log = structlog.get_logger("watcher")


class Worker:
    """Does jobs on this machine."""

    def __init__(
        self, tools: Tools, config: Callable[[], StateConfig], temps: Temps, pauses: PauseManager | None = None
    ) -> None:
        """`pauses` stops the children of jobs; without one they are never stopped."""
        self._tools = tools
        self._config = config
        self._temps = temps
        self._pauses = pauses or PauseManager(signals=())
        self._room = Room()

    async def do(self, spec: JobSpec, report: Callable[[float], None]) -> Outcome:
        """Do one job. Raises only CancelledError, when its processes are gone; what a conversion has done by then stays."""
        try:
            return await (self._check(spec, report) if spec.kind == "check" else self._convert(spec, report))
        except Exception as error:
            log.exception("job crashed", kind=spec.kind, job=spec.attempt_id, path=spec.path)
            if spec.kind == "check":
                mode = spec.mode or Mode.FULL
                verdict = Verdict(IntegrityStatus.ERROR, mode, Reason.IO_ERROR, 0.0, evidence=(f"program: {error!r}",))
                return Checked(spec, verdict, None)
            return Failed(spec, "program_error", repr(error))

    async def _check(self, spec: JobSpec, report: Callable[[float], None]) -> Outcome:
        settings = self._config().integrity
        result = await integrity.check(
            self._tools,
            spec.path,
            spec.mode or Mode.FULL,
            threads=settings.threads,
            tolerate_lines=settings.tolerate_lines,
            expected=spec.signature,
            on_progress=report,
            stops=self._pauses.children,
        )
        return Checked(spec, result.verdict, result.probe.to_dict() if result.probe else None)

    async def _convert(self, spec: JobSpec, report: Callable[[float], None]) -> Outcome:
        assert spec.probe is not None and spec.decision is not None and spec.temp is not None  # noqa: S101, PT018
        film = Probe.from_dict(spec.probe)
        try:
            self._temps.hold(spec.attempt_id, spec.temp)  # here: a thread might hold it when nobody lets go any more
            await asyncio.to_thread(replace.rehearse, landing.swap_of(spec), landing.keeping(self._config()))
            kbps = self._config().audio.bitrate_kbps
            needed = space.free_space_needed(spec.signature.size_bytes, film.duration_sec, kbps)
            async with self._room.hold(spec.temp, needed):
                proof = await self._make(spec, spec.temp, film, audio.Decision.from_dict(spec.decision), report)
        except StateNotSaved as error:
            cause = error.__cause__
            return Failed(spec, _word_of(cause) if isinstance(cause, OSError) else "io_error", str(error))
        except ConversionFailed as error:
            return await asyncio.to_thread(_failed, spec, error)
        except ToolMissing as error:
            return Failed(spec, "tool_missing", str(error))
        except OSError as error:
            return Failed(spec, _word_of(error), f"{error.strerror}: {error.filename!r}")
        return Made(spec, proof.to_dict())

    async def _make(
        self, spec: JobSpec, temp: bytes, film: Probe, decision: audio.Decision, report: Callable[[float], None]
    ) -> Proof:
        """Make the track and prove the result, from where an earlier run of the same work has come to."""
        settings = stereo_settings(self._config().audio)
        same = stereo.identity(film, stereo.plan(film, decision, spec.path, settings), settings, self._tools)
        steps = await asyncio.to_thread(Steps, spec, same, self._pauses)
        try:
            if steps.goes_on:
                report(steps.percent / 100)
                where = f"at {steps.percent:.0f} %, in the step {steps.step}"
                log.info("conversion goes on", path=spec.path, job=spec.attempt_id, reason=where)
            proof = await stereo.make(
                self._tools,
                spec.path,
                temp,
                film,
                decision,
                settings,
                on_progress=report,
                checkpoints=steps,
                stops=self._pauses.children,
            )
            await asyncio.to_thread(steps.swap)
        finally:
            steps.release()
        return proof


def _failed(spec: JobSpec, error: ConversionFailed) -> Failed:
    """Say why a conversion failed: a film that is another by now, or that its disk does not show, counts more than what
    FFmpeg said of it.
    """
    try:
        there = scan.observe(spec.path)
    except OSError as trouble:
        return Failed(spec, _word_of(trouble), f"{trouble.strerror}: {trouble.filename!r}")
    if there is None or not there.same_content(spec.signature):
        return Failed(spec, "source_changed", "the film went away or changed while its track was made")
    return Failed(spec, error.reason, error.detail, error.said)


def _word_of(error: OSError) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "no_space"
        case errno.EROFS:
            return "read_only"
        case errno.EACCES | errno.EPERM:
            return "permission"
        case _:
            return "io_error"
