"""What long work is given from outside: a place to keep what is done, and the word to stand still.

Both are Protocols. A conversion keeps its checkpoints wherever the caller wants, and whoever may pause the work is told of
each process it starts. This module knows nothing about files of state, signals or databases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

Step = Literal["encode", "mux", "verify"]


class Checkpoints(Protocol):
    """Keeps what one piece of work has finished, so that a later run of the very same goes on from there.

    Both are blocking and are called in a thread, one after the other. What they raise ends the work; what it left on
    disk stays then, as after a kill.
    """

    def kept(self) -> Mapping[str, Any]:
        """Give all that earlier runs of this very work have saved; empty when there was none, or it was other work."""

    def save(self, step: Step, percent: float, data: Mapping[str, Any]) -> None:
        """Add to what is kept, JSON-ready values by name; it is on disk when this returns.

        `step` is the one under way, `percent` (0 to 100) how much of the whole work is done. A name saved again has
        the new value.
        """


class Process(Protocol):
    """A running child, as far as whoever stops it must know."""

    @property
    def pid(self) -> int:
        """Its number, and that of the group it leads."""

    @property
    def returncode(self) -> int | None:
        """None until it was reaped: so long the number is nobody else's."""


class Stops(Protocol):
    """Stops and continues processes: a pause."""

    @property
    def stopped_sec(self) -> float:
        """For how long all was stopped until now, the pause under way included: no limit of time counts it."""

    def allow(self, process: Process) -> AbstractContextManager[object]:
        """Let this process be stopped and continued inside."""
