"""The steps of a conversion, as the state file beside its temporary one tells them: what another run goes on from.

probe (done by the check), encode, mux, verify, swap (the landing). The file is an operation's, as any script's of
`watcher.operations`: same content, same settings, same FFmpeg make the same operation, under whatever name in its folder.
Any other begins anew, and what was left of it goes.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any, Final

from watcher.errors import StateBroken
from watcher.media import scratch
from watcher.operations import TranscodeOperation, UniversalStateManager, document, places
from watcher.rules import names
from watcher.store.store import signature_columns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from watcher.operations import PauseManager
    from watcher.service.jobs import JobSpec

KIND: Final = "stereo"
ORDER: Final = ("probe", "encode", "mux", "verify", "swap")


def state_file(temp: bytes) -> bytes:
    """Give where the state of the conversion stands that makes its result at `temp`."""
    return names.beside(temp, b"state.json")


class Steps:
    """The state of one conversion. Blocking calls, one after the other; see `media.checkpoints.Checkpoints`.

    They raise what `UniversalStateManager` raises, each an OperationError, when the disk refuses.
    """

    def __init__(self, spec: JobSpec, identity: dict[str, Any], pauses: PauseManager) -> None:
        """Go on from what an earlier run of this very work has left, or clear away what other work has."""
        assert spec.temp is not None and spec.target is not None  # noqa: S101, PT018
        operation = TranscodeOperation(
            KIND,
            spec.path,
            spec.target,
            extra_args={**identity, "film": signature_columns(spec.signature)},
        )
        _follow(state_file(spec.temp), operation)
        self._state = UniversalStateManager(operation, state_file(spec.temp), pauses=pauses)
        self.goes_on = self._state.load_state()
        """Whether an earlier run has left something."""
        if not self.goes_on:
            scratch.clear(spec.temp)
            self._go_to("encode", 0.0, {})

    @property
    def step(self) -> str:
        """The step under way."""
        return self._state.state.current_step

    @property
    def percent(self) -> float:
        """How much of the whole work is done."""
        return self._state.state.progress_percent

    def kept(self) -> Mapping[str, Any]:
        """Give what was saved by this run and those before."""
        return self._state.state.data

    def save(self, step: str, percent: float, data: Mapping[str, Any]) -> None:
        """Save what a step has come to; it is on disk when this returns."""
        if self.step in ORDER and ORDER.index(step) < ORDER.index(self.step):
            kept = self.kept()  # what was done is not there any more: it is done again
            self._state.begin_anew()
            data = {**kept, **data}
        self._go_to(step, percent, data)

    def _go_to(self, step: str, percent: float, data: Mapping[str, Any]) -> None:
        self._state.auto_save = False
        for done in ORDER[: ORDER.index(step)]:
            if not self._state.is_done(done):
                self._state.update_step(done)
        self._state.auto_save = True
        self._state.update_step(step, percent, dict(data))

    def swap(self) -> None:
        """Tell that the result is proved, and is about to take its name."""
        self.save("swap", self.percent, {})

    def release(self) -> None:
        """Let go of the file; it stays."""
        self._state.release()


def _follow(path: bytes, operation: TranscodeOperation) -> None:
    """Let a state follow a film that was renamed: what is done is as good under its new name."""
    with contextlib.suppress(StateBroken):
        state = document.read(path)
        if state is not None and state.operation.input_file != operation.input_file:
            before = dataclasses.replace(
                state.operation, input_file=operation.input_file, output_file=operation.output_file
            )
            if before == operation:
                state.operation, state.operation_id = operation, operation.operation_id
                places.write(path, document.to_json(state))


def kept_share(temp: bytes | None) -> float | None:
    """Give how much of a conversion is done, 0 to 1; None where it has left no state to go on from. Blocking.

    Raises OSError when the disk cannot be asked.
    """
    try:
        state = document.read(state_file(temp)) if temp is not None else None
    except StateBroken:
        return None
    return None if state is None else state.progress_percent / 100
