"""Why a conversion failed, in one word and one sentence: from what FFmpeg said, or from the system's error number."""

from __future__ import annotations

import errno
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from watcher.errors import ConversionFailed
from watcher.media import faults

if TYPE_CHECKING:
    from watcher.media.ffmpeg import Finished

_CANNOT_HOLD: Final = re.compile(
    r"not currently supported in container|Could not find tag for codec|only supported in|are supported for|dimensions not set",
    re.IGNORECASE,
)
_ERRNO: Final = {
    errno.ENOSPC: "no_space",
    errno.EDQUOT: "no_space",
    errno.EROFS: "read_only",
    errno.EACCES: "permission",
    errno.EPERM: "permission",
}


OF_THE_MACHINE: Final = frozenset(
    {*_ERRNO.values(), "io_error", "out_of_memory", "tool_missing", "killed", "timeout", "stalled"}
)
"""Reasons that say nothing about the film: what was made of its track until then can be gone on with."""
SAID: Final = 20
"""So many of FFmpeg's last lines go into the log."""


def of_os_error(error: OSError, what: str) -> ConversionFailed:
    """Give the failure that an error of the system means; `what` says what could not be done."""
    return ConversionFailed(_ERRNO.get(error.errno or 0, "io_error"), f"{what}: {error.strerror}")


def require_success(finished: Finished, what: str) -> None:
    """Raise the ConversionFailed that an unsuccessful run means. `what` says what it was for.

    Trouble of the machine is named by itself (`no_space`, `io_error`, `timeout`, ...): it says nothing about the film.
    """
    lines = tuple(line for line in finished.stderr_lines if "[info]" not in line)
    finished = replace(finished, stderr_lines=lines)
    if fault := faults.of(finished):
        raise ConversionFailed(fault.word, f"{what}: {fault.sentence}", lines[-SAID:])
    if faults.may_be_the_disk(finished):
        raise ConversionFailed("io_error", f"{what}: {lines[-1]}", lines[-SAID:])
    if finished.returncode != 0:
        told = next((line for line in lines if _CANNOT_HOLD.search(line)), None)
        if told:
            raise ConversionFailed("unsupported_streams", f"{what}: {told}", lines[-SAID:])
        first = lines[0] if lines else f"code {finished.returncode}"
        raise ConversionFailed("ffmpeg_failed", f"{what}: {first}", lines[-SAID:])
