"""What a run of FFmpeg, or the disk, says about the machine, asked before anything is concluded about the film.

FFmpeg passes on most troubles of the machine as it does a film's damage: it prints a line, goes on, and exits 0. A disk
that vanishes in the middle, a limit on memory, a library that an upgrade took away look like a film that ends early. So
the words are looked for whatever the exit code; and a program that does not speak as FFmpeg does is not FFmpeg.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from watcher.errors import ToolMissing
from watcher.rules.signature import Signature
from watcher.rules.statuses import Reason

if TYPE_CHECKING:
    from watcher.media.ffmpeg import Finished


class Fault(NamedTuple):
    """One trouble of the machine."""

    word: str
    """For journals: no_space, permission, out_of_memory, tool_missing, killed, stalled, ..."""
    sentence: str
    """FFmpeg's line, or ours."""

    @property
    def reason(self) -> Reason:
        """The reason of a check's ERROR."""
        return _REASONS.get(self.word, Reason.IO_ERROR)


_REASONS: Final = {reason.value: reason for reason in Reason}


_WORDS: Final = (
    (re.compile(r"No space left on device|Disk quota exceeded"), "no_space"),
    (re.compile(r"Read-only file system"), "read_only"),
    # "Operation not permitted" is not among them: it is -1, which many a decoder gives for damage.
    (re.compile(r"Permission denied"), "permission"),
    (
        re.compile(
            r"(?:Cannot|Could not) allocate memory|out of memory|Error allocating the decoder context"
            r"|pthread_create\(\) failed|opening decoder .*Resource temporarily unavailable"
        ),
        "out_of_memory",
    ),
    (re.compile(r"Unrecognized option|Option not found"), "tool_missing"),  # FFmpeg was replaced by an older one
    (
        re.compile(
            r"No such file or directory|Stale file handle|Transport endpoint|Connection timed out|Host is down"
            r"|Remote I/O error|Too many open files|No such device",
            re.IGNORECASE,
        ),
        "io_error",
    ),
)
_DISK: Final = "Input/output error"
_SIGNALLED: Final = 255
"""What ffmpeg exits with after SIGTERM or SIGINT, having written a trailer as if all were well (5.1 to 8.1)."""
_MINUS_ONE: Final = "Operation not permitted"
"""FFmpeg 7 and newer also exit with 255 when a step gave -1; they say so."""
_NOT_STARTED: Final = frozenset({126, 127})
"""What setpriv, ionice, a shell and the dynamic loader exit with when there is no program, or a library is missing."""
_NO_ROOM_TO_START: Final = re.compile(r"failed to map segment|Cannot allocate memory|Cannot fork")


def of(finished: Finished) -> Fault | None:
    """Give the trouble of the machine that a run met, None when its end and its words are its film's.

    "Input/output error" is none: FFmpeg says it of content, too (`may_be_the_disk`).
    """
    if finished.ended != "exit":
        how = f"by signal {-finished.returncode}" if finished.ended == "killed" else f"by us ({finished.ended})"
        return Fault(finished.ended, f"it was ended {how}")
    if finished.returncode == _SIGNALLED and not any(_MINUS_ONE in line for line in finished.stderr_lines):
        return Fault("killed", "it was told to stop by a signal that was not ours")
    if finished.returncode in _NOT_STARTED or (finished.returncode and not finished.spoke):
        said = finished.stderr_lines[-1] if finished.stderr_lines else "it said nothing"
        word = "out_of_memory" if _NO_ROOM_TO_START.search(said) else "tool_missing"
        return Fault(word, f"it ended with code {finished.returncode}, and not as FFmpeg does: {said}")
    for pattern, word in _WORDS:
        for line in finished.stderr_lines:
            if pattern.search(line):
                return Fault(word, line)
    if finished.cramped and finished.stderr_lines:
        return Fault("out_of_memory", f"it came near its limit of memory before it said: {finished.stderr_lines[0]}")
    return None


def may_be_the_disk(finished: Finished) -> bool:
    """Tell whether FFmpeg spoke of an input/output error, which reading the file must decide about."""
    return any(_DISK in line for line in finished.stderr_lines)


def reason_of(error: ToolMissing | OSError) -> Reason:
    """Give the reason of a check's ERROR that an error means."""
    if isinstance(error, ToolMissing):
        return Reason.TOOL_MISSING
    return Reason.PERMISSION if isinstance(error, PermissionError) else Reason.IO_ERROR


def words_of(error: ToolMissing | OSError) -> str:
    """Give what an error says, without its number and the path, which everybody knows who asks."""
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def since(path: bytes, before: Signature) -> tuple[Reason, str] | None:
    """Say what has become of the file that a check was about: whatever was found then is void."""
    try:
        now = Signature.of(os.stat(path))
    except FileNotFoundError:
        return Reason.CHANGED_WHILE_CHECKING, "it is no longer there"
    except OSError as error:
        return reason_of(error), words_of(error)
    return None if now.same_content(before) else (Reason.CHANGED_WHILE_CHECKING, "size, time or inode differ")
