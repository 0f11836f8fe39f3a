"""The manager of one operation's state: what a job tells about its progress, and what outlives it.

When a call that saves has returned, the state is on the disk: a kill at any instant leaves that one or the one before
it. Every method may be called from several threads. Values that are in `state` are copies; change them by
`update_step`, which keeps threads apart.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from watcher.errors import NotStorable, StateNotSaved
from watcher.operations import document
from watcher.operations.document import INITIAL_STEP, RESULTS, TranscodeState
from watcher.operations.operation import absolute
from watcher.operations.pause import PauseManager, get_pause_manager
from watcher.operations.record import Record
from watcher.operations.values import plain, text
from watcher.rules.names import readable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from watcher.operations.operation import TranscodeOperation

log = logging.getLogger("watcher.operations")

_REMEDIES: Final = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "Make room there"),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), "Make it writable"),
    **dict.fromkeys((errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENXIO), "Move away what stands there"),
    errno.ENOENT: "Make its folder",
}
"""What a person can do where a state cannot be written."""

StrPath = str | bytes | os.PathLike[str]


class UniversalStateManager:
    """The state of one operation, in memory and in its file."""

    def __init__(
        self,
        operation: TranscodeOperation,
        state_file: StrPath | None = None,
        auto_save: bool = True,
        *,
        state_dir: StrPath | None = None,
        pauses: PauseManager | None = None,
    ) -> None:
        """Begin anew, writing nothing: a state saved earlier stays as it is until it is loaded, or saved over.

        `state_file` names the file itself; `state_dir` a folder of one's own for it, where that of the film cannot be
        written. Without `auto_save` only `save_state` writes.
        """
        self.operation = absolute(operation)
        self.auto_save = auto_save
        self.pauses = pauses or get_pause_manager()
        self._record = Record(
            self.operation,
            None if state_file is None else os.fsencode(os.path.abspath(state_file)),
            None if state_dir is None else os.fsencode(os.path.abspath(state_dir)),
            self.pauses.cancelled,
        )
        self._command = _command()
        self._lock = threading.Lock()
        """Guards `state`; never held while a file is read or written."""
        self._version = 0
        self.state = self._fresh()
        """How far the operation is. To be read; changed by the methods."""

    @property
    def state_file(self) -> Path:
        """Where the state is, or will be."""
        return Path(os.fsdecode(self._record.path))

    def _fresh(self) -> TranscodeState:
        return TranscodeState(self.operation, self.operation.operation_id, start_time=time.time())

    # --- what the job tells

    def update_step(self, step: str, progress: float | None = None, data: dict[str, Any] | None = None) -> None:
        """Tell that `step` is being done now; the step before it is finished by that. Saves.

        `progress` is in percent of the whole operation, held between 0 and 100. `data` is kept for later steps in
        `state.data`; `clips_extracted`, `optimization_results` and `best_result` in it set the fields of these names.
        Raises NotStorable, naming the value, and changes nothing; StateNotSaved; OperationHeld.
        """
        name, kept = text(step, "step"), plain(data or {}, "data")
        percent = None if progress is None else min(100.0, max(0.0, plain(float(progress), "progress")))
        with self._changing() as state:
            if name != state.current_step:
                _finish(state)
                state.current_step = name
            state.error_message = None  # what stopped it last, it has got over
            if percent is not None:
                state.progress_percent = percent
            for field in RESULTS:
                if field in kept:
                    setattr(state, field, kept.pop(field))
            state.data = {**state.data, **kept}

    def is_done(self, step: str) -> bool:
        """Tell whether a step was finished, now or before the interruption, and need not be done again."""
        with self._lock:
            return text(step, "step") in self.state.steps_completed

    def mark_completed(
        self, success: bool, result: Any = None, error_message: str | BaseException | None = None
    ) -> None:
        """Tell that the operation is over, and how it ended; it is not resumed any more. Saves. Raises as `update_step`."""
        kept = plain(result, "result")
        with self._changing() as state:
            if success:
                _finish(state)
                state.progress_percent = 100.0
                state.input_seen = None  # seen anew by the save: the job may have replaced its own input
            state.completed, state.success, state.end_time = True, bool(success), time.time()
            state.error_message = None if error_message is None else str(error_message)
            if result is not None:
                state.best_result = kept

    def begin_anew(self) -> None:
        """Forget how far the operation was; the file stays as it is until the next save."""
        with self._lock:
            self.state = self._fresh()

    def reopen(self) -> None:
        """Go on with a completed operation: more work has come to it. The file stays as it is until the next save."""
        with self._lock:
            self.state.completed = self.state.success = False
            self.state.end_time = None

    def note_interruption(self, reason: str) -> None:
        """Tell what stopped the operation; it stays unfinished, and can be resumed. Saves."""
        with self._changing() as state:
            state.error_message = reason

    def check_pause_point(self) -> None:
        """Wait here while a pause is wished for. Raises SystemExit when it is time to leave.

        Signals are wishes inside `StateAwareOperation`, a decorated function or `with manager.pauses.listening()`;
        elsewhere Ctrl-C is Python's own, and what was saved last stands.
        """
        self.pauses.check(self._save_if_wanted)

    async def check_pause_point_async(self) -> None:
        """Do the same in a coroutine, without holding up the event loop."""
        await self.pauses.check_async(self._save_if_wanted)

    # --- what outlives it

    def save_state(self) -> None:
        """Write the state. Raises StateNotSaved when that is impossible, and OperationHeld when another process has it.

        Waits for a network drive that is away, holding no lock; a leave cuts that short.
        """
        with self.pauses.shield():
            try:
                seen = self.state.input_seen or self._record.see_input()
                with self._lock:
                    self._version += 1
                    version = self._version
                    self.state.saved_at = time.time()
                    self.state.input_seen = seen
                    self.state.command = self._command
                    content = document.to_json(self.state)
                self._record.save(content, version)
            except OSError as error:
                # The way through the retrying says nothing to whoever reads the traceback.
                raise StateNotSaved(self._not_saved(error)) from error.with_traceback(None)

    def load_state(self) -> bool:
        """Go on from the saved state of this operation; False, and nothing changed, when there is none to go on from.

        A completed one is loaded too: look at `state.completed`. A broken file, and one of which the input is another
        file by now, are none; the log says so. Raises OperationHeld when another process works on it, OSError when it
        cannot be read.
        """
        with self.pauses.shield():
            state = self._record.load()
            if state is None:
                return False
            if document.is_another(state.input_seen, self._record.see_input()):
                log.warning("begins anew: %s is another file than before", readable(self.operation.input_path))
                return False
            with self._lock:
                self.state = state
            return True

    def cleanup_state(self) -> None:
        """Remove the state file, and its folder when it was the last; others may work on the operation then."""
        with self.pauses.shield():
            try:
                self._record.remove()
            except OSError as error:
                raise StateNotSaved(
                    f"{readable(self._record.path)} cannot be removed: {error.strerror}; remove it by hand"
                ) from error

    def release(self) -> None:
        """Let others work on the operation. Happens by itself when the manager or the process ends."""
        self._record.release()

    # --- inside

    @contextlib.contextmanager
    def _changing(self) -> Iterator[TranscodeState]:
        with self.pauses.shield():
            with self._lock:
                before = dataclasses.replace(self.state, steps_completed=[*self.state.steps_completed])
                yield self.state
            try:
                self._save_if_wanted()
            except NotStorable:
                with self._lock:
                    self.state = before
                raise

    def _save_if_wanted(self) -> None:
        if self.auto_save:
            self.save_state()

    def _not_saved(self, error: OSError) -> str:
        kept = "the one saved before it stands" if self._record.stands else "nothing was saved before"
        elsewhere = ", or name a state folder elsewhere (state_dir)" if self._record.may_move else ""
        named = error.filename2 or error.filename
        place = os.fsencode(named) if isinstance(named, str | bytes) else self._record.path
        return (
            f"the state of {readable(self.operation.input_path)} cannot be written to {readable(place)}: "
            f"{error.strerror}; {kept}. {_REMEDIES.get(error.errno or 0, 'See to that disk')}{elsewhere}"
        )


def _finish(state: TranscodeState) -> None:
    if state.current_step != INITIAL_STEP and state.current_step not in state.steps_completed:
        state.steps_completed.append(state.current_step)


def _command() -> dict[str, Any] | None:
    try:
        return {"argv": list(sys.orig_argv), "cwd": os.getcwd()}
    except FileNotFoundError:  # the program's folder was removed: nowhere to run it again
        return None
