"""Where the state of an operation stands, and how a file is written so that no kill leaves half of it.

    <folder of the input>/.watcher_state/<name of the input>_<type>.state.json
    <a state folder of one's own>/<name of the input>_<type>.<folder's hash>.state.json

The whole name, extension included: `a.mkv` and `a.mp4` are two. Where it is too long for the file system, its
beginning and its hash stand for it. A folder as the input keeps its state inside itself. Beside a state stand, while
somebody works on it, its lock (`.lock`) and for an instant its next version (`.new`).
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from watcher.operations.operation import TranscodeOperation

FOLDER: Final = b".watcher_state"
OLDER_FOLDER: Final = b".lazy_transcode_state"
SUFFIX: Final = b".state.json"
LOCK: Final = b".lock"
NEW: Final = b".new"
NAME_BYTES: Final = 255 - max(len(LOCK), len(NEW))
"""The longest name of a state file: 255 is the limit of nearly every file system."""


def state_path(operation: TranscodeOperation, state_dir: bytes | None = None) -> bytes:
    """Give where the operation's state stands when no other job has that name."""
    return os.path.join(_folder(operation, state_dir), _name(operation, _folder_tag(operation, state_dir)))


def path_apart(operation: TranscodeOperation, state_dir: bytes | None = None) -> bytes:
    """Give where it stands when the state of another job on the same file (another preset, say) has that name."""
    tag = _folder_tag(operation, state_dir) + b"." + operation.operation_id[-8:].encode()
    return os.path.join(_folder(operation, state_dir), _name(operation, tag))


def older_path(operation: TranscodeOperation) -> bytes:
    """Give where the older shape would stand: without the extension, so that two films may share it."""
    folder, name = os.path.split(operation.input_path)
    stem, _ = os.path.splitext(name)
    return os.path.join(folder, OLDER_FOLDER, stem + b"_" + os.fsencode(operation.operation_type) + SUFFIX)


def _folder(operation: TranscodeOperation, state_dir: bytes | None) -> bytes:
    if state_dir is not None:
        return os.path.abspath(state_dir)
    path = operation.input_path
    return os.path.join(path if os.path.isdir(path) else os.path.dirname(path), FOLDER)


def _folder_tag(operation: TranscodeOperation, state_dir: bytes | None) -> bytes:
    """Tell films of one name in two folders apart, where all states stand in one."""
    return b"" if state_dir is None else b"." + _hash(os.path.dirname(operation.input_path), 8)


def _name(operation: TranscodeOperation, tag: bytes) -> bytes:
    name = os.path.basename(operation.input_path) or b"root"
    end = b"_" + os.fsencode(operation.operation_type) + tag + SUFFIX
    if len(name) + len(end) > NAME_BYTES:
        mark = b"~" + _hash(name, 16)
        kept = NAME_BYTES - len(end) - len(mark)
        while kept and name[kept] & 0xC0 == 0x80:  # some file systems refuse half a character
            kept -= 1
        name = name[:kept] + mark
    return name + end


def _hash(data: bytes, digits: int) -> bytes:
    return hashlib.sha256(data).hexdigest()[:digits].encode()


def make_folder(path: bytes) -> None:
    """Make the folder of a state file if it is missing, but none above it: an unmounted disk must not be filled in."""
    with suppress(FileExistsError):
        os.mkdir(os.path.dirname(path))


def read(path: bytes, at_most: int) -> bytes:
    """Give the first bytes of a regular file. Raises OSError, EINVAL for what is none; a pipe holds nobody up."""
    with open(path, "rb", opener=_open_to_read) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        return file.read(at_most)


def _open_to_read(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def write(path: bytes, content: bytes) -> None:
    """Put a whole new file in the place of the old one: after a kill or a power cut one of them is there, whole."""
    new = path + NEW
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(new, flags, 0o666)
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(new, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(new)
        raise
    sync_folder(path)


def remove(path: bytes) -> None:
    """Remove a file if it is there, for good."""
    with suppress(FileNotFoundError):
        os.unlink(path)
        sync_folder(path)


def sync_folder(path: bytes) -> None:
    """Let the folder's entry for `path` outlive a power cut."""
    descriptor = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot sync a folder
            raise
    finally:
        os.close(descriptor)


def remove_folder_if_empty(path: bytes) -> None:
    """Remove the folder of a state file when it is one of ours and holds nothing any more."""
    folder = os.path.dirname(path)
    if os.path.basename(folder) in (FOLDER, OLDER_FOLDER):
        with suppress(OSError):  # it still holds something, or somebody was faster
            os.rmdir(folder)
