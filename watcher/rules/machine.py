"""The two tables of moves: which status may follow which, and by what.

Theory in four sentences. A file has two statuses; each changes only by a move of its own table, and a move names what
happened (`check_passed`), never what is wanted. The tables are `transitions` machines, but no file is ever bound to
one: binding costs 6 KB and 0.5 ms a file, and a callback that fails leaves memory ahead of the database. So a move is
computed here and written elsewhere (`service/engine.py`). What the tables do not hold is illegal: it raises, and
nothing is changed.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from transitions import Machine, MachineError

from watcher.errors import IllegalMove
from watcher.rules.statuses import IntegrityStatus as I
from watcher.rules.statuses import ProcessedStatus as P
from watcher.rules.statuses import Status

if TYPE_CHECKING:
    from collections.abc import Iterable

# transitions says two INFO lines a move; the engine says its own one.
logging.getLogger("transitions").setLevel(logging.WARNING)

_Rows = list[tuple[str, "tuple[Status, ...]", Status]]

INTEGRITY_MOVES: _Rows = [
    ("check_started", (I.UNKNOWN, I.INCOMPLETE, I.ERROR, I.COMPLETE), I.PENDING),
    ("check_passed", (I.PENDING,), I.COMPLETE),
    ("check_failed", (I.PENDING,), I.INCOMPLETE),
    ("check_undecided", (I.PENDING,), I.ERROR),
    ("lease_expired", (I.PENDING,), I.UNKNOWN),
    ("check_cancelled", (I.PENDING,), I.UNKNOWN),
    ("gave_up", (I.INCOMPLETE,), I.QUARANTINED),
    ("content_changed", tuple(I), I.UNKNOWN),
    ("released", tuple(I), I.UNKNOWN),
]

PROCESSED_MOVES: _Rows = [
    ("has_stereo", (P.NEW,), P.SKIPPED_HAS_EN2),
    ("converted", (P.NEW,), P.CONVERTED),
    ("conversion_failed", (P.NEW,), P.CONVERT_FAILED),
    ("retry", (P.CONVERT_FAILED,), P.NEW),
    ("ignored", (P.NEW, P.CONVERT_FAILED), P.IGNORED),
    ("waits_for_pair", (P.NEW, P.CONVERTED), P.GROUP_PENDING_PAIR),
    ("pair_lost", (P.GROUP_PENDING_PAIR,), P.NEW),
    ("group_finished", (P.SKIPPED_HAS_EN2, P.CONVERTED, P.GROUP_PENDING_PAIR, P.IGNORED), P.GROUP_PROCESSED),
    ("group_reopened", (P.GROUP_PROCESSED,), P.GROUP_PENDING_PAIR),
    ("is_duplicate", (P.NEW,), P.DUPLICATE),
    ("becomes_original", (P.DUPLICATE,), P.NEW),
    ("reconsidered", (P.SKIPPED_HAS_EN2, P.IGNORED), P.NEW),
    ("content_changed", tuple(P), P.NEW),
]


class _Token:
    """What a transition is tried on: a state and nothing else."""

    __slots__ = ("state",)

    def __init__(self, state: Status) -> None:
        self.state = state


def _build(statuses: Iterable[Status], moves: _Rows) -> Machine:
    return Machine(
        model=None,
        states=list(statuses),
        initial=None,
        auto_transitions=False,
        transitions=[{"trigger": move, "source": list(sources), "dest": target} for move, sources, target in moves],
    )


_MACHINES: dict[type[Status], Machine] = {I: _build(I, INTEGRITY_MOVES), P: _build(P, PROCESSED_MOVES)}


def after(status: Status, move: str, subject: str = "") -> Status:
    """Give the status that follows `status` by `move`.

    Raises IllegalMove, naming `subject` (the file), the status, the move and what would be legal.
    """
    machine = _MACHINES[type(status)]
    event = machine.events.get(move)
    token = _Token(status)
    try:
        if event is None:
            raise MachineError(move)
        event.trigger(token)
    except MachineError:
        legal = ", ".join(moves_from(status)) or "nothing"
        who = f"{subject}: " if subject else ""
        raise IllegalMove(f"{who}{status.name} cannot take the move {move!r}; legal from here: {legal}") from None
    return token.state


def may(status: Status, move: str) -> bool:
    """Tell whether `move` is legal from `status`."""
    return move in moves_from(status)


def moves_from(status: Status) -> list[str]:
    """Name the moves that are legal from `status`, in the order of the table."""
    return list(_MACHINES[type(status)].get_triggers(status))


def to_mermaid(kind: type[Status]) -> str:
    """Draw one table as a mermaid state diagram, the same text each time."""
    moves = INTEGRITY_MOVES if kind is I else PROCESSED_MOVES
    lines = ["stateDiagram-v2", "    direction LR", f"    [*] --> {next(iter(kind)).name}"]
    for move, sources, target in moves:
        if len(sources) == len(list(kind)):
            lines.append(f"    note left of {target.name}: {move} leads here from every status")
            continue
        lines.extend(f"    {source.name} --> {target.name}: {move}" for source in sources)
    return "\n".join(lines) + "\n"
