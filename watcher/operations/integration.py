"""One block of code as a resumable operation: `with StateAwareOperation(...) as manager`."""

from __future__ import annotations

import contextlib
import logging
import signal
from typing import TYPE_CHECKING

from watcher.errors import OperationError, StateNotSaved
from watcher.operations.state import StrPath, UniversalStateManager
from watcher.rules.names import readable

if TYPE_CHECKING:
    from types import TracebackType

    from watcher.operations.operation import TranscodeOperation
    from watcher.operations.pause import PauseManager

log = logging.getLogger("watcher.operations")


class StateAwareOperation:
    """Resumes the matching unfinished operation, or begins anew, and takes care of its state to the end.

    Left cleanly, the operation is completed, and its file goes. Left by an exception, Ctrl-C or SIGTERM, the state is
    saved with the reason, can be resumed, and the exception goes on. A job that has told by `mark_completed(False)`
    that it failed keeps its file. In the main thread signals are heard inside, as `signals` describes.
    """

    def __init__(
        self,
        operation: TranscodeOperation,
        resume: bool = True,
        *,
        state_dir: StrPath | None = None,
        pauses: PauseManager | None = None,
        keep_completed: bool = False,
    ) -> None:
        """Nothing is read or written before `with`.

        With `keep_completed` a completed operation is loaded too, instead of being begun anew, and its file stays,
        until `cleanup_completed_states` takes it.
        """
        self._operation = operation
        self._resume = resume
        self._state_dir = state_dir
        self._pauses = pauses
        self._keep = keep_completed
        self._open = contextlib.ExitStack()
        self._manager: UniversalStateManager | None = None

    def __enter__(self) -> UniversalStateManager:
        """Give the manager. Raises OperationHeld when another process works on the operation."""
        manager = UniversalStateManager(self._operation, state_dir=self._state_dir, pauses=self._pauses)
        found = self._resume and manager.load_state()
        if found and manager.state.completed and not (self._keep and manager.state.success):
            manager.begin_anew()
        self._open.enter_context(manager.pauses.listening())
        self._manager = manager
        return manager

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Complete the operation, or save it for another day."""
        manager = self._manager
        assert manager is not None  # noqa: S101
        with self._open, manager.pauses.shield():
            try:
                if kind is None:
                    self._complete(manager)
                elif not manager.state.completed:
                    self._put_off(manager, error)
            finally:
                manager.release()

    def _complete(self, manager: UniversalStateManager) -> None:
        if not manager.state.completed:
            try:
                manager.mark_completed(success=True)
            except StateNotSaved:
                if self._keep:
                    raise
                # the file goes anyway, and a full disk does not hinder that
        if manager.state.success and not self._keep:
            manager.cleanup_state()

    def _put_off(self, manager: UniversalStateManager, error: BaseException | None) -> None:
        try:
            manager.note_interruption(_reason(error, manager.pauses.leaving))
        except OperationError as unsaved:
            if str(unsaved) == str(error):
                return  # the job ended because of that, and says so
            log.error("not saved: %s", unsaved)  # noqa: TRY400  # the job's own exception is what goes on
            if error is not None:
                error.add_note(str(unsaved))
        else:
            log.info("saved, to be resumed: %s", readable(manager.operation.input_path))


def _reason(error: BaseException | None, leaving: int | None) -> str:
    """Say what ended a block: the signal, whatever exception came of it on the way, or the job's own exception."""
    name = type(error).__name__
    if leaving is None or isinstance(error, Exception):
        return f"{name}: {error}" if str(error) else name
    names = {128 + number: number.name for number in signal.Signals}
    return names.get(leaving, f"a wish to leave with exit code {leaving}")
