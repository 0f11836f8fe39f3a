"""Why a conversion failed, in one word and one sentence: from what FFmpeg said, or from the system's error number."""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING, Final

from watcher.errors import ConversionFailed

if TYPE_CHECKING:
    from watcher.media.ffmpeg import Finished

_OF_THE_MACHINE: Final = (
    ("No space left on device", "no_space"),
    ("Disk quota exceeded", "no_space"),
    ("Read-only file system", "read_only"),
    ("Permission denied", "permission"),
    ("Input/output error", "io_error"),
    ("Stale file handle", "io_error"),
    ("Cannot allocate memory", "out_of_memory"),
)
_CANNOT_HOLD: Final = re.compile(
    r"not currently supported in container|Could not find tag for codec|only supported in|are supported for",
    re.IGNORECASE,
)
_ERRNO: Final = {
    errno.ENOSPC: "no_space",
    errno.EDQUOT: "no_space",
    errno.EROFS: "read_only",
    errno.EACCES: "permission",
    errno.EPERM: "permission",
}


def of_os_error(error: OSError, what: str) -> ConversionFailed:
    """Give the failure that an error of the system means; `what` says what could not be done."""
    return ConversionFailed(_ERRNO.get(error.errno or 0, "io_error"), f"{what}: {error.strerror}")


def require_success(finished: Finished, what: str) -> None:
    """Raise the ConversionFailed that an unsuccessful run means. `what` says what it was for.

    Trouble of the machine is named by itself (`no_space`, `io_error`, `timeout`, ...): it says nothing about the film.
    """
    lines = [line for line in finished.stderr_lines if "[info]" not in line]
    for line in lines:
        for words, reason in _OF_THE_MACHINE:
            # FFmpeg 5.1 ends with 0 on a full disk: the words count, whatever the exit code.
            if words in line:
                raise ConversionFailed(reason, f"{what}: {line}")
    if finished.ended != "exit":
        raise ConversionFailed(finished.ended, f"{what}: ffmpeg was ended ({finished.ended})")
    if finished.returncode != 0:
        told = next((line for line in lines if _CANNOT_HOLD.search(line)), None)
        if told:
            raise ConversionFailed("unsupported_streams", f"{what}: {told}")
        raise ConversionFailed("ffmpeg_failed", f"{what}: {lines[0] if lines else f'code {finished.returncode}'}")
