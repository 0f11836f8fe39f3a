"""Looking at a file: the stat, who writes it, and whether its end is in place. Blocking; run in a thread."""

from __future__ import annotations

import os

from watcher.media import structure
from watcher.rules import names
from watcher.rules.stability import Observation
from watcher.rules.statuses import IntegrityStatus
from watcher.watch import scan, writers

_SETTLING = (IntegrityStatus.UNKNOWN, IntegrityStatus.INCOMPLETE, IntegrityStatus.ERROR)


def look(path: bytes, integrity: IntegrityStatus, evidence: str) -> Observation:
    """Look at one file as far as the planner needs it for a file of this status.

    Who writes it is asked only for files that may still be arriving, its end only when a hint said it was closed or
    moved in. Raises nothing: what prevents the look is in `trouble`.
    """
    try:
        signature = scan.observe(path)
        if signature is None or integrity not in _SETTLING:
            return Observation(signature)
        folder, _, name = path.rpartition(b"/")
        if os.path.lexists(folder + b"/" + names.unfinished_sibling(name)):
            return Observation(signature, "busy", "aria2 file beside it")
        writer = writers.writer_of(path)
        end = None
        if evidence and writer.state == "free":
            found = structure.walk(path).status
            end = None if found == "unknown" else found == "whole"
        return Observation(signature, writer.state, writer.evidence, end)
    except OSError as error:
        return Observation(None, trouble=f"it cannot be looked at: {error.strerror}")
