"""Groups: a film and its stereo sibling, or one film in two containers.

Members share a folder and a stem, after a trailing `.stereo` is removed, whatever the extension and the case of
`.stereo`. Two originals in one group: the first seen is the original, later ones are duplicates until it disappears.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_STEREO = b".stereo"


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a group, as far as the rule needs to know it."""

    entry_id: int
    """Grows in the order in which files were first seen."""
    name: bytes
    missing: bool = False
    made_by_us: bool = False


def stem_of(name: bytes) -> bytes:
    """Give the stem that members of a group share: b"Film.stereo.mkv" and b"Film.mp4" both give b"Film"."""
    stem = _without_extension(name)
    return stem[: -len(_STEREO)] if stem.lower().endswith(_STEREO) and len(stem) > len(_STEREO) else stem


def is_stereo_sibling(name: bytes) -> bool:
    """Tell whether a name says that the file is a film's stereo sibling."""
    return stem_of(name) != _without_extension(name)


def original_of(entry_id: int, members: Iterable[Member]) -> int:
    """Give the id of the original of the group that `entry_id` is in: the first seen that is still there."""
    originals = [m.entry_id for m in members if not m.missing and not m.made_by_us and not is_stereo_sibling(m.name)]
    return min(originals, default=entry_id)


def _without_extension(name: bytes) -> bytes:
    stem, dot, _ = name.rpartition(b".")
    return stem if dot and stem else name
