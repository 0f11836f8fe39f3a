"""Files that a conversion needs for itself: private while they are made, and gone when they are of no more use."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from watcher.errors import ConversionFailed
from watcher.media import disk, refusals
from watcher.rules import names

if TYPE_CHECKING:
    from collections.abc import Iterator


def make(path: bytes) -> None:
    """Make an empty file anew, readable by nobody else until it has the film's own mode. Raises ConversionFailed."""
    try:
        disk.unlink_if_there(path)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise refusals.of_os_error(error, "no file can be made beside the film") from error


def clear(temp: bytes, folder: int | None = None) -> None:
    """Remove a result that is not wanted, and all files of the attempt that it has its name from.

    `folder` is their open folder, where it may have been moved. Raises OSError when the disk refuses; what is not there
    is no error.
    """
    where, name = os.path.split(temp)
    begin = names.beside(name, b"")
    with contextlib.suppress(FileNotFoundError):
        opened = os.open(where if folder is None else b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
        try:
            ours = [os.fsencode(found) for found in os.listdir(opened)] if begin.startswith(names.OURS) else []
            for found in {name, names.beside(name, b"track"), *(found for found in ours if found.startswith(begin))}:
                disk.unlink_if_there(found, opened)
        finally:
            os.close(opened)


@contextlib.contextmanager
def cleared(temp: bytes, *, keeps: bool) -> Iterator[None]:
    """Leave nothing behind when it fails; with `keeps` only when it fails by the film's own fault, so that another run
    may go on where this one ended.
    """
    try:
        yield
    except BaseException as error:
        by_film = isinstance(error, ConversionFailed) and error.reason not in refusals.OF_THE_MACHINE
        if by_film or not keeps:
            with contextlib.suppress(OSError):
                clear(temp)
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
