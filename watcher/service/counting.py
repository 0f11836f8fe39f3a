"""What the service counts, and under which names: each place where something happens makes one call here.

Counters: files_discovered, files_changed, files_moved, files_missing, files_back, files_found_by_scans, checks
{verdict, reason}, conversions {outcome, reason}, conversion_bytes, sound_decisions {outcome}, quarantined, events_lost.
Timings: check, conversion (each by its job's end), backoff, turn. Gauges: running_jobs, waiting_hints, queue_depth, paused
(1 while a pause lasts).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from watcher.rules.debounce import HintKind
from watcher.service.jobs import Cancelled, Made

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from watcher.service.intake import Taken
    from watcher.service.jobs import JobSpec, Outcome
    from watcher.service.metrics import StateMetrics
    from watcher.watch.inbox import Hint

    Work = Callable[[JobSpec, Callable[[float], None]], Awaitable[Outcome]]

_MOVES: dict[str, tuple[str, dict[str, str]]] = {
    "check_passed": ("checks", {"verdict": "complete"}),
    "check_failed": ("checks", {"verdict": "incomplete"}),
    "check_undecided": ("checks", {"verdict": "error"}),
    "gave_up": ("quarantined", {}),
    "converted": ("conversions", {"outcome": "converted"}),
    "conversion_failed": ("conversions", {"outcome": "failed"}),
    "has_stereo": ("sound_decisions", {"outcome": "has_stereo"}),
    "ignored": ("sound_decisions", {"outcome": "ignored"}),
}
_WITH_REASON = frozenset({"checks", "conversions", "sound_decisions"})


def moved(metrics: StateMetrics, move: str, reason: str) -> None:
    """Count a move that was committed."""
    if move in _MOVES:
        name, tags = _MOVES[move]
        # The reasons of these moves are words of a short list; a person's sentence is none.
        with_reason = {"reason": reason} if name in _WITH_REASON and reason.isidentifier() else {}
        metrics.increment_counter(name, tags={**tags, **with_reason})


def took_in(metrics: StateMetrics, taken: Taken, *, by_scan: bool) -> None:
    """Count what a batch of sightings brought."""
    counts = {
        "files_discovered": taken.added,
        "files_changed": taken.changed,
        "files_moved": taken.moved,
        "files_missing": taken.gone,
        "files_back": taken.back,
        "files_found_by_scans": taken.added if by_scan else 0,
    }
    for name, number in counts.items():
        if number:
            metrics.increment_counter(name, number)


def heard(metrics: StateMetrics, hint: Hint) -> None:
    """Count a word from the kernel that it lost events, or cannot watch."""
    if hint.trouble or hint.kind & HintKind.OVERFLOW:
        metrics.increment_counter("events_lost")


def now(metrics: StateMetrics, **gauges: int) -> None:
    """Note how much there is of something at this moment."""
    for name, number in gauges.items():
        metrics.record_gauge(name, number)


def timed(work: Work, metrics: StateMetrics) -> Work:
    """Give the same work, with the time of each job and the bytes of each conversion counted."""

    async def do(spec: JobSpec, report: Callable[[float], None]) -> Outcome:
        began = time.monotonic()
        outcome = await work(spec, report)
        if not isinstance(outcome, Cancelled):
            metrics.record_timing({"check": "check", "convert": "conversion"}[spec.kind], time.monotonic() - began)
        if isinstance(outcome, Made):
            metrics.increment_counter("conversion_bytes", spec.signature.size_bytes)
        return outcome

    return do
