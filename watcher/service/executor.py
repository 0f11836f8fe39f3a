"""The executor: where jobs run. Submit, cancel, running; one implementation, the bounded pool of this process."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from watcher.service.jobs import Cancelled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from watcher.service.jobs import JobSpec, Kind, Outcome


class Executor(Protocol):
    """What the service asks of a place where jobs run. It may be another machine: only plain data goes in and out."""

    def free(self, kind: Kind) -> int:
        """Give how many more jobs of a kind may be submitted now."""

    def submit(self, spec: JobSpec) -> None:
        """Start a job; its outcome is given to the callback of the executor's making, once, when its processes are gone."""

    def cancel(self, attempt_id: str) -> None:
        """Ask for a job to be stopped; its outcome is then `Cancelled`. Unknown ids are no error: it may have ended."""

    def running(self) -> dict[str, float]:
        """Give attempt id -> progress from 0 to 1 of every job that runs."""

    async def close(self) -> None:
        """Cancel all jobs and wait until their processes are gone."""


@dataclass(slots=True)
class _Running:
    spec: JobSpec
    task: asyncio.Task[None]
    progress: float = 0.0


class LocalPool:
    """Jobs as asyncio tasks of this process, a limited number of each kind at once."""

    def __init__(
        self,
        slots: dict[Kind, int],
        work: Callable[[JobSpec, Callable[[float], None]], Awaitable[Outcome]],
        done: Callable[[Outcome], None],
    ) -> None:
        self._slots = slots
        self._work = work
        self._done = done
        self._running: dict[str, _Running] = {}

    def free(self, kind: Kind) -> int:
        """See `Executor.free`."""
        return self._slots[kind] - sum(1 for job in self._running.values() if job.spec.kind == kind)

    def submit(self, spec: JobSpec) -> None:
        """See `Executor.submit`. A failure that `work` does not turn into an outcome ends the service: it is a bug."""
        task = asyncio.get_running_loop().create_task(self._run(spec), name=f"{spec.kind} {spec.attempt_id}")
        self._running[spec.attempt_id] = _Running(spec, task)

    async def _run(self, spec: JobSpec) -> None:
        def report(progress: float) -> None:
            if (job := self._running.get(spec.attempt_id)) is not None:
                job.progress = progress

        try:
            outcome = await self._work(spec, report)
        except asyncio.CancelledError:
            outcome = Cancelled(spec)
        finally:
            del self._running[spec.attempt_id]
        self._done(outcome)

    def cancel(self, attempt_id: str) -> None:
        """See `Executor.cancel`."""
        if (job := self._running.get(attempt_id)) is not None:
            job.task.cancel()

    def running(self) -> dict[str, float]:
        """See `Executor.running`."""
        return {attempt: job.progress for attempt, job in self._running.items()}

    def resize(self, slots: dict[Kind, int]) -> None:
        """Have so many of each kind at once from now on; what runs goes on."""
        self._slots = slots

    async def close(self) -> None:
        """See `Executor.close`."""
        tasks = [job.task for job in self._running.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
