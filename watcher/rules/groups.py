"""Groups: a film and its stereo sibling, or one film in two containers.

Members share a folder and a stem, after a trailing `.stereo` is removed, whatever the extension and the case of
`.stereo`. Two originals in one group: the first seen is the original, later ones are duplicates until it disappears.

Where films are given siblings (`output = "sidecar"`), film and sibling finish as a pair:

| the film | its sibling | then |
|---|---|---|
| decided about, whatever was decided | whole, with stereo | both GROUP_PROCESSED |
| needs stereo | there, not judged yet | the film waits as GROUP_PENDING_PAIR |
| needs stereo | given up, or without stereo | the film is NEW again: it gets one of its own, if the name is free |
| gone, or not decided about | whole, with stereo | the sibling waits as GROUP_PENDING_PAIR |
| was GROUP_PROCESSED or waits | gone | the film waits a while, since siblings are renamed one by one; then it is NEW again |

A sibling that we made belongs to the film it was made from, and to the content it was made from: for any other it is
made anew. A film with English stereo of its own needs none, and waits for none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from watcher.rules.statuses import IntegrityStatus as I
from watcher.rules.statuses import ProcessedStatus as P

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_STEREO = b".stereo"
_DECIDED = frozenset({P.SKIPPED_HAS_EN2, P.CONVERTED, P.GROUP_PENDING_PAIR, P.GROUP_PROCESSED, P.IGNORED})
_NOT_WHOLE = frozenset({I.INCOMPLETE, I.QUARANTINED})


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a group, as far as the rules need to know it."""

    entry_id: int
    """Grows in the order in which files were first seen."""
    name: bytes
    missing: bool = False
    made_from: int | None = None
    """The film that we made it from; None for what others made."""
    integrity: I = I.UNKNOWN
    processed: P = P.NEW
    due: bool = False
    """It is looked at again by itself."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do with a member: a move, or only a look at it later."""

    entry_id: int
    move: Literal["group_finished", "group_reopened", "pair_lost", "waits_for_pair", "retry", "look_later"]
    reason: str
    look: Literal["never", "now", "later"] = "never"
    """When the member is looked at next."""


def stem_of(name: bytes) -> bytes:
    """Give the stem that members of a group share: b"Film.stereo.mkv" and b"Film.mp4" both give b"Film"."""
    stem = _without_extension(name)
    return stem[: -len(_STEREO)] if stem.lower().endswith(_STEREO) and len(stem) > len(_STEREO) else stem


def is_stereo_sibling(name: bytes) -> bool:
    """Tell whether a name says that the file is a film's stereo sibling."""
    return stem_of(name) != _without_extension(name)


def original_of(entry_id: int, members: Iterable[Member]) -> int:
    """Give the id of the original of the group that `entry_id` is in: the first seen that is still there."""
    originals = [m.entry_id for m in members if not m.missing and m.made_from is None and not is_stereo_sibling(m.name)]
    return min(originals, default=entry_id)


def awaited(film: Member, members: Iterable[Member]) -> bool:
    """Tell whether a film that needs stereo, and is decided about now, has a sibling that gives it, or may yet."""
    here = [m for m in members if not m.missing and is_stereo_sibling(m.name) and m.made_from is None]
    return _standing(here, film) != "none"


def pair_steps(members: Sequence[Member]) -> list[Step]:
    """Give what is to be done with a group's members next; to be asked again until there is nothing."""
    here = [m for m in members if not m.missing]
    siblings = [m for m in here if is_stereo_sibling(m.name)]
    films = [m for m in here if not is_stereo_sibling(m.name) and m.processed is not P.DUPLICATE]
    lost = {m.made_from for m in members if m.missing and m.made_from is not None}
    steps = [_of_film(film, siblings, sidecar_lost=film.entry_id in lost) for film in films]
    steps += [_of_sibling(sibling, films) for sibling in siblings]
    return [step for step in steps if step is not None]


def _of_film(film: Member, siblings: Sequence[Member], *, sidecar_lost: bool) -> Step | None:
    standing = _standing(siblings, film)
    match film.processed, standing:
        case (P.SKIPPED_HAS_EN2 | P.CONVERTED | P.IGNORED | P.GROUP_PENDING_PAIR, "good"):
            return None if film.integrity in _NOT_WHOLE else Step(film.entry_id, "group_finished", "with its sibling")
        case P.CONVERT_FAILED, "good":
            return Step(film.entry_id, "retry", "its sibling came", "now")
        case P.GROUP_PROCESSED, "open" | "none":
            return Step(film.entry_id, "group_reopened", _WHY[standing])
        case P.GROUP_PENDING_PAIR, "none" if any(_is_of(sibling, film) for sibling in siblings):
            return Step(film.entry_id, "pair_lost", "its sibling is of no use", "now")
        case P.GROUP_PENDING_PAIR, "none" if not film.due:
            return Step(film.entry_id, "look_later", _WHY[standing], "later")
        case P.CONVERTED, "none" if sidecar_lost:
            return Step(film.entry_id, "waits_for_pair", _WHY[standing])
    return None


def _of_sibling(sibling: Member, films: Sequence[Member]) -> Step | None:
    finished = any(
        film.processed in _DECIDED and film.integrity not in _NOT_WHOLE and _is_of(sibling, film) for film in films
    )
    match sibling.processed:
        case P.SKIPPED_HAS_EN2 | P.GROUP_PENDING_PAIR if finished and sibling.integrity not in _NOT_WHOLE:
            return Step(sibling.entry_id, "group_finished", "with its film")
        case P.GROUP_PROCESSED if not finished or sibling.integrity in _NOT_WHOLE:
            return Step(sibling.entry_id, "group_reopened", "its film is not finished")
    return None


_WHY = {"open": "its sibling is not judged yet", "none": "its sibling is gone"}


def _standing(siblings: Sequence[Member], film: Member) -> Literal["good", "open", "none"]:
    """Say what a film can expect of its siblings: stereo that is there, stereo that may come, or nothing."""
    standings = {_of_one(sibling) for sibling in siblings if _is_of(sibling, film)}
    return "good" if "good" in standings else "open" if "open" in standings else "none"


def _of_one(sibling: Member) -> Literal["good", "open", "none"]:
    if sibling.integrity is I.QUARANTINED or sibling.processed in (P.IGNORED, P.CONVERT_FAILED):
        return "none"
    good = sibling.processed is not P.NEW and sibling.integrity is not I.INCOMPLETE
    return "good" if good else "open"


def _is_of(sibling: Member, film: Member) -> bool:
    return sibling.made_from in (None, film.entry_id)


def _without_extension(name: bytes) -> bytes:
    stem, dot, _ = name.rpartition(b".")
    return stem if dot and stem else name
