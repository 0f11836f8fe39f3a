"""What the journal says of each event, as one short line for a person, and how much it matters.

The table has one row for each event worth a sentence of its own; any other is said by its name and its keys. A kind of
trouble has a MESSAGE_ID, under which `systemd/watcher.catalog` explains it and says what to do (`journalctl -x`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from watcher.rules import names

if TYPE_CHECKING:
    from collections.abc import Mapping

NOTICE, INFO = 5, 6
PRIORITIES = {"debug": 7, "info": INFO, "warning": 4, "error": 3, "exception": 3, "critical": 2}
"""A log method -> a priority of syslog(3)."""


@dataclass(frozen=True, slots=True)
class Saying:
    """How one event is said."""

    words: str
    """Stand before the name of the file or folder."""
    message_id: str = ""
    with_reason: bool = False
    """Say why, also where nothing is wrong."""
    priority: int = INFO
    """Of a line that is logged as info."""


SAYINGS = {
    "found": Saying("found"),
    "check_started": Saying("checking"),
    "check_passed": Saying("whole"),
    "check_failed": Saying("not whole", "91a4d1ce2256404eadddcb4ce3c00dbe"),
    "check_undecided": Saying("could not be checked", "8406f59b59f2409cae62cb164699f7e9"),
    "gave_up": Saying("given up, for it was not whole each time", "a8c33270ff4b4571b7d35a1492882ffc"),
    "lease_expired": Saying("its check is to be repeated", with_reason=True),
    "check_cancelled": Saying("check stopped", with_reason=True),
    "content_changed": Saying("changed"),
    "released": Saying("its verdict is forgotten", with_reason=True),
    "has_stereo": Saying("has a stereo track already"),
    "converted": Saying("stereo track added", with_reason=True, priority=NOTICE),
    "conversion_failed": Saying("no stereo track could be made", "cbda4537ddb74482b87f6b1067a79da5"),
    "retry": Saying("is tried again", with_reason=True),
    "ignored": Saying("left alone", with_reason=True),
    "is_duplicate": Saying("left alone", with_reason=True),
    "becomes_original": Saying("takes the place of the film it doubled"),
    "reconsidered": Saying("decided anew", with_reason=True),
    "waits_for_pair": Saying("waits for its stereo sibling"),
    "group_finished": Saying("finished with its stereo sibling"),
    "pair_lost": Saying("lost its stereo sibling"),
    "group_reopened": Saying("is looked at with its stereo sibling again"),
    "moved": Saying("moved"),
    "gone": Saying("gone"),
    "back": Saying("is back"),
    "root suspended": Saying("folder suspended", "6ab0272b94ba41db99c8854032ffad8c"),
    "root is back": Saying("folder is back"),
    "watching trouble": Saying("no events from", "90c1a47e6d2d4633bed3f04ba1b69d64"),
    "scan failed": Saying("scan failed", "8461c33fcae04701ac2d52b29a75dd9d"),
    "folder cannot be read": Saying("folder cannot be read", "8461c33fcae04701ac2d52b29a75dd9d"),
    "disk not mounted": Saying("disk not mounted", "118a810c25134b4f97ec36146b77226a"),
    "not cleared up": Saying("a temporary file could not be removed beside", "cbe5f12cd2b7415089cd69866d13614b"),
    "conversion goes on": Saying("goes on with the stereo track of", with_reason=True),
    "conversion finished after a stop": Saying("stereo track added, after a stop", priority=NOTICE),
    "database restored from a backup": Saying("database restored from a backup", "74e4d415dfd74369b3101921190b1f94"),
    "database begun anew": Saying("database begun anew", "74e4d415dfd74369b3101921190b1f94"),
    "database log lost": Saying("database log lost", "74e4d415dfd74369b3101921190b1f94"),
    "leftover not removed": Saying("a temporary file could not be removed", "cbe5f12cd2b7415089cd69866d13614b"),
    "backed up": Saying("database backed up"),
    "no backup": Saying("no backup could be made", "b568eb01e1e84939981f90c6b64197c8"),
    "job crashed": Saying("a fault of this program", "833d6a32e2234fceb9c771d13feeeb24"),
    "not planned": Saying("a fault of this program", "833d6a32e2234fceb9c771d13feeeb24"),
    "paused": Saying("paused", "11a0cce5a99242178651e6304e15663f", priority=NOTICE),
    "resumed": Saying("goes on after a pause", with_reason=True, priority=NOTICE),
    "settings refused": Saying("settings not reloaded", "d223d5d95ff84b48a46858e4a3975b43"),
}

_PLACES = ("path", "root", "database")
_NO_DETAIL = frozenset({*_PLACES, "event", "level", "from", "to", "job", "exception", "ffmpeg_stderr", "times"})


def message(event: Mapping[str, Any]) -> str:
    """Say an event in one printable line: "not whole: /srv/films/Heat.mkv (cut: 41.3 of 43.0 minutes are there)"."""
    name = str(event["event"])
    saying = SAYINGS.get(name)
    place = next((event[key] for key in _PLACES if key in event), None)
    if name == "moved":
        place = f"{_text(event['from'])} -> {_text(event['to'])}"
    words = (saying.words if saying else name).replace("_", " ")
    said = [words if place is None else f"{words}: {_text(place)}"]
    why = _why(event, saying)
    if (times := event.get("times", 1)) > 1:
        why.append(f"the {_nth(times)} time in a row")
    if why:
        said.append(f"({'; '.join(why)})")
    return names.readable(" ".join(said).encode("utf-8", "surrogateescape"))


def _why(event: Mapping[str, Any], saying: Saying | None) -> list[str]:
    if saying is None:
        return [f"{key.replace('_', ' ')} {_text(value)}" for key, value in event.items() if key not in _NO_DETAIL]
    if not saying.message_id and not saying.with_reason:
        return []
    reason = str(event.get("reason", ""))
    if event["event"] == "converted":  # what could not be kept of a film (its owner, mostly) is told by `watcher why`
        reason = reason.partition(";")[0].removeprefix("stereo_added")
    if " " not in reason:  # a word; in a sentence, there may be names
        reason = reason.replace("_", " ")
    found = event.get("detail") or reason or event.get("trouble")
    return [str(each) for each in (found, event.get("damage")) if each]


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {each}" for key, each in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value))
    return names.readable(value) if isinstance(value, bytes) else str(value)


def _nth(number: int) -> str:
    return {1: "first", 2: "second"}.get(number, f"{number}th")
