"""The file of one operation: finding it among those of other jobs, holding it, writing it, taking it away."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any, TypeVar

from watcher.errors import OperationHeld, StateBroken
from watcher.operations import document, holds, operation, places
from watcher.operations.network import Drive
from watcher.rules.names import readable

if TYPE_CHECKING:
    from collections.abc import Callable

    from watcher.operations.document import TranscodeState
    from watcher.operations.operation import TranscodeOperation

    Result = TypeVar("Result")

log = logging.getLogger("watcher.operations")


class Record:
    """Where the state of an operation is kept. All methods wait for a network drive that is away, holding no lock.

    They raise OSError when it stays away or the disk refuses, and OperationHeld when another process works on the
    operation. Where the usual name is taken by another job on the same film (another preset, say) or by a broken
    file, the state stands apart, and theirs stays.
    """

    def __init__(
        self,
        of: TranscodeOperation,
        state_file: bytes | None,
        state_dir: bytes | None,
        cancelled: threading.Event,
    ) -> None:
        """Look where the folder is; nothing is written, and no right taken."""
        self._operation = of
        self._fixed = state_file
        self._state_dir = state_dir
        self._cancelled = cancelled
        self.path = state_file or places.state_path(of, state_dir)
        """Where the state is, or will be: known for good once something was written or found."""
        self._drive = Drive(os.path.dirname(self.path))
        self._hold: holds.Hold | None = None
        self._settling = threading.Lock()
        self._drop: weakref.finalize[Any, Any] | None = None
        self._said: set[bytes] = set()
        """The broken files of which the log knows."""
        self.stands = False
        """Whether a state is known to be in the file."""
        self._newest = 0
        """The newest version in the file; changed under the hold's own lock."""

    @property
    def may_move(self) -> bool:
        """Whether the place was chosen here, and not named by the program."""
        return self._fixed is None

    def load(self) -> TranscodeState | None:
        """Find the operation's state and hold it; None when there is none. A broken file is none: the log says so."""
        path = self._retry(self._find)
        if path is None:
            return None
        self.stands = True
        with contextlib.suppress(OSError):  # a folder that cannot be written: saving will say so
            self._retry(lambda: self._settle((path,)))
        return self._retry(lambda: self._read_own(path))  # read when it is ours: nobody changes it any more

    def save(self, content: bytes, version: int) -> None:
        """Write this version, unless another thread has written a newer one."""
        self._retry(lambda: self._write(content, version))

    def remove(self) -> None:
        """Take the file away, and its folder when it was the last; ends the hold. Nothing when there is no file."""
        try:
            path = self._retry(self._find) if self._hold is None else self.path
            if path is not None:
                self._retry(lambda: self._settle((path,)))
                self._retry(lambda: self._remove(path))
        finally:
            self.release()
        places.remove_folder_if_empty(self.path)

    def release(self) -> None:
        """Let others work on the operation. Happens by itself when this or the process ends."""
        if self._drop is not None:
            self._drop()
        self._hold = self._drop = None

    def see_input(self) -> dict[str, int] | None:
        """Give size and time of the input, as `document.see`."""
        return self._retry(lambda: document.see(self._operation.input_path))

    def _retry(self, work: Callable[[], Result]) -> Result:
        try:
            return self._drive.retry(work, self._cancelled)
        except OperationHeld as held:
            raise held.with_traceback(None) from None  # whoever reads it needs no way through the retrying

    def _remove(self, path: bytes) -> None:
        self._drive.require()
        places.remove(path)

    def _write(self, content: bytes, version: int) -> None:
        self._drive.require()
        hold = self._hold or self._settle(self._candidates())
        with hold.writing:
            if version > self._newest:
                try:
                    places.write(self.path, content)
                except FileNotFoundError:
                    # Somebody has cleared the folder away: that is no reason to end hours of work. Or its disk has gone
                    # this instant: then nothing is made in its place.
                    self._drive.require()
                    places.make_folder(self.path)
                    places.write(self.path, content)
                self._newest, self.stands = version, True

    def _candidates(self) -> tuple[bytes, ...]:
        if self._fixed is not None:
            return (self._fixed,)
        apart = places.path_apart(self._operation, self._state_dir)
        usual = places.state_path(self._operation, self._state_dir)
        return (apart, usual) if os.path.exists(apart) else (usual, apart)

    def _settle(self, candidates: tuple[bytes, ...]) -> holds.Hold:
        """Take the right to write, at the first of these places that no other job has."""
        with self._settling:
            if self._hold is not None:
                return self._hold
            for path in candidates:
                places.make_folder(path)
                hold = holds.claim(path, self._operation.operation_id)
                if hold is None:
                    continue
                if self._fixed is None and self._is_of_another_job(path):
                    holds.release(hold)
                    continue
                self.path, self._hold = path, hold
                self._drop = weakref.finalize(self, holds.release, hold)
                return hold
        raise OperationHeld(f"{readable(self.path)} is in use for another operation; name another state file")

    def _is_of_another_job(self, path: bytes) -> bool:
        try:
            found = document.read(path)
        except StateBroken as broken:
            self._say_broken(path, broken)
            return True
        return found is not None and not self._is_mine(found)

    def _find(self) -> bytes | None:
        self._drive.require()  # what is missing with its whole mount is not missing
        older = () if self._fixed is not None else (places.older_path(self._operation),)
        return next((path for path in (*self._candidates(), *older) if self._read_own(path) is not None), None)

    def _read_own(self, path: bytes) -> TranscodeState | None:
        try:
            found = document.read(path)
        except StateBroken as broken:
            self._say_broken(path, broken)
            return None
        if found is None or not self._is_mine(found):
            return None
        found.operation, found.operation_id = self._operation, self._operation.operation_id
        return found

    def _say_broken(self, path: bytes, broken: StateBroken) -> None:
        if path not in self._said:
            self._said.add(path)
            log.warning("broken state kept, and not resumed: %s: %s", readable(path), broken)

    def _is_mine(self, found: TranscodeState) -> bool:
        return found.operation_id == self._operation.operation_id or (
            found.is_older_shape and operation.is_same_job(found.operation, self._operation)
        )
