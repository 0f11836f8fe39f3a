"""Second thoughts: what was decided about a film's sound under other settings is decided again.

Whoever adds a language, or lets a film lose a data stream after all, means the films that are there too. At a start
the settings that decide are compared with those of the last one; where they differ, each film that rests is decided
about anew from what is known of its streams, and only those that come out differently are taken up. Nothing is looked at on disk.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import structlog

from watcher.errors import ProbeFailed
from watcher.media.probe import Probe
from watcher.rules import audio
from watcher.rules.statuses import ProcessedStatus
from watcher.service.conversions import REFUSALS, rules_of

if TYPE_CHECKING:
    from watcher.config.model import AudioSettings
    from watcher.service.engine import Engine
    from watcher.store.models import FileEntry

log = structlog.get_logger("watcher")

_MEMO = "audio settings"
_NO_DECISION = frozenset({"at_once", "threads"})
"""Settings that change how fast a track is made, and not whether."""
_AT_A_TIME = 500
_OUTCOMES = {ProcessedStatus.IGNORED: "ignored", ProcessedStatus.SKIPPED_HAS_EN2: "has_stereo"}


def reconsider(engine: Engine) -> int:
    """Take up the films about which today's settings decide differently; gives how many. In the store's thread."""
    settings = engine.config.audio
    now, before = _memo_of(settings), engine.store.memo(_MEMO)
    if now == before:
        return 0
    taken_up, after = 0, 0
    while some := engine.store.resting(after, _AT_A_TIME):
        after = some[-1].id
        with engine.turn():
            taken_up += sum(_reconsider(engine, entry, rules_of(settings)) for entry in some)
    engine.store.put_memo(_MEMO, now)
    if taken_up:
        log.info("decided anew", files=taken_up, reason="the settings of [audio] have changed")
    return taken_up


def _memo_of(settings: AudioSettings) -> str:
    values: dict[str, Any] = settings.model_dump(mode="json", exclude=set(_NO_DECISION))
    return json.dumps(values, sort_keys=True)


def _reconsider(engine: Engine, entry: FileEntry, rules: audio.AudioRules) -> bool:
    if entry.processed_status is ProcessedStatus.GROUP_PENDING_PAIR:
        if engine.pairs is None:  # nobody waits for pairs any more
            engine.move(entry, "pair_lost", reason="the settings have changed", next_at=engine.clock())
        return engine.pairs is None
    if entry.processed_status is ProcessedStatus.CONVERT_FAILED:
        if entry.reason not in REFUSALS:
            return False
        engine.move(entry, "retry", reason="the settings have changed", next_at=engine.clock(), failures_in_row=0)
        return True
    try:
        probe = Probe.from_dict(engine.store.finding(entry.id).probe)
    except ProbeFailed:
        return False  # no film (not_media), or found out by another version: nothing is known to decide by
    if audio.decide(probe.streams, rules).outcome == _OUTCOMES[entry.processed_status]:
        return False
    engine.move(entry, "reconsidered", reason="the settings have changed", next_at=engine.clock())
    return True
