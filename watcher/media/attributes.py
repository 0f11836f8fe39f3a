"""What a file has besides its content: owner, group, mode, ACLs, extended attributes, times. A result takes them over.

Only root may give a file away, and not every file system holds every attribute: what could not be kept is said.
"""

from __future__ import annotations

import array
import errno
import fcntl
import os
import stat as modes
from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_CANNOT_KEEP: Final = frozenset({errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EINVAL, errno.ENODATA})
_GET_FLAGS: Final = 0x80086601
"""FS_IOC_GETFLAGS of <linux/fs.h>, as every 64-bit Linux but PowerPC and MIPS numbers it."""
_KEPT: Final = ("user.", "system.", "security.NTACL")
"""Namespaces of extended attributes: people's own, the ACLs of every file system, and Samba's. Labels of security modules
are given by the folder, and `trusted.` belongs to the file system."""
_IMMUTABLE: Final = 0x10
_APPEND_ONLY: Final = 0x20


def copy(source: bytes, to: bytes, *, keep_mtime: bool = True) -> list[str]:
    """Give a file the other's mode, owner, group, extended attributes (ACLs among them) and, if wanted, its times.

    Gives what could not be kept, each as `what: why`. Set-id bits are never passed on: a sandbox forbids them, and no
    film needs them. Raises OSError where the disk refuses altogether.
    """
    lost: list[str] = []
    found = os.lstat(source)
    _try(lost, "owner", lambda: os.chown(to, found.st_uid, -1))
    _try(lost, "group", lambda: os.chown(to, -1, found.st_gid))
    os.chmod(to, modes.S_IMODE(found.st_mode) & 0o777)
    for name in _extended(source):
        _try(lost, f"attribute {name}", partial(_copy_one, source, to, name))
    if keep_mtime:
        os.utime(to, ns=(found.st_atime_ns, found.st_mtime_ns))
    else:
        os.utime(to)
    return lost


def is_immutable(path: bytes) -> bool:
    """Tell whether a file, or a folder's list of names, is locked by `chattr +i` or `+a`: no rename can replace it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False  # what cannot be read is refused elsewhere, with its own reason
    try:
        flags = array.array("i", [0, 0])  # the kernel writes an int, whatever the size in the request's number
        fcntl.ioctl(descriptor, _GET_FLAGS, flags)
        return bool(flags[0] & (_IMMUTABLE | _APPEND_ONLY))
    except OSError:
        return False  # a file system without such flags
    finally:
        os.close(descriptor)


def _extended(path: bytes) -> list[str]:
    try:
        return [name for name in os.listxattr(path) if name.startswith(_KEPT)]
    except OSError:
        return []


def _copy_one(source: bytes, to: bytes, name: str) -> None:
    value = os.getxattr(source, name)
    try:
        if os.getxattr(to, name) == value:
            return  # inherited from the folder, where perhaps nobody may set it
    except OSError:
        pass  # the result does not have it yet
    os.setxattr(to, name, value)


def _try(lost: list[str], what: str, change: Callable[[], None]) -> None:
    try:
        change()
    except OSError as error:
        if error.errno not in _CANNOT_KEEP:
            raise
        lost.append(f"{what}: {error.strerror}")
