"""Files that a conversion needs for itself: private while they are made, and gone when it fails."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from watcher.media import refusals

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def removed_on_failure(temp: bytes) -> Iterator[None]:
    """Claim the name, readable by nobody else until it has the film's own mode; leave nothing behind on failure."""
    try:
        os.close(os.open(temp, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise refusals.of_os_error(error, "no file can be made beside the film") from error
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temp)
        raise


@contextlib.contextmanager
def memory_files(count: int) -> Iterator[list[bytes]]:
    """Give files for a child to write and read, which no kill can leave behind: they live in our memory."""
    descriptors = [os.memfd_create("cover") for _ in range(count)]
    try:
        yield [b"/proc/%d/fd/%d" % (os.getpid(), descriptor) for descriptor in descriptors]
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
