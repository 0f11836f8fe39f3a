"""The planner: which due entries come first; and a due entry, a fresh look at its file and the time give one action.

It decides nothing about time itself (`now` is an argument) and changes nothing: the engine carries the action out.
Every action that keeps an entry waiting says until when, so that no row stays due and starves the others.

Who comes first: folders take turns, whatever each of them has to do. Within one, the film that was last seen to change
comes first: what somebody has just dropped, before the back catalogue. But every fourth is the one that has been due for
longest, so that no stream of new films starves the old ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from watcher.rules import stability
from watcher.rules.statuses import IntegrityStatus as I
from watcher.rules.statuses import ProcessedStatus as P

if TYPE_CHECKING:
    from collections.abc import Sequence

    from watcher.rules.stability import Observation, Settling, Waiting

TROUBLE_RETRY_SEC = 60.0
LONGEST_DUE_EVERY = 4
"""Of so many films taken of one root, one is that which has been due for longest."""


@dataclass(frozen=True, slots=True)
class Lanes:
    """What is due in one root, each film by its id in both lanes or, where many are due, in one."""

    newest: Sequence[int]
    """Last seen to change first."""
    longest: Sequence[int]
    """Longest due first."""


def in_turn(roots: Sequence[Lanes], turn: int, limit: int) -> list[int]:
    """Give at most `limit` of what is due, in the order in which it is to be taken.

    `roots` are those that have something due. `turn` says how many films were taken before, so that who takes one at a
    time is as fair as who takes a hundred.
    """
    left = {each for lanes in roots for each in (*lanes.newest, *lanes.longest)}
    taken: list[int] = []
    while left and len(taken) < limit:
        time, which = divmod(turn, len(roots))
        lanes = roots[which]
        lane = lanes.longest if time % LONGEST_DUE_EVERY == LONGEST_DUE_EVERY - 1 else lanes.newest
        found = next((each for each in lane if each in left), None)
        if found is not None:
            left.discard(found)
            taken.append(found)
        turn += 1
    return taken


@dataclass(frozen=True, slots=True)
class Due:
    """A due entry, in plain values."""

    integrity: I
    processed: P
    settling: Settling
    has_probe: bool
    """What the last check found out about the streams is stored."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again at `until`; the file waits for `why`."""

    until: float
    why: str


@dataclass(frozen=True, slots=True)
class Changed:
    """The file is not the one the row knows: take the signature over and begin to wait anew."""


@dataclass(frozen=True, slots=True)
class Gone:
    """No regular file stands under the name."""


@dataclass(frozen=True, slots=True)
class Check:
    """Start a check."""

    why: str


@dataclass(frozen=True, slots=True)
class LeaseExpired:
    """A check that nobody runs any more: UNKNOWN again."""


@dataclass(frozen=True, slots=True)
class Retry:
    """A failed conversion's waiting time is over: NEW again."""


@dataclass(frozen=True, slots=True)
class PairLost:
    """A film's stereo sibling did not come back in its time: NEW again."""


@dataclass(frozen=True, slots=True)
class Convert:
    """The file is whole and nothing has been decided about its sound."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing is to be done with this file until it changes."""


Action = Wait | Changed | Gone | Check | LeaseExpired | Retry | PairLost | Convert | Rest


def plan(due: Due, seen: Observation, waiting: Waiting, now: float) -> Action:
    """Give the one action for a due entry."""
    if seen.trouble:
        return Wait(now + TROUBLE_RETRY_SEC, seen.trouble)
    if seen.signature is None:
        return Gone()
    if _changed(due, seen):
        return Changed()
    match due.integrity:
        case I.UNKNOWN:
            return _settle(due, seen, waiting, now)
        case I.PENDING:
            return LeaseExpired()
        case I.INCOMPLETE | I.ERROR:
            if seen.writer == "busy":
                return _settle(due, seen, waiting, now)
            return Check("its waiting time is over")
        case I.COMPLETE:
            return _process(due)
        case I.QUARANTINED:
            return Rest()


def _changed(due: Due, seen: Observation) -> bool:
    assert seen.signature is not None  # noqa: S101 - plan() asked
    if due.integrity in (I.UNKNOWN, I.INCOMPLETE):
        # While it may still be arriving, the filling of a pre-allocated file counts: its blocks.
        return seen.signature != due.settling.signature
    return not seen.signature.same_content(due.settling.signature)


def _settle(due: Due, seen: Observation, waiting: Waiting, now: float) -> Action:
    found = stability.readiness(due.settling, seen, waiting, now)
    if found.ready or found.look_again_at is None:
        return Check(found.why)
    return Wait(found.look_again_at, found.why)


def _process(due: Due) -> Action:
    if due.processed is P.CONVERT_FAILED:
        return Retry()
    if due.processed is P.GROUP_PENDING_PAIR:
        return PairLost()
    if due.processed is not P.NEW:
        return Rest()
    return Convert() if due.has_probe else Check("what it holds is not known")


def backoff_sec(times_in_a_row: int, step_sec: float, max_sec: float, jitter: float) -> float:
    """Give the wait after the n-th failure in a row (n from 1): step * 2^(n-1), at most max, plus `jitter` * 10 %.

    `jitter` is 0 to 1 and handed in: the rules hold no dice.
    """
    doublings = min(times_in_a_row - 1, 60)  # 2^60 steps are past any maximum; a float is not asked for more
    return float(min(step_sec * 2**doublings, max_sec) * (1 + 0.1 * jitter))
