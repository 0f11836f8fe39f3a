"""Landing: a proved result takes the film's name, or its place beside it; what did not come about is cleared up.

The order is the promise, and stands as a table in `media/replace`. Here its steps meet the database: the intent before
the rename, the move and the new signature after it. `settle_attempt` finishes, after a stop, whatever was under way.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from watcher.errors import ConversionFailed
from watcher.media import disk, refusals, replace, scratch
from watcher.media.replace import Keeping, Prepared, Swap
from watcher.operations.network import NETWORK_ERRORS, Drive
from watcher.rules import names
from watcher.rules.signature import Signature
from watcher.service.interrupted import was_cut_short
from watcher.service.jobs import Failed
from watcher.service.steps import kept_share, state_file
from watcher.watch import writers

if TYPE_CHECKING:
    import threading
    from collections.abc import Awaitable, Callable

    from watcher.config import StateConfig
    from watcher.service.conversions import Conversions
    from watcher.service.jobs import Cancelled, JobSpec, Made
    from watcher.service.temps import Temps
    from watcher.store.models import Attempt

    InStore = Callable[..., Awaitable[Any]]
    Done = TypeVar("Done")

log = structlog.get_logger("watcher")


class Landing:
    """Brings results in. `adopt` is told of attempts whose traces the disk would not let go of; `cancelled` ends the waiting
    for a network drive that is away.
    """

    def __init__(
        self,
        conversions: Conversions,
        keeping: Callable[[], Keeping],
        temps: Temps,
        in_store: InStore,
        adopt: Callable[[str], None],
        cancelled: threading.Event,
    ) -> None:
        self._conversions = conversions
        self._keeping = keeping
        self._temps = temps
        self._in_store = in_store
        self._adopt = adopt
        self._cancelled = cancelled

    async def land(self, outcome: Made) -> None:
        """Bring a made result in. What prevents it becomes a failed conversion; the film is then as it was."""
        spec, swap, result = outcome.spec, swap_of(outcome.spec), None
        try:
            prepared = await self._on_its_drive(swap, replace.prepare, swap, self._keeping(), who_writes)
            result = prepared.signature
            if not await self._in_store(self._conversions.intend, spec, result, _proof(outcome, prepared)):
                await self._in_store(self._conversions.void, spec.attempt_id, await self._cleared(spec, None))
                return
            final = await self._on_its_drive(swap, _place, swap, result)
        except ConversionFailed as error:
            in_place = swap.target == swap.film
            if in_place and isinstance(error.__cause__, OSError) and error.__cause__.errno in NETWORK_ERRORS:
                await self.ended(Failed(spec, error.reason, error.detail))
                return
            # What the rehearsal could not foresee costs a whole conversion each time: it is not tried for ever.
            reason = "not_replaceable" if error.reason in ("permission", "io_error") else error.reason
            cleared = await self._cleared(spec, result)
            await self._in_store(self._conversions.failed, Failed(spec, reason, error.detail), cleared)
            return
        await self._cleared_behind(spec)
        await self._in_store(self._conversions.landed, spec.attempt_id, final)

    async def _on_its_drive(self, swap: Swap, work: Callable[..., Done], *arguments: Any) -> Done:
        """Do file work in a thread, and do it again while a network drive is away: hours of work hang on it."""

        def patiently() -> Done:
            return Drive(os.path.dirname(swap.film)).retry(lambda: work(*arguments), self._cancelled)

        return await asyncio.to_thread(patiently)

    async def _cleared_behind(self, spec: JobSpec) -> None:
        """Take away what a landed conversion needs no more; where the disk refuses, a scan does so later."""
        assert spec.temp is not None  # noqa: S101
        try:
            await asyncio.to_thread(self._temps.remove, spec.attempt_id, spec.temp)
        except OSError as error:
            log.warning("leftover not removed", path=spec.temp, reason=error.strerror)
        finally:
            self._temps.release(spec.attempt_id)

    async def ended(self, outcome: Failed | Cancelled) -> None:
        """Take note of a conversion that made no result; what was cut short is kept where another run may go on."""
        cleared = not await self._keeps(outcome) and await self._cleared(outcome.spec, None)
        if isinstance(outcome, Failed):
            await self._in_store(self._conversions.failed, outcome, cleared)
        else:
            await self._in_store(self._conversions.void, outcome.spec.attempt_id, cleared)

    async def _keeps(self, outcome: Failed | Cancelled) -> bool:
        spec = outcome.spec
        try:
            share = await asyncio.to_thread(kept_share, spec.temp) if was_cut_short(outcome) else None
        except OSError:
            return False  # where it can be cleared up, it can be asked again
        if share is None or not await self._in_store(self._conversions.interrupted.keep, spec.attempt_id, share):
            return False
        self._temps.release(spec.attempt_id)
        return True

    async def _cleared(self, spec: JobSpec, result: Signature | None) -> bool:
        """Clear up after a swap that did not come about; where the disk refuses, its attempt stands until it can be."""
        swap = swap_of(spec)
        try:
            await asyncio.to_thread(replace.clear, swap, result)
            await asyncio.to_thread(self._temps.remove, spec.attempt_id, swap.temp)
        except OSError as error:
            log.warning("not cleared up", path=spec.path, reason=error.strerror)
            self._adopt(spec.attempt_id)
            return False
        finally:
            self._temps.release(spec.attempt_id)
        return True


def _place(swap: Swap, result: Signature) -> Signature:
    """Let a result take its name; or find that it has it by a try of which the drive said that it failed."""
    try:
        found = replace.settle(swap, result, who_writes) if disk.stands(swap.target, result) else None
    except OSError as error:
        raise refusals.of_os_error(error, "the result cannot take its name") from error
    return found or replace.place(swap, who_writes)


def _proof(outcome: Made, prepared: Prepared) -> dict[str, Any]:
    """Give what is stored with the film: the proof, and what became of its attributes and its old content."""
    proof = dict(outcome.proof)
    if prepared.lost:
        proof["lost_attributes"] = list(prepared.lost)
    if prepared.other_names:
        proof["other_names"] = prepared.other_names
    if outcome.spec.kept is not None:
        proof["kept_original"] = names.readable(outcome.spec.kept.rpartition(b"/")[2])
    return proof


def who_writes(path: bytes) -> str | None:
    """Say who has a file open for writing, as far as can be known; None when nobody has."""
    found = writers.writer_of(path)
    return f"it is open for writing ({found.evidence})" if found.state == "busy" else None


def keeping(config: StateConfig) -> Keeping:
    """Give what the settings say about a film's attributes."""
    return Keeping(mtime=config.audio.mtime == "keep", refuse_loss=config.audio.lost_attributes == "refuse")


def swap_of(spec: JobSpec) -> Swap:
    """Give the swap that a conversion ends with."""
    assert spec.temp is not None and spec.target is not None  # noqa: S101, PT018
    return Swap(spec.path, spec.signature, spec.temp, spec.target, spec.replaces, spec.removes_film, spec.kept)


def settle_attempt(attempt: Attempt, path: bytes) -> Signature | None:
    """Finish or clear up a conversion that nobody runs any more. Blocking; raises OSError when the disk refuses.

    `path` is where the film's row is now. Gives the signature of the result that stands in its place, or None when the
    film is as it was and no trace is left.
    """
    swap, result = _swap_of_attempt(attempt, path), _result_of(attempt)
    if swap is None:
        return None
    if result is not None and swap.target == swap.film and disk.stands(path, result):
        swap = dataclasses.replace(swap, film=path, target=path)  # renamed since, and its row has followed it
    found = replace.settle(swap, result, who_writes)
    if found is not None:
        scratch.clear(swap.temp)
        log.info("conversion finished after a stop", path=path)
    return found


def share_done(attempt: Attempt, path: bytes) -> float | None:
    """Give how much is done of a conversion that nobody runs, if its film is at `path` what it was; None for nothing.

    Blocking; raises OSError when the disk cannot be asked.
    """
    stands = attempt.result is None and disk.stands(path, Signature(**attempt.source))
    return kept_share(attempt.temp) if stands else None


def is_adrift(attempt: Attempt, path: bytes, *, goes_on: bool) -> bool:
    """Tell whether the film is not where it was, or has our result under yet another name: only a scan finds it. Blocking.

    `goes_on` says that its row, which may know no better yet, would have what is done gone on with.
    """
    swap, result = _swap_of_attempt(attempt, path), _result_of(attempt)
    if swap is None or disk.stands(swap.film, swap.source):
        return False
    if any(disk.observe(each) is not None for each in (swap.temp, state_file(swap.temp))):
        return goes_on and result is None and not disk.stands(path, swap.source)
    return result is None or not (disk.stands(swap.target, result) or disk.stands(path, result))


def _swap_of_attempt(attempt: Attempt, path: bytes) -> Swap | None:
    if attempt.temp is None:
        return None
    film = attempt.film or path
    return Swap(
        film=film,
        source=Signature(**attempt.source),
        temp=attempt.temp,
        target=attempt.target or film,
        replaces=Signature(**attempt.replaces) if attempt.replaces else None,
        removes_film=attempt.removes_film,
        kept=attempt.kept,
    )


def _result_of(attempt: Attempt) -> Signature | None:
    return Signature(**attempt.result) if attempt.result else None
