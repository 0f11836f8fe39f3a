"""The states in a folder: which operations can be resumed, which files are broken, which may go."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from watcher.errors import StateBroken
from watcher.operations import document, holds, places
from watcher.operations.network import NETWORK_ERRORS, Drive
from watcher.operations.state import StrPath, UniversalStateManager
from watcher.rules.names import readable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from watcher.operations.document import TranscodeState

log = logging.getLogger("watcher.operations")

DAY_SEC: Final = 86_400


@dataclass(frozen=True, slots=True)
class Found:
    """A state file, and what is in it."""

    path: bytes
    state: TranscodeState | None
    """None when the file is broken."""
    broken: str = ""
    """Why it cannot be read."""
    held_by: holds.Holder | None = None

    @property
    def is_resumable(self) -> bool:
        """Whether it is unfinished, or may be: a broken file is not to be overlooked."""
        return self.state is None or not self.state.completed


def find_resumable_operations(
    directory: StrPath, operation_type: str | None = None, recursive: bool = False
) -> list[dict[str, Any]]:
    """List the unfinished operations on films of a folder, or in a state folder of one's own.

    Each is a dict of state_file, operation_type, input_file, current_step, progress_percent, start_time (seconds since
    1970), operation_id; error_message: what stopped it; held_by: the process that works on it now, or None; and broken:
    why the file cannot be read, or None. A broken file is listed whatever type is asked for, its other keys None.
    Raises OSError when the folder cannot be read.
    """
    return [
        as_dict(found)
        for found in find(directory, recursive=recursive)
        if found.is_resumable
        and (found.state is None or operation_type in (None, found.state.operation.operation_type))
    ]


def as_dict(found: Found) -> dict[str, Any]:
    """Give what was found as `find_resumable_operations` lists it."""
    state = found.state
    return {
        "state_file": os.fsdecode(found.path),
        "operation_type": state and state.operation.operation_type,
        "input_file": state and state.operation.input_file,
        "current_step": state and state.current_step,
        "progress_percent": state and state.progress_percent,
        "start_time": state and state.start_time,
        "operation_id": state and state.operation_id,
        "error_message": state and state.error_message,
        "held_by": None if found.held_by is None else str(found.held_by),
        "broken": found.broken or None,
    }


def resume_operation_from_state(state_file: StrPath) -> UniversalStateManager | None:
    """Give the manager of the operation in a state file, to go on with it.

    None when there is nothing to go on from: no file, a broken one, or one of which the input is another file by now;
    the log says which. A completed operation is given too: look at `state.completed`. Raises OperationHeld when another
    process works on it, OSError when the file cannot be read.
    """
    path = os.fsencode(state_file)
    found = look(path)
    if found is None or found.state is None:
        log.warning("nothing to resume: %s: %s", readable(path), found.broken if found else "there is no such file")
        return None
    manager = UniversalStateManager(found.state.operation, state_file)
    return manager if manager.load_state() else None


def cleanup_completed_states(directory: StrPath, days: float, recursive: bool = False) -> int:
    """Remove the states of operations that were completed longer ago than this; 0 days: of all completed ones.

    Unfinished and broken ones stay, and those of operations that somebody works on. Gives the number removed. Raises
    ValueError for negative days, OSError when a file cannot be removed.
    """
    if not days >= 0:
        raise ValueError(f"{days} days is no age")
    limit = time.time() - days * DAY_SEC
    removed = 0
    for found in find(directory, recursive=recursive):
        state = found.state
        if state is None or not state.completed or found.held_by is not None:
            continue
        if days and (state.end_time or state.saved_at or state.start_time) > limit:
            continue
        places.remove(found.path)
        removed += 1
        for leftover in (places.LOCK, places.NEW):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(found.path + leftover)
        places.remove_folder_if_empty(found.path)
    return removed


def find(directory: StrPath, *, recursive: bool = False) -> Iterator[Found]:
    """Go through the state files of a folder, in the order of their paths."""
    top = os.path.abspath(os.fsencode(directory))
    drive = Drive(top)
    for folder, names in drive.retry(lambda: list(_folders(top, recursive=recursive))):
        for name in names:
            found = look(os.path.join(folder, name), drive)
            if found is not None:
                yield found


def look(path: bytes, drive: Drive | None = None) -> Found | None:
    """Read one state file; None when there is none. A network drive that is away is waited for."""
    path = os.path.abspath(path)
    try:
        state = (drive or Drive(path)).retry(lambda: document.read(path))
    except StateBroken as broken:
        return Found(path, None, str(broken))
    except OSError as error:
        return Found(path, None, f"it cannot be read: {error.strerror}")
    return None if state is None else Found(path, state, held_by=holds.holder_of(path))


def _folders(directory: bytes, *, recursive: bool) -> Iterator[tuple[bytes, list[bytes]]]:
    """Give the folders that hold states, and the states' names: those of the older shape first, as their names sort."""
    if recursive:
        for folder, subfolders, names in os.walk(directory, onerror=_say_unreadable):
            subfolders.sort()
            yield folder, _states(names)
        return
    for name in (places.OLDER_FOLDER, places.FOLDER):
        folder = os.path.join(directory, name)
        if os.path.isdir(folder):
            yield folder, _states(os.listdir(folder))
    yield directory, _states(os.listdir(directory))  # a state folder itself, or one of one's own


def _states(names: list[bytes]) -> list[bytes]:
    return sorted(name for name in names if name.endswith(places.SUFFIX))


def _say_unreadable(error: OSError) -> None:
    if error.errno in NETWORK_ERRORS:
        raise error
    log.warning("not searched: %s: %s", readable(os.fsencode(error.filename)), error.strerror)
