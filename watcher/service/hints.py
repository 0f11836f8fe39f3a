"""From hints to sightings: each due path is looked at once. Blocking; run in a thread."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from watcher.rules import names
from watcher.rules.debounce import HintKind
from watcher.service.intake import Sighting
from watcher.watch import scan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from watcher.rules.debounce import DueHint
    from watcher.rules.names import NameRules
    from watcher.rules.stability import Evidence


@dataclass(slots=True)
class Found:
    """What looking at a batch of due hints gave, by root."""

    sightings: dict[int, list[Sighting]] = field(default_factory=dict)
    scans: dict[int, set[bytes]] = field(default_factory=dict)
    """Folders (b"" is the whole root) that must be compared with what is known."""


def look(due: Sequence[DueHint], roots: Mapping[int, bytes], rules: NameRules) -> Found:
    """Look at each due path. A path that cannot be looked at is left to the next scan of its folder."""
    found = Found()
    files: dict[tuple[int, bytes, Evidence], Sighting] = {}
    for hint in due:
        root = roots.get(hint.root_id)
        if root is None:
            continue
        if hint.kinds & (HintKind.SCAN_ROOT | HintKind.OVERFLOW | HintKind.FOLDER):
            found.scans.setdefault(hint.root_id, set()).add(hint.rel_path)
            continue
        if not names.is_film(hint.rel_path, rules):
            continue
        folder, _, name = hint.rel_path.rpartition(b"/")
        evidence = _evidence(hint.kinds)
        key = (hint.root_id, folder, evidence)
        if key not in files:
            files[key] = Sighting(folder, [], [], evidence, hinted=True)
            found.sightings.setdefault(hint.root_id, []).append(files[key])
        try:
            seen = scan.observe(root.rstrip(b"/") + b"/" + hint.rel_path)
        except OSError:
            found.scans.setdefault(hint.root_id, set()).add(folder)
            continue
        if seen is None:
            files[key].gone.append(name)
        else:
            raw = (seen.device, seen.inode, seen.size_bytes, seen.mtime_ns, seen.blocks)
            files[key].files.append((name, raw))
    return found


def _evidence(kinds: HintKind) -> Evidence:
    if kinds & HintKind.FINISHED:
        return "finished"
    if kinds & HintKind.CLOSED:
        return "closed"
    return "moved_in" if kinds & HintKind.MOVED_IN else ""
