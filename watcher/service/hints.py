"""From hints to sightings: each due path of a root is looked at once. Blocking; run in a thread."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from watcher.rules import names
from watcher.rules.debounce import HintKind
from watcher.service.intake import Sighting
from watcher.service.judging import still_stands
from watcher.watch import scan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from watcher.rules.debounce import DueHint
    from watcher.rules.names import NameRules
    from watcher.rules.stability import Evidence
    from watcher.service.judging import WatchedRoot


@dataclass(slots=True)
class Found:
    """What looking at a batch of due hints of one root gave."""

    sightings: list[Sighting] = field(default_factory=list)
    scans: set[bytes] = field(default_factory=set)
    """Folders (b"" is the whole root) that must be compared with what is known."""


def look(due: Sequence[DueHint], root: WatchedRoot, rules: NameRules) -> Found:
    """Look at each due path. A path that cannot be looked at is left to the next scan of its folder.

    What is missing in a root that is not itself at that moment is not gone: nothing is said of it.
    """
    found = Found()
    files: dict[tuple[bytes, Evidence], Sighting] = {}
    for hint in due:
        if hint.kinds & (HintKind.SCAN_ROOT | HintKind.OVERFLOW | HintKind.FOLDER):
            found.scans.add(hint.rel_path)
        elif names.is_film(hint.rel_path, rules):
            _look_at(hint, root, found, files)
    if any(sighting.gone for sighting in found.sightings) and not still_stands(root):
        for sighting in found.sightings:
            sighting.gone.clear()
    return found


def _look_at(hint: DueHint, root: WatchedRoot, found: Found, files: dict[tuple[bytes, Evidence], Sighting]) -> None:
    folder, _, name = hint.rel_path.rpartition(b"/")
    evidence = _evidence(hint.kinds)
    key = (folder, evidence)
    if key not in files:
        files[key] = Sighting(folder, [], [], evidence, hinted=True)
        found.sightings.append(files[key])
    try:
        seen = scan.observe(root.path.rstrip(b"/") + b"/" + hint.rel_path)
    except OSError:
        found.scans.add(folder)
        return
    if seen is None:
        files[key].gone.append(name)
    else:
        raw = (seen.device, seen.inode, seen.size_bytes, seen.mtime_ns, seen.blocks)
        files[key].files.append((name, raw))


def _evidence(kinds: HintKind) -> Evidence:
    if kinds & HintKind.FINISHED:
        return "finished"
    if kinds & HintKind.CLOSED:
        return "closed"
    return "moved_in" if kinds & HintKind.MOVED_IN else ""
