"""Names on disk: what stands under one, taking a free one, a second one for the same content, and all of it durable."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from typing import Final

from watcher.errors import ConversionFailed
from watcher.rules.signature import Signature

_NO_LINKS: Final = (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.EOPNOTSUPP)
_NO_FLAGS: Final = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)
_AT_FDCWD: Final = -100
_RENAME_NOREPLACE: Final = 1
"""Both of <linux/fcntl.h> and <linux/fs.h>; renameat2 is in glibc since 2.28 and in musl since 1.2."""
_libc: Final = ctypes.CDLL(None, use_errno=True)


def observe(path: bytes) -> Signature | None:
    """Give the signature of what stands under a name; None when nothing does. Raises OSError when that cannot be known."""
    try:
        return Signature.of(os.lstat(path))
    except (FileNotFoundError, NotADirectoryError):
        return None


def stands(path: bytes, expected: Signature) -> bool:
    """Tell whether this very file stands under a name."""
    there = observe(path)
    return there is not None and there.same_file(expected)


def same_inode(one: bytes, other: bytes) -> bool:
    """Tell whether two names are links to one file."""
    there = observe(one)
    return there is not None and stands(other, there)


def unlink_if_there(path: bytes, folder: int | None = None) -> None:
    """Remove a file if it is there; `folder` is the open folder that a relative path begins in."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path, dir_fd=folder)


def sync_folder(path: bytes) -> None:
    """Bring the folder of a path to disk, so that a rename in it outlives a power cut."""
    sync(os.path.dirname(path) or b"/")


def take_free_name(path: bytes, name: bytes) -> None:
    """Give a file a name under which nothing stands. What is there, whatever it is, stays: ConversionFailed("target_exists")."""
    try:
        try:
            _rename_without_replacing(path, name)
        except OSError as error:
            if error.errno not in _NO_FLAGS:
                raise
            os.link(path, name, follow_symlinks=False)  # NFS: for an instant the file has both names
            os.unlink(path)
    except FileExistsError:
        raise ConversionFailed("target_exists", f"{os.fsdecode(name)!r} is there already") from None


def _rename_without_replacing(path: bytes, name: bytes) -> None:
    if _libc.renameat2(_AT_FDCWD, path, _AT_FDCWD, name, _RENAME_NOREPLACE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)


def give_second_name(path: bytes, name: bytes) -> None:
    """Give a file another name beside its own. Raises ConversionFailed("no_links") where that is not possible."""
    try:
        os.link(path, name, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        raise ConversionFailed("no_links", "the original cannot be kept: the file system has no hard links") from None


def sync(path: bytes) -> None:
    """Bring a file, or a folder's list of names, to disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot sync a folder
            raise
    finally:
        os.close(descriptor)
