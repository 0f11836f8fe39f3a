"""The state of an operation, and its JSON: version 1, and the older shape that has no version.

    {"schema_version": 1, "operation": {...}, "operation_id": "vbr-0123456789abcdef", "current_step": "encode",
     "steps_completed": ["probe"], "progress_percent": 40.0, "clips_extracted": false, "optimization_results": null,
     "best_result": null, "completed": false, "success": false, "error_message": null, "start_time": 1793824000.0,
     "end_time": null, "saved_at": 1793824012.5, "data": {...}, "input_seen": {"size_bytes": 7, "mtime_ns": 8},
     "command": {"argv": [...], "cwd": "/home/me"}}

Times are seconds since 1970. Fields that are not ours are kept, and written back.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NoReturn

from watcher.errors import NotStorable, StateBroken
from watcher.operations import operation as operations
from watcher.operations import places
from watcher.operations.values import plain

if TYPE_CHECKING:
    from watcher.operations.operation import TranscodeOperation

VERSION: Final = 1
INITIAL_STEP: Final = "initialization"
"""Where an operation stands that has announced no step yet."""
RESULTS: Final = ("clips_extracted", "optimization_results", "best_result")
"""The fields of their own that a step may set through its `data`."""
LARGEST_BYTES: Final = 64 << 20
"""Nobody's state is larger; a film under the name of a state must not fill the memory."""
MTIME_SLACK_NS: Final = 2_000_000_000
"""FAT keeps times in steps of two seconds."""

_NOTHING_THERE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG})
"""A name too long for the file system is nobody's, as is one below a file."""
_SOMETHING_ELSE: Final = frozenset({errno.EISDIR, errno.ENXIO, errno.ELOOP, errno.EINVAL})
"""A folder; a socket; links that lead in circles; what `places.read` found to be no regular file."""

_LAST_SEC: Final = 253_402_300_800
"""The year 10,000, beyond which a calendar has no date."""

_NUMBER = (int, float)
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "operation_id": (str,),
    "current_step": (str,),
    "steps_completed": (list,),
    "progress_percent": _NUMBER,
    "completed": (bool,),
    "success": (bool,),
    "error_message": (str, type(None)),
    "start_time": _NUMBER,
    "end_time": (*_NUMBER, type(None)),
    "saved_at": (*_NUMBER, type(None)),
    "data": (dict,),
    "input_seen": (dict, type(None)),
    "command": (dict, type(None)),
}
"""What each field must be where it is there; the rest may be any JSON."""
_NULL_IS_ABSENT: Final = frozenset({"steps_completed", "progress_percent", "completed", "success", "data"})
"""The older shape writes null for these before they are set."""


@dataclass(slots=True)
class TranscodeState:
    """How far an operation has come. Change it through its manager, which saves it and keeps threads apart."""

    operation: TranscodeOperation
    operation_id: str
    start_time: float
    current_step: str = INITIAL_STEP
    steps_completed: list[str] = field(default_factory=list)
    progress_percent: float = 0.0
    clips_extracted: Any = False
    optimization_results: Any = None
    best_result: Any = None
    completed: bool = False
    success: bool = False
    error_message: str | None = None
    """Why it failed; or, of an unfinished one, what stopped it last."""
    end_time: float | None = None
    saved_at: float | None = None
    data: dict[str, Any] = field(default_factory=dict)
    """What the steps left for later ones."""
    input_seen: dict[str, int] | None = None
    """Size and time of the input when the work began: another film under its name is no reason to go on."""
    command: dict[str, Any] | None = None
    """The command line and folder of the program that worked on it last, to run it again."""
    is_older_shape: bool = False
    """Read from a file without a version."""
    unknown: dict[str, Any] = field(default_factory=dict)
    """Fields of the file that are not ours."""
    unknown_of_operation: dict[str, Any] = field(default_factory=dict)


_FIELDS: Final = tuple(
    one.name
    for one in dataclasses.fields(TranscodeState)
    if one.name not in ("operation", "is_older_shape", "unknown", "unknown_of_operation")
)


def to_dict(state: TranscodeState) -> dict[str, Any]:
    """Give the file's content as a JSON object. Raises NotStorable, naming the value that has no place in it."""
    return {
        **state.unknown,
        "schema_version": VERSION,
        "operation": {**state.unknown_of_operation, **operations.to_document(state.operation)},
        **{name: plain(getattr(state, name), name) for name in _FIELDS},
    }


def to_json(state: TranscodeState) -> bytes:
    """Give the file's content. Raises NotStorable, also for what `read` would not take any more."""
    content = json.dumps(to_dict(state), indent=1, allow_nan=False).encode() + b"\n"
    if len(content) > LARGEST_BYTES:
        size = f"{len(content) >> 20} MiB, and {LARGEST_BYTES >> 20} are the most"
        raise NotStorable(
            f"the state would have {size}: keep what is large in a file of its own, and its name in `data`"
        )
    return content


def read(path: bytes) -> TranscodeState | None:
    """Read a state file; None when there is none. Raises StateBroken when it is not one, OSError when it cannot be read."""
    try:
        content = places.read(path, LARGEST_BYTES + 1)
    except OSError as error:
        if error.errno in _NOTHING_THERE:
            return None
        if error.errno in _SOMETHING_ELSE:
            raise StateBroken("it is no regular file") from None
        raise
    if len(content) > LARGEST_BYTES:
        raise StateBroken(f"it is larger than {LARGEST_BYTES >> 20} MiB")
    return from_json(content)


def from_json(content: bytes) -> TranscodeState:
    """Read the file's content, of this shape or the older one. Raises StateBroken, saying why."""
    try:
        document = plain(json.loads(content, parse_constant=_refuse), "it")  # what is read can be written again
    except NotStorable as error:
        raise StateBroken(str(error)) from None
    except (ValueError, RecursionError) as error:
        raise StateBroken("it is empty" if not content.strip(b"\0 \n") else f"it is no JSON ({error})") from None
    if not isinstance(document, dict):
        raise StateBroken("it holds no object")
    version = document.pop("schema_version", 0)
    if isinstance(version, int) and version > VERSION:
        raise StateBroken(
            f"a newer version of the program wrote it (shape {version}; this one knows {VERSION}): update this"
        )
    if version not in (0, VERSION):
        raise StateBroken(f"it has the shape {version!r}, which nobody writes")
    operation, unknown_of_operation = operations.from_document(document.pop("operation", None))
    found = {name: document.pop(name) for name in _FIELDS if name in document}
    _require_types(found)
    found["operation_id"] = operation.operation_id  # the older shape's was made of the time
    try:
        return TranscodeState(
            operation=operation,
            is_older_shape=version == 0,
            unknown=document,
            unknown_of_operation=unknown_of_operation,
            **found,
        )
    except TypeError:
        raise StateBroken("start_time is missing") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def _require_types(found: dict[str, Any]) -> None:
    for name in _NULL_IS_ABSENT & found.keys():
        if found[name] is None:
            del found[name]
    for name, kinds in _TYPES.items():
        # True is a number to Python, and to nobody else
        if name in found and (
            not isinstance(found[name], kinds) or (isinstance(found[name], bool) and bool not in kinds)
        ):
            raise StateBroken(f"{name} is a {type(found[name]).__name__}")
    for name in ("start_time", "end_time", "saved_at"):
        if not abs(found.get(name) or 0) < _LAST_SEC:
            raise StateBroken(f"{name} is {found[name]:g}, which is no time")
    if not all(isinstance(step, str) for step in found.get("steps_completed", ())):
        raise StateBroken("steps_completed holds something that is no text")
    if not all(isinstance(number, int) for number in (found.get("input_seen") or {}).values()):
        raise StateBroken("input_seen holds something that is no whole number")


def see(path: bytes) -> dict[str, int] | None:
    """Give size and time of a file, by which another one under its name is told; None for folders and what is missing."""
    try:
        there = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return {"size_bytes": there.st_size, "mtime_ns": there.st_mtime_ns} if stat.S_ISREG(there.st_mode) else None


def is_another(seen: dict[str, int] | None, now: dict[str, int] | None) -> bool:
    """Tell whether a file is not the one it was. A missing one is not another: the job may have moved it."""
    if seen is None or now is None:
        return False
    return (
        seen.get("size_bytes") != now["size_bytes"] or abs(seen.get("mtime_ns", 0) - now["mtime_ns"]) >= MTIME_SLACK_NS
    )
