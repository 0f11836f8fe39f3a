"""Outcomes: what came of the jobs is noted when they end, and taken in on the next turn."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from watcher.service.jobs import Cancelled, Checked, Failed, Made

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from watcher.service.checks import Checks
    from watcher.service.conversions import Conversions
    from watcher.service.jobs import Outcome
    from watcher.service.landing import Landing
    from watcher.service.roots import Roots


class Outcomes:
    """Holds what came of jobs until a turn takes it in, and the landings that go on meanwhile."""

    def __init__(
        self,
        checks: Checks,
        conversions: Conversions,
        landing: Landing,
        roots: Roots,
        in_turn: Callable[..., Awaitable[Any]],
        wake: Callable[[], None],
    ) -> None:
        self._checks = checks
        self._conversions = conversions
        self._landing = landing
        self._roots = roots
        self._in_turn = in_turn
        self._wake = wake
        self._waiting: list[Outcome] = []
        self._landings: set[asyncio.Task[None]] = set()

    def add(self, outcome: Outcome) -> None:
        """Note what came of a job."""
        self._waiting.append(outcome)
        self._wake()

    def any(self) -> bool:
        """Tell whether something is still to be taken in, or lands."""
        return bool(self._waiting or self._landings)

    async def turn(self) -> None:
        """Take in what came of jobs since. Results begin to land; raises what a landing ended by."""
        for task in [task for task in self._landings if task.done()]:
            self._landings.discard(task)
            task.result()
        outcomes, self._waiting = self._waiting, []
        for outcome in outcomes:
            if isinstance(outcome, Made):
                task = asyncio.create_task(self._landing.land(outcome))
                self._landings.add(task)
                task.add_done_callback(lambda _: self._wake())
            elif outcome.spec.temp is not None and isinstance(outcome, Failed | Cancelled):
                await self._landing.ended(outcome)
            elif isinstance(outcome, Checked):
                await self._in_turn(self._checked, await self._roots.believed(outcome))
            else:
                await self._in_turn(self._conversions.void, outcome.spec.attempt_id)

    def _checked(self, outcome: Checked) -> None:
        """Write a verdict; what can be said about a whole film's sound at once need not wait for a free place."""
        entry = self._checks.ended(outcome)
        if entry is not None:
            self._conversions.begin(entry, may_start=False)

    async def landed(self) -> None:
        """Wait until nothing lands any more."""
        await asyncio.gather(*self._landings, return_exceptions=True)
