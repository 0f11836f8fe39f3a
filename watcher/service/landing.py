"""Landing: a proved result takes the film's name, or its place beside it.

The order is the promise: verified result -> source still the same and nobody writes it -> result on disk -> intent in
the database -> one atomic rename -> folder on disk -> move and new signature in the database. `settle_attempt` finishes,
after a stop, whatever of it was under way.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog

from watcher.errors import ConversionFailed
from watcher.media import replace
from watcher.rules import names
from watcher.rules.signature import Signature
from watcher.service import work
from watcher.service.jobs import Failed
from watcher.watch import scan, writers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from watcher.service.conversions import Conversions
    from watcher.service.jobs import Made
    from watcher.store.models import Attempt

    InStore = Callable[..., Awaitable[Any]]

log = structlog.get_logger("watcher")


def who_writes(path: bytes) -> str | None:
    """Say who has a file open for writing, as far as can be known; None when nobody has."""
    found = writers.writer_of(path)
    return f"it is open for writing ({found.evidence})" if found.state == "busy" else None


async def land(outcome: Made, conversions: Conversions, in_store: InStore) -> None:
    """Bring a made result in. What prevents it becomes a failed conversion; the film is then as it was."""
    spec = outcome.spec
    assert spec.temp is not None and spec.target is not None  # noqa: S101, PT018
    try:
        result = await asyncio.to_thread(replace.prepare, spec.path, spec.temp, spec.signature, who_writes)
        if not await in_store(conversions.intend, spec, result, outcome.proof):
            await work.discard(spec.temp)
            await in_store(conversions.void, spec.attempt_id)
            return
        final = await asyncio.to_thread(replace.place, spec.temp, spec.target, spec.replaces, who_writes)
    except ConversionFailed as error:
        await work.discard(spec.temp)
        await in_store(conversions.failed, Failed(spec, error.reason, error.detail))
        return
    await in_store(conversions.landed, spec.attempt_id, final)


def settle_attempt(attempt: Attempt, path: bytes) -> Signature | None:
    """Find out what became of a conversion that nobody runs any more, and clear up after it. Blocking.

    Gives the signature of the result that stands in its place, or None when the film is as it was and no trace is left.
    """
    source = Signature(**attempt.source)
    replaces = Signature(**attempt.replaces) if attempt.replaces else None
    result = Signature(**attempt.result) if attempt.result else None
    target = attempt.target or path
    if result is not None:
        there = scan.observe(target)
        if there is not None and there.same_file(result):
            replace.sync_folder(target)
            if attempt.temp is not None:
                work.unlink_if_there(attempt.temp)  # a sidecar has both names for an instant
            return there
        if attempt.temp is not None:
            found = replace.finish(path, target, attempt.temp, (source, replaces, result), who_writes)
            if found is not None:
                log.info("swap finished after a stop", path=names.readable(path))
                return found
    if attempt.temp is not None:
        work.unlink_if_there(attempt.temp)
    return None
