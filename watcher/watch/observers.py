"""Hints from the kernel for the roots that are watched by events; a polled root is simply scanned, and not known here.

Hints may come late, twice or never: a scan after `add` and now and then is what makes sure. Nothing here concludes
anything about a file.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from watchdog.events import FileSystemEventHandler
from watchdog.observers.api import BaseObserver, ObservedWatch

from watcher.rules.debounce import HintKind
from watcher.rules.names import readable
from watcher.watch.emitter import Emitter, why_unwatched
from watcher.watch.inbox import Hint, Inbox

if TYPE_CHECKING:
    from collections.abc import Callable


class Observers:
    """The watching threads, one a root. All methods may be called from any thread; `wake` is called from theirs."""

    def __init__(self, wake: Callable[[], None]) -> None:
        """Take what to call when there are hints to drain: cheap, and safe to call from a foreign thread."""
        self._inbox = Inbox(wake)
        self._sources: dict[str, tuple[int, Callable[[bytes], bool]]] = {}
        self._watches: dict[int, ObservedWatch | str] = {}
        """By root: the watch, or why there is none."""
        self._lock = threading.Lock()
        self._observer = BaseObserver(Emitter, sources=self._sources, inbox=self._inbox)
        self._handler = FileSystemEventHandler()
        self._stopped = False

    def add(self, root_id: int, path: bytes, interesting: Callable[[bytes], bool]) -> None:
        """Watch a root and every folder below it, junk left out; when this returns the watches stand, and a scan may begin.

        `interesting` is asked for every bare file name, in the watching thread, and must be cheap. Folders are always
        of interest. Takes 20 us a folder. Raises nothing for a root that cannot be watched: `alive` says why, and a
        hint of TROUBLE tells. A root or a path that is there already is watched anew.
        """
        text = os.fsdecode(path)
        for known, watch in list(self._watches.items()):
            if known == root_id or (isinstance(watch, ObservedWatch) and watch.raw_path == text):
                self.remove(known)
        with self._lock:
            if self._stopped:
                return
            if not self._observer.is_alive():
                self._observer.start()
            self._sources[text] = (root_id, interesting)
            try:
                self._watches[root_id] = self._observer.schedule(self._handler, text, recursive=True)
            except OSError as error:
                sentence = self._watches[root_id] = why_unwatched(readable(path), error)
                self._inbox.put(root_id, [Hint(root_id, b"", HintKind.TROUBLE, sentence)])
            finally:
                del self._sources[text]

    def remove(self, root_id: int) -> None:
        """Stop watching a root; one that is not watched is none to stop. Hints given before may still be drained."""
        with self._lock:
            watch = self._watches.pop(root_id, None)
            if isinstance(watch, ObservedWatch) and not self._stopped:
                self._observer.unschedule(watch)

    def refresh(self, root_id: int) -> None:
        """Go through a root's folders again, in its own thread: for those that could not be watched, or were mounted, since."""
        if (emitter := self._emitter(root_id)) is not None and emitter.is_alive():
            emitter.refresh()

    def drain(self) -> list[Hint]:
        """Take all hints so far."""
        return self._inbox.drain()

    def alive(self, root_id: int) -> str | None:
        """Say why a root gives no hints, in a sentence; None when it does. Only `add` brings one back. Costs a stat."""
        watch = self._watches.get(root_id, "this folder is not watched")
        if isinstance(watch, str):
            return watch
        emitter = self._emitter(root_id)
        if emitter is None or not emitter.is_alive():
            return (emitter and emitter.wrong) or "the watching thread has ended"
        if emitter.wrong is None and emitter.replaced():
            return "another folder stands at its path than the one that is watched"
        return emitter.wrong

    def is_running(self, root_id: int) -> bool:
        """Tell whether a root's thread lives, or that it has none is known. Asks no disk."""
        if not isinstance(self._watches.get(root_id), ObservedWatch):
            return True
        emitter = self._emitter(root_id)
        return emitter is not None and emitter.is_alive()

    def stop(self) -> None:
        """End all watching and wait for the threads. Nothing can be added after."""
        with self._lock:
            self._stopped = True
            if self._observer.is_alive():
                self._observer.stop()
                self._observer.join()

    def _emitter(self, root_id: int) -> Emitter | None:
        watch = self._watches.get(root_id)
        found = next((each for each in list(self._observer.emitters) if each.watch is watch), None)
        return found if isinstance(found, Emitter) else None
