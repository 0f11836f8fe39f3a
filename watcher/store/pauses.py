"""The pause of the service as the database has it: what was written down, and the wishes that nobody has read yet."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from watcher.rules import pauses
from watcher.rules.pauses import Pause

if TYPE_CHECKING:
    from watcher.store.store import StateStore

_MEMO = "pause"


def read(store: StateStore) -> Pause | None:
    """Give the last pause, as it is when all wishes are carried out; None when there never was one."""
    text = store.memo(_MEMO)
    pause = Pause(**json.loads(text)) if text else None
    for wish in store.requests():
        if wish.kind in pauses.KINDS:
            pause = pauses.after(pause, wish.kind, wish.at_ms, wish.details)
    return pause


def lasting(store: StateStore, now_ms: int) -> Pause | None:
    """Give the pause that lasts now; None when there is none."""
    pause = read(store)
    return pause if pause is not None and pause.lasts(now_ms) else None


def shift(store: StateStore, by_ms: int) -> None:
    """Move the times of a pause that nobody has ended."""
    text = store.memo(_MEMO)
    pause = Pause(**json.loads(text)) if text else None
    if pause is not None and pause.ended_ms is None:
        until = None if pause.until_ms is None else pause.until_ms + by_ms
        store.put_memo(_MEMO, json.dumps(replace(pause, since_ms=pause.since_ms + by_ms, until_ms=until).to_dict()))


def take(store: StateStore) -> Pause | None:
    """Write down what the wishes make of the pause, and take them away; gives it."""
    pause = read(store)
    wishes = [wish for wish in store.requests() if wish.kind in pauses.KINDS]
    if wishes:
        with store.transaction():
            if pause is not None:
                store.put_memo(_MEMO, json.dumps(pause.to_dict()))
            for wish in wishes:
                store.end_request(wish.id)
    return pause
