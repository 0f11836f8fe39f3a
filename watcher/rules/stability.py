"""When is a file finished? Hints are never proof; time, the signature, open writers and the file's own end are.

A file is stable when its signature has not changed and no hint for it has come for the waiting time, measured by our
own observations (rsync and `cp -p` set old mtimes), and nobody here has it open for writing. The waiting time has
both directions: strong evidence that the writer is done shortens it, a writer that once paused longer than we waited
lengthens it for this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from watcher.rules.signature import Signature

Evidence = Literal["", "closed", "moved_in", "finished"]
"""The strongest thing a hint said since the last change: closed after writing, moved into place, or renamed from the
name of an unfinished download."""

# A change after a longer pause is a new upload, not the pause of a slow writer.
LONGEST_PAUSE_SEC = 3600.0


@dataclass(frozen=True, slots=True)
class Observation:
    """What one look at a file showed."""

    signature: Signature | None
    """None: no regular file stands under the name."""
    writer: Literal["busy", "free", "unknown"] = "unknown"
    writer_evidence: str = "none"
    """How the writer was looked for: lease, proc or none."""
    end_is_there: bool | None = None
    """The structure proves the end of the file where its header says; None when it was not looked at or cannot tell."""
    trouble: str = ""
    """The sentence of an error that prevented the look; then nothing may be concluded."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The waiting times in force, in seconds."""

    stable_wait_sec: float
    settle_sec: float


@dataclass(frozen=True, slots=True)
class Settling:
    """What is known about a file that is being waited for. Times in seconds of the wall clock."""

    signature: Signature
    quiet_since: float
    """When we last saw a change or a hint."""
    evidence: Evidence = ""
    longest_gap_sec: float = 0.0
    """The longest pause after which this file went on growing."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a file is stable; if not, what it waits for and until when we look again."""

    ready: bool
    why: str
    look_again_at: float | None = None


def gap_after(quiet_since: float, now: float, longest_gap_sec: float) -> float:
    """Give the longest pause known once a file that had been taken for finished has changed after all."""
    pause = now - quiet_since
    return max(longest_gap_sec, pause) if 0 <= pause <= LONGEST_PAUSE_SEC else longest_gap_sec


def required_quiet_sec(known: Settling, waiting: Waiting) -> float:
    """Give the time a file without strong evidence must be quiet: twice its longest pause, if that is longer."""
    return max(waiting.stable_wait_sec, 2 * known.longest_gap_sec)


def readiness(known: Settling, seen: Observation, waiting: Waiting, now: float) -> Readiness:
    """Decide whether a file whose signature has not changed since `quiet_since` is stable.

    A clock that was set back makes the quiet time negative; then the wait begins anew, at most once as long.
    """
    required = required_quiet_sec(known, waiting)
    quiet = now - known.quiet_since
    if seen.writer == "busy":
        # The close gives a hint; where it does not, looking once per waiting time is soon enough.
        return Readiness(
            False,
            f"open for writing ({seen.writer_evidence})",
            now + max(waiting.stable_wait_sec, waiting.settle_sec, 1),
        )
    # A downloader's word stands for the end of a container that does not tell where it ends.
    end = seen.end_is_there is True or (known.evidence == "finished" and seen.end_is_there is None)
    early = bool(known.evidence) and seen.writer == "free" and end
    if early and not known.longest_gap_sec and quiet >= min(waiting.settle_sec, required):
        proof = "end of file in place" if seen.end_is_there else "its end cannot be told"
        return Readiness(True, f"{known.evidence.replace('_', ' ')}, no writer ({seen.writer_evidence}), {proof}")
    if quiet >= required:
        return Readiness(True, f"quiet for {quiet:.0f} s, writer: {seen.writer} ({seen.writer_evidence})")
    until = known.quiet_since + required if quiet >= 0 else now + required
    return Readiness(False, f"not yet quiet for {required:.0f} s", until)
