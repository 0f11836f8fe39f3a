"""Facts about files: one file's signature, and a walk over all of a root's films, at hardly more than the stats cost.

Folders are opened by path and read by descriptor (a stat relative to an open folder is a quarter cheaper, and a
folder replaced by a link meanwhile is not followed). Links are never followed: a link to a file is no film, its
target is found where it lies. The walk ends whatever the tree looks like: a folder that is one of its own ancestors
(a bind mount that loops) is not entered, nor is one deeper than `max_depth`.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING

from watcher.rules.names import attempt_of, folder_excluded, is_film, is_film_name, skip_folder
from watcher.rules.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from watcher.rules.names import NameRules

RawSignature = tuple[int, int, int, int, int]
"""The fields of a `Signature` in its order. A plain tuple: a re-scan makes one for every film and throws it away."""

MAX_DEPTH = 64
"""Folders within folders; deeper trees are mistakes."""


@dataclass(slots=True)
class FolderListing:
    """The films of one folder. Handed over when complete, and not kept by the walk."""

    folder: bytes
    """Relative to the root; b"" is the root."""
    files: list[tuple[bytes, RawSignature]] = field(default_factory=list)
    """Regular files whose names stand for films."""
    folders: list[bytes] = field(default_factory=list)
    """Names of the folders in it that are entered: junk and excluded ones are left out."""
    temporary: list[bytes] = field(default_factory=list)
    """Names of files that attempts make their results in, running ones or long dead ones."""
    error: OSError | None = None
    """Why the folder could not be read to its end; then nothing may be concluded about what is not listed."""


def walk(
    root: bytes,
    rules: NameRules,
    *,
    below: bytes = b"",
    max_depth: int = MAX_DEPTH,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[FolderListing]:
    """List a root, or what lies below one of its folders, a folder at a time, each before the folders in it.

    A sub-folder that cannot be read is given with its error; one that has vanished is not given at all. Raises OSError
    when the root itself cannot be opened. `should_stop` is asked before each folder; then the walk just ends.
    """
    top = root.rstrip(b"/") or b"/"
    os.close(os.open(top, _OPEN_ROOT))
    waiting: list[_Waiting] = [(below, below.count(b"/") + 1 if below else 0, None)]
    while waiting and not should_stop():
        folder, depth, ancestors = waiting.pop()
        listing = FolderListing(folder)
        here: _Ancestors = None
        try:
            descriptor = os.open(b"%s/%s" % (top, folder), _OPEN_FOLDER if folder else _OPEN_ROOT)
            try:
                here = _enter(descriptor, folder, ancestors, depth <= max_depth)
                _read(descriptor, listing, rules)
            finally:
                os.close(descriptor)
        except OSError as error:
            if error.errno in _VANISHED and folder:
                continue
            listing.error = error
        yield listing
        prefix = folder + b"/" if folder else b""
        waiting.extend((prefix + name, depth + 1, here) for name in reversed(listing.folders))


def observe(path: bytes) -> Signature | None:
    """Give a file's signature now; None when it is gone or not a regular file. Raises OSError for any other trouble."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Signature.of(found) if stat.S_ISREG(found.st_mode) else None


_Ancestors = tuple[int, int, "_Ancestors"] | None
"""Device and inode of a folder, and the same of those above it."""
_Waiting = tuple[bytes, int, _Ancestors]

_OPEN_ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_OPEN_FOLDER = _OPEN_ROOT | os.O_NOFOLLOW
_VANISHED = (errno.ENOENT, errno.ENOTDIR)
_RAW = attrgetter("st_dev", "st_ino", "st_size", "st_mtime_ns", "st_blocks")
_ENCODING, _ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()


def _enter(descriptor: int, folder: bytes, ancestors: _Ancestors, may_enter: bool) -> _Ancestors:
    """Give the folder's own link of the chain. Raises OSError where the walk must end."""
    if not may_enter:
        raise OSError(errno.ELOOP, "too many folders deep", folder)
    found = os.fstat(descriptor)
    device, inode = found.st_dev, found.st_ino
    above = ancestors
    while above is not None:
        if above[1] == inode and above[0] == device:
            raise OSError(errno.ELOOP, "this folder is one of those it lies in", folder)
        above = above[2]
    return device, inode, ancestors


def _read(descriptor: int, listing: FolderListing, rules: NameRules) -> None:
    """Fill a listing. The inner loop of every scan: it is written for speed, and measured in tests/bench."""
    folder, extensions = listing.folder, rules.extensions
    prefix = folder + b"/" if folder else b""
    patterns = rules.included is not None or rules.excluded is not None
    add = listing.files.append
    regular, mask = stat.S_IFREG, 0o170000
    with os.scandir(descriptor) as entries:
        for entry in entries:
            name = entry.name.encode(_ENCODING, _ERRORS)  # os.fsencode, without its price
            if entry.is_dir(follow_symlinks=False):
                if not skip_folder(name) and not (patterns and folder_excluded(prefix + name, rules)):
                    listing.folders.append(name)
            elif is_film_name(name, extensions) and (not patterns or is_film(prefix + name, rules)):
                try:
                    found = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if found.st_mode & mask == regular:
                    add((name, _RAW(found)))
            elif name[:1] == b"." and attempt_of(name) is not None:
                listing.temporary.append(name)
