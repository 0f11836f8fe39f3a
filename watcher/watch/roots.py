"""A watched root: how it is watched, what it is recognised by, and whether it is itself.

A root is itself when device, inode, mount and file system type are those it had. Numbers alone prove too little and
too much: a bind mount has its parent's device, a file system mounted afresh can have the same device and inode, and
all of them may change with a reboot, and the mount with every start of a service in a sandbox. So where they differ, or
something else stood there since, the films decide: most of a sample still standing means the same root under new numbers.
An empty root that held more than a few files is never believed, for that is how an unmounted disk looks. Of a root that
is not itself nothing may be concluded.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from watcher.errors import RootError
from watcher.rules.names import readable
from watcher.watch import mounts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FEW = 10
"""A root known to hold fewer files than this may be empty one day, when all its numbers are as they were."""
MOST = 0.5
"""The share of the sampled films that must stand for a root to be recognised by them."""


class WatchMode(StrEnum):
    """How a root is watched."""

    AUTO = "auto"
    """EVENTS where the file system reports every change, else POLL. A wish, never an answer."""
    EVENTS = "events"
    """By the kernel's events, and a scan now and then."""
    POLL = "poll"
    """By scans alone."""


class Condition(StrEnum):
    """What stands at a root's path."""

    OK = "ok"
    MISSING = "missing"
    NOT_A_FOLDER = "not_a_folder"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class RootIdentity:
    """What a root is recognised by."""

    device: int
    inode: int
    mount_id: int | None
    """None: as an earlier run knew it. Its mounts had other numbers, as has every start of a service in a sandbox."""
    fs_type: str

    def agrees_with(self, other: RootIdentity) -> bool:
        """Tell whether both may be the same root, by all the numbers that can be compared."""
        known = None not in (self.mount_id, other.mount_id)
        return self == (other if known else replace(other, mount_id=self.mount_id))


@dataclass(frozen=True, slots=True)
class RootState:
    """One look at a root."""

    condition: Condition
    sentence: str
    """What is wrong, for a person; empty when OK."""
    identity: RootIdentity | None = None
    """Known when OK."""
    empty: bool = False
    """There is nothing at all in it."""


@dataclass(frozen=True, slots=True)
class Health:
    """Whether a root is itself."""

    suspended_because: str
    """Why nothing may be concluded about its files; empty when it is itself."""
    identity: RootIdentity | None
    """What to recognise it by from now on; as it was when suspended."""

    @property
    def ok(self) -> bool:
        """Tell whether the root is itself."""
        return not self.suspended_because


def look(path: bytes) -> RootState:
    """Look at a root once: a stat, its mount, and the first name in it. Takes 0.3 ms; a dead network mount may hang."""
    name = readable(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        match error.errno:
            case errno.ENOENT:
                return RootState(Condition.MISSING, f"{name} is not there")
            case errno.ENOTDIR:
                return RootState(Condition.NOT_A_FOLDER, f"{name} is not a folder")
            case _:
                return RootState(Condition.UNREADABLE, f"{name} cannot be read: {error.strerror}")
    try:
        found = os.fstat(descriptor)
        mount = mounts.mount_id(descriptor)
        identity = RootIdentity(found.st_dev, found.st_ino, mount, mounts.fs_type_at(path, mount))
        with os.scandir(descriptor) as entries:
            empty = next(entries, None) is None
        # Without permission to search, names can be listed but nothing behind them be looked at: all would seem gone.
        os.stat(b"%s/." % path)
    except OSError as error:
        return RootState(Condition.UNREADABLE, f"{name} cannot be read: {error.strerror}")
    finally:
        os.close(descriptor)
    return RootState(Condition.OK, "", identity, empty)


def health(
    stored: RootIdentity | None,
    state: RootState,
    known_sample: Callable[[], tuple[int, int]],
    *,
    had_entries: bool,
    displaced: bool = False,
) -> Health:
    """Judge a root by how it was and how it is.

    `known_sample` gives how many of some films that should be there are, and how many were asked for; it is called
    only where the numbers of the root have changed, or may be another's. `had_entries`: films of it are known.
    """
    if state.identity is None:
        return Health(state.sentence, stored)
    if state.empty and had_entries:
        return Health("it is empty, and was not: is the disk mounted?", stored)
    if stored is None or (stored == state.identity and not displaced):
        return Health("", state.identity)
    present, asked = known_sample()
    few_gone = asked < FEW and stored.agrees_with(state.identity) and not displaced
    if present >= asked * MOST or few_gone:
        return Health("", state.identity)
    before, now = stored.fs_type, state.identity.fs_type
    what = f"{now} is mounted where {before} was" if before != now else "another folder or disk stands in its place"
    return Health(f"{what}: {present} of {asked} known files are there", stored)


def judge(
    path: bytes,
    stored: RootIdentity | None,
    sample: Sequence[bytes],
    *,
    vouched: bool = False,
    displaced: bool = False,
) -> Health:
    """Look at a root and judge it. `sample` names some files that should be in it, absolute or relative to it.

    `vouched`: a person says that whatever folder is there now is the right one. `displaced`: something else stood there
    since it was itself, or nothing: the next disk in the same place may have all its numbers.
    """
    state = look(path)
    if vouched and state.identity is not None:
        return Health("", state.identity)

    def count() -> tuple[int, int]:
        return sum(os.path.lexists(os.path.join(path, each)) for each in sample), len(sample)

    # A drop folder from which the last few films were taken is empty every evening.
    other = stored is None or state.identity is None or not stored.agrees_with(state.identity)
    had_entries = bool(sample) and (len(sample) >= FEW or displaced or other)
    return health(stored, state, count, had_entries=had_entries, displaced=displaced)


def file_system_type(path: bytes) -> str:
    """Give the type of the file system at a path, as mountinfo names it ("ext4", "nfs4", "fuse.mergerfs"); "" when unknown."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return mounts.fs_type_at(path)
    try:
        return mounts.fs_type_at(path, mounts.mount_id(descriptor))
    finally:
        os.close(descriptor)


def choose_mode(wanted: str, fs_type: str) -> WatchMode:
    """Choose how to watch: as wanted, and for "auto" by the file system.

    Network and FUSE file systems are polled, for what other machines (or the branches behind mergerfs) change gives no
    event here; and so are those that are not known to be local: looking costs time, not looking costs films.
    """
    mode = WatchMode(wanted)
    if mode is not WatchMode.AUTO:
        return mode
    return WatchMode.EVENTS if mounts.sees_events(fs_type) else WatchMode.POLL


def refuse_nested(paths: Sequence[bytes]) -> None:
    """Raise RootError when two roots are the same folder, by whatever path, or one lies inside another."""
    above = [_folders_above(path) for path in paths]
    for at, path in enumerate(paths):
        for other_at, other in enumerate(paths[:at]):
            one, two = above[at], above[other_at]
            if one[0] == two[0]:
                raise RootError(f"{readable(path)} and {readable(other)} are the same folder: watch it once")
            if one[0] in two or two[0] in one:
                inner, outer = (path, other) if two[0] in one else (other, path)
                raise RootError(f"{readable(inner)} lies inside {readable(outer)}: watch the outer one alone")


def _folders_above(path: bytes) -> list[tuple[int, int] | bytes]:
    """Identify a folder and those above it: by device and inode, which see through bind mounts, or else by name."""
    here = os.path.realpath(path)
    found: list[tuple[int, int] | bytes] = []
    while True:
        try:
            stat = os.stat(here)
            found.append((stat.st_dev, stat.st_ino))
        except OSError:
            found.append(here)
        parent = os.path.dirname(here)
        if parent == here:
            return found
        here = parent
