"""One root's hints from the kernel: a thread that reads inotify and does nothing but append.

watchdog is the frame (its observer starts, stops and joins this thread); its own emitter costs ten times as much a
file, stalls for half a second on a file moved out, replays nothing after an overflow and keeps silent about folders
it could not watch. What must hold here:

- A folder is watched first and listed then, so nothing that was in it before, or comes meanwhile, is missed.
- The kernel's answer is the truth: whatever descriptor it gives for a path, the folder with it is at that path now.
- A folder that moves keeps its watches, and one that moves out of the root loses them.
- After an overflow all folders are gone through again, and then the root is to be scanned.
- What cannot be watched is said in a sentence; no exception leaves the thread, and it does not end in silence.
"""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING

from watchdog.observers.api import EventEmitter

from watcher.rules.debounce import HintKind
from watcher.rules.names import is_unfinished, readable, skip_folder
from watcher.watch import inotify
from watcher.watch.folders import Folder, FolderTable
from watcher.watch.inbox import Hint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from watchdog.observers.api import EventQueue, ObservedWatch

    from watcher.watch.inbox import Inbox

_PAIR_WITHIN_SEC = 0.05
"""MOVED_TO follows its MOVED_FROM within microseconds; a folder without one by then has left the root."""

_BATCH_SEC = 0.01
"""A pause after each read, so that a storm is read by the hundred and not one by one: a third of the CPU. A film waits
seconds anyway, and the kernel keeps 16,384 events, ten times what the fastest storm brings in this time."""

_FOLDER_MASK = (
    inotify.CLOSE_WRITE | inotify.CREATE | inotify.MOVED_FROM | inotify.MOVED_TO | inotify.DELETE
    | inotify.ONLYDIR | inotify.DONT_FOLLOW | inotify.EXCL_UNLINK
)  # fmt: skip
_ROOT_MASK = (_FOLDER_MASK & ~inotify.DONT_FOLLOW) | inotify.DELETE_SELF | inotify.MOVE_SELF
_RARE = (
    inotify.ISDIR | inotify.DELETE_SELF | inotify.MOVE_SELF | inotify.UNMOUNT | inotify.Q_OVERFLOW | inotify.IGNORED
)  # fmt: skip
_CREATED, _CLOSED, _MOVED_IN, _DELETED = HintKind.CREATED, HintKind.CLOSED, HintKind.MOVED_IN, HintKind.DELETED
_FINISHED = HintKind.MOVED_IN | HintKind.FINISHED
_GONE_FOLDER = HintKind.DELETED | HintKind.FOLDER
_VANISHED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class Emitter(EventEmitter):
    """Watches one root, given by `sources[path]`, and puts hints into the inbox. Owns its inotify and folder table."""

    def __init__(
        self,
        event_queue: EventQueue,
        watch: ObservedWatch,
        *,
        sources: dict[str, tuple[int, Callable[[bytes], bool]]],
        inbox: Inbox,
        timeout: float = 1,
        event_filter: None = None,
    ) -> None:
        super().__init__(event_queue, watch, timeout=timeout, event_filter=event_filter)
        self._root = os.fsencode(watch.raw_path)
        self._root_id, self._interesting = sources[watch.raw_path]
        self._inbox = inbox
        self._hints: list[Hint] = []
        self._moving: dict[int, tuple[Folder, float]] = {}
        """Folders that left their name, by cookie, and when: until MOVED_TO says where they are."""
        self._unfinished = 0
        """The cookie of the last file that left the name of an unfinished download."""
        self._table = FolderTable(-1)
        self._unwatched = 0
        self._unmount_said = False
        self._refresh_wanted = False
        self.wrong: str | None = None
        """Why this thread gives no more hints; None while it does."""

    def on_thread_start(self) -> None:
        """Watch the root and all below it, in the caller's thread. Raises OSError when the root cannot be watched."""
        self._kernel = inotify.Inotify()
        try:
            self._go_through()
            self._stood = _identity(self._root)
        except BaseException:
            self._kernel.close()
            raise
        self._hand_over()

    def on_thread_stop(self) -> None:
        """End the wait for events."""
        self._kernel.wake()

    def replaced(self) -> bool:
        """Tell whether another folder stands at the root's path now: over-mounting and lazy unmounting give no event."""
        try:
            return _identity(self._root) != self._stood
        except OSError:
            return True

    def refresh(self) -> None:
        """Have all folders gone through again: for what could not be watched before, or was mounted since."""
        self._refresh_wanted = True
        self._kernel.wake()

    def run(self) -> None:
        """Read until stopped, or until the root itself is lost."""
        try:
            while self.should_keep_running() and self.wrong is None:
                self._turn()
                self.stopped_event.wait(_BATCH_SEC)
        except OSError as error:
            self._lose(why_unwatched(readable(self._root), error))
        except Exception as error:  # noqa: BLE001 - a thread that died in silence would lose every later file
            self._lose(f"watching {readable(self._root)} failed: {error!r}")
        finally:
            self._kernel.close()
            self._hand_over()

    def _turn(self) -> None:
        if self._refresh_wanted:
            self._refresh_wanted = False
            self._go_through()
        interesting, hints, root_id = self._interesting, self._hints, self._root_id
        folders = self._table.by_descriptor
        for descriptor, mask, cookie, name in self._kernel.read(_PAIR_WITHIN_SEC if self._moving else None):
            if mask & _RARE:
                self._rare(descriptor, mask, cookie, name)
                folders = self._table.by_descriptor
            elif interesting(name) and (folder := folders.get(descriptor)) is not None:
                if mask & inotify.CREATE:
                    kind = _CREATED
                elif mask & inotify.CLOSE_WRITE:
                    kind = _CLOSED
                elif mask & inotify.MOVED_TO:
                    kind = _FINISHED if cookie == self._unfinished else _MOVED_IN
                else:
                    kind = _DELETED
                hints.append(Hint(root_id, folder.prefix + name, kind))
            elif mask & inotify.MOVED_FROM and is_unfinished(name):
                self._unfinished = cookie
        if self._moving:
            self._let_go()
        self._unmount_said = False
        self._hand_over()

    def _hand_over(self) -> None:
        if self._hints:
            self._inbox.put(self._root_id, self._hints)
            self._hints = []

    def _rare(self, descriptor: int, mask: int, cookie: int, name: bytes) -> None:
        """Take an event of a folder, or about the watching itself."""
        folder = self._table.by_descriptor.get(descriptor)
        if mask & inotify.Q_OVERFLOW:
            self._go_through()
            self._hints.append(Hint(self._root_id, b"", HintKind.OVERFLOW))
        elif folder is None or mask & inotify.IGNORED:
            if folder is not None:
                self._forget(folder)
        elif mask & inotify.UNMOUNT:
            if not self._unmount_said:  # every folder of a disk tells of its end
                self._unmount_said = True
                self._say(folder.prefix[:-1], f"a disk was unmounted at or above {self._words(folder.prefix)}")
        elif mask & (inotify.DELETE_SELF | inotify.MOVE_SELF):
            self._lose(f"{readable(self._root)} was {'deleted' if mask & inotify.DELETE_SELF else 'renamed or moved'}")
        else:
            self._folder_event(folder, mask, cookie, name)

    def _folder_event(self, parent: Folder, mask: int, cookie: int, name: bytes) -> None:
        if skip_folder(name):
            return
        if mask & (inotify.DELETE | inotify.MOVED_FROM):
            self._hints.append(Hint(self._root_id, parent.prefix + name, _GONE_FOLDER))
            moving = parent.child(name)
            if mask & inotify.MOVED_FROM and moving is not None:
                self._moving[cookie] = (moving, time.monotonic())
            return
        self._moving.pop(cookie, None)  # at its new name, the kernel gives the folder its old descriptor
        self._enter(parent, name, _MOVED_IN if mask & inotify.MOVED_TO else _CREATED)

    def _let_go(self) -> None:
        """Unwatch the folders that left and did not come back under another name."""
        before = time.monotonic() - _PAIR_WITHIN_SEC
        for cookie, (folder, since) in list(self._moving.items()):
            if since <= before:
                del self._moving[cookie]
                if self._table.by_descriptor.get(folder.descriptor) is folder:
                    for descriptor in self._table.drop(folder):
                        self._kernel.unwatch(descriptor)

    def _forget(self, folder: Folder) -> None:
        """Drop a folder whose watch the kernel has ended."""
        self._table.drop(folder)
        if folder is self._table.root:
            self._lose(f"{readable(self._root)} is no longer there: deleted or unmounted")

    def _go_through(self) -> None:
        """Watch the root and every folder below it anew, and end the watches of those that are no longer there."""
        descriptor = self._kernel.watch(self._root, _ROOT_MASK)
        before = set(self._table.by_descriptor)
        self._table = FolderTable(descriptor)
        self._moving.clear()
        self._unwatched = 0
        for name in self._list(self._table.root, None):
            self._enter(self._table.root, name, None)
        for gone in before.difference(self._table.by_descriptor):
            self._kernel.unwatch(gone)

    def _enter(self, parent: Folder, name: bytes, kind: HintKind | None) -> None:
        """Watch a folder and all below it; hint at the files in it, unless `kind` is None because a scan follows."""
        waiting = [(parent, name)]
        while waiting:
            parent, name = waiting.pop()
            try:
                descriptor = self._kernel.watch(b"%s/%s%s" % (self._root, parent.prefix, name), _FOLDER_MASK)
            except OSError as error:
                self._cannot(parent.prefix + name, error, scan=kind is not None)
                continue
            folder = self._table.place(descriptor, parent, name)
            if folder is not None:
                waiting.extend((folder, each) for each in self._list(folder, kind))

    def _list(self, folder: Folder, kind: HintKind | None) -> Iterator[bytes]:
        """Give the names of the folders in a folder; hint at its files."""
        try:
            with os.scandir(b"%s/%s" % (self._root, folder.prefix)) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        if not skip_folder(entry.name):
                            yield entry.name
                    elif kind is not None and self._interesting(entry.name):
                        self._hints.append(Hint(self._root_id, folder.prefix + entry.name, kind))
        except OSError as error:
            self._cannot(folder.prefix[:-1], error, scan=kind is not None)

    def _cannot(self, rel_folder: bytes, error: OSError, *, scan: bool) -> None:
        """Say that a folder cannot be watched or listed; a folder that has just vanished is none to speak of."""
        if error.errno in _VANISHED:
            return
        if scan:
            self._hints.append(Hint(self._root_id, rel_folder, HintKind.FOLDER))
        if error.errno == errno.ENOSPC:
            self._unwatched += 1
            if self._unwatched > 1:  # once is enough: the limit is met by every folder that follows
                return
        self._say(rel_folder, why_unwatched(self._words(rel_folder), error))

    def _words(self, rel_folder: bytes) -> str:
        return readable(b"%s/%s" % (self._root, rel_folder)).rstrip("/")

    def _say(self, rel_folder: bytes, sentence: str) -> None:
        self._hints.append(Hint(self._root_id, rel_folder, HintKind.TROUBLE, sentence))

    def _lose(self, sentence: str) -> None:
        if self.wrong is None:
            self.wrong = sentence
            self._say(b"", sentence)


def _identity(path: bytes) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino


def why_unwatched(folder: str, error: OSError) -> str:
    """Say why the kernel refused, and what helps."""
    match error.errno:
        case errno.ENOSPC:
            return f"{folder} and others are not watched: raise fs.inotify.max_user_watches with sysctl; scans find their files"
        case errno.EMFILE:
            return f"{folder} is not watched: raise fs.inotify.max_user_instances or the limit of open files"
        case errno.EACCES | errno.EPERM:
            return f"{folder} is not watched: no permission to read it"
        case _:
            return f"{folder} is not watched: {error.strerror or error}"
