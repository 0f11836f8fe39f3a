"""The safe replace: a proved result takes a film's name, and at every instant a whole film stands there.

| step | who | what stands under the film's name | if we die here, the next start |
|---|---|---|---|
| 1 write and prove the result as `.watcher-<attempt>.tmp` beside it | stereo | the old film | deletes the temporary file |
| 2 `prepare`: source unchanged, nobody writes it; attributes copied; result on disk | here | the old film | deletes it |
| 3 the intent, with the result's signature, in the database | service | the old film | `finish`: goes on with 4, or deletes it |
| 4 `swap`: look again, then one rename | here | old film, then new film | the new film is known by its signature |
| 5 the folder on disk | here | the new film | the same |
| 6 the move and the new signature in the database | service | the new film | nothing to do |

Everything is blocking and is run in a thread. Nothing but our own temporary file is ever deleted. A hard link to the
film keeps the old content: the rename gives the name, not the inode, to the new one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat as modes
from functools import partial
from typing import TYPE_CHECKING, Final

from watcher.errors import ConversionFailed, SourceChanged
from watcher.rules.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    WriterOf = Callable[[bytes], str | None]

TRACK_BYTES_PER_FILM_BYTE: Final = 0.1
"""A stereo track of 192 kbit/s is under a tenth of any film with surround sound, which alone has twice that."""
MARGIN_BYTES: Final = 64 << 20
"""Left free for everybody else, and for what the container adds."""

_REASONS: Final = {
    errno.ENOSPC: "no_space",
    errno.EDQUOT: "no_space",
    errno.EROFS: "read_only",
    errno.EACCES: "permission",
    errno.EPERM: "permission",
}
_CANNOT_KEEP: Final = frozenset({errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EINVAL, errno.ENODATA})


def temp_path(source: bytes, attempt_id: str) -> bytes:
    """Name the temporary file of an attempt: beside the film, hidden, short, and never taken for a film."""
    return os.path.join(os.path.dirname(source), b".watcher-%s.tmp" % attempt_id.encode())


def free_space_needed(size_bytes: int) -> int:
    """Give the bytes a conversion of a film of this size needs beside it."""
    return int(size_bytes * (1 + TRACK_BYTES_PER_FILM_BYTE)) + MARGIN_BYTES


def require_space(folder: bytes, needed_bytes: int) -> None:
    """Raise ConversionFailed("no_space") when the file system of a folder has less than this free for us."""
    found = os.statvfs(folder or b"/")
    free = found.f_bavail * found.f_frsize
    if free < needed_bytes:
        raise ConversionFailed(
            "no_space",
            f"{free / 1e6:.0f} MB are free in {os.fsdecode(folder)!r}, {needed_bytes / 1e6:.0f} MB are needed",
        )


def prepare(source: bytes, temp: bytes, expected: Signature, writer_of: WriterOf) -> Signature:
    """Make a proved result ready to take the film's place, and give its signature: the intent to be written down.

    Raises SourceChanged when the film is not `expected` or is written to, ConversionFailed when the disk refuses.
    """
    _require_unchanged(source, expected, writer_of)
    with _in_words("the result cannot be made ready"):
        copy_attributes(source, temp)
        _sync(temp)
        return Signature.of(os.lstat(temp))


def swap(source: bytes, temp: bytes, expected: Signature, writer_of: WriterOf) -> Signature:
    """Let the prepared result take the film's name; gives the signature that stands there then."""
    _require_unchanged(source, expected, writer_of)
    with _in_words("the result cannot take the film's name"):
        os.rename(temp, source)
        sync_folder(source)
        return Signature.of(os.lstat(source))


def place_sidecar(temp: bytes, target: bytes) -> Signature:
    """Give the prepared result a name of its own beside the film, never that of a file that is there."""
    with _in_words("the sidecar cannot be placed"):
        try:
            os.link(temp, target, follow_symlinks=False)
        except FileExistsError:
            raise ConversionFailed("sidecar_exists", f"{os.fsdecode(target)!r} is there already") from None
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.EOPNOTSUPP):
                raise
            _place_without_links(temp, target)
        else:
            os.unlink(temp)
        sync_folder(target)
        return Signature.of(os.lstat(target))


def _place_without_links(temp: bytes, target: bytes) -> None:
    """Do the same where there are no hard links (FAT, some network shares): claim the name, then rename over it."""
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        raise ConversionFailed("sidecar_exists", f"{os.fsdecode(target)!r} is there already") from None
    os.rename(temp, target)


def place(temp: bytes, target: bytes, replaces: Signature | None, writer_of: WriterOf) -> Signature:
    """Give the prepared result its name: that of the very file `replaces`, or one under which nothing stands."""
    return place_sidecar(temp, target) if replaces is None else swap(target, temp, replaces, writer_of)


def finish(
    source: bytes,
    target: bytes,
    temp: bytes,
    signatures: tuple[Signature, Signature | None, Signature],
    writer_of: WriterOf,
) -> Signature | None:
    """Go on with a swap whose intent was written before a stop, if all still stands; else None, and nothing is changed.

    `signatures` are those of the film, of what the result replaces, and of the result.
    """
    film, replaces, result = signatures
    try:
        there = Signature.of(os.lstat(temp))
        if not there.same_file(result):
            return None
        _require_unchanged(source, film, writer_of)
        return place(temp, target, replaces, writer_of)
    except (OSError, ConversionFailed):
        return None


def copy_attributes(source: bytes, temp: bytes) -> list[str]:
    """Give the result the film's mode, owner, group, extended attributes (ACLs among them) and times.

    Gives what could not be kept, in words. Only root may give a file away, and set-id bits are never passed on: a
    sandbox forbids them, and no film needs them.
    """
    lost: list[str] = []
    found = os.lstat(source)
    _try(lost, "owner", lambda: os.chown(temp, found.st_uid, -1))
    _try(lost, "group", lambda: os.chown(temp, -1, found.st_gid))
    os.chmod(temp, modes.S_IMODE(found.st_mode) & 0o777)
    for name in _extended_attributes(source):
        _try(lost, f"attribute {name}", partial(_copy_attribute, source, temp, name))
    os.utime(temp, ns=(found.st_atime_ns, found.st_mtime_ns))
    return lost


def sync_folder(path: bytes) -> None:
    """Bring the folder of a path to disk, so that a rename in it outlives a power cut."""
    _sync(os.path.dirname(path) or b"/")


def _extended_attributes(path: bytes) -> list[str]:
    try:
        return [name for name in os.listxattr(path) if name.startswith(("user.", "system.posix_acl", "security.NTACL"))]
    except OSError:
        return []


def _copy_attribute(source: bytes, temp: bytes, name: str) -> None:
    os.setxattr(temp, name, os.getxattr(source, name))


def _try(lost: list[str], what: str, change: Callable[[], None]) -> None:
    try:
        change()
    except OSError as error:
        if error.errno not in _CANNOT_KEEP:
            raise
        lost.append(f"{what}: {error.strerror}")


def _sync(path: bytes) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot sync a folder
            raise
    finally:
        os.close(descriptor)


def _require_unchanged(source: bytes, expected: Signature, writer_of: WriterOf) -> None:
    try:
        there = Signature.of(os.lstat(source))
    except OSError as error:
        raise SourceChanged("source_changed", f"the film is not there any more: {error.strerror}") from None
    if not there.same_content(expected):
        raise SourceChanged("source_changed", "the film changed while its track was made")
    if writer := writer_of(source):
        raise SourceChanged("source_changed", writer)


@contextlib.contextmanager
def _in_words(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConversionFailed(_REASONS.get(error.errno or 0, "io_error"), f"{what}: {error.strerror}") from error
