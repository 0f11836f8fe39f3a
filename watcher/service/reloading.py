"""Reloading: the settings are read anew while everything runs, and whoever asked is told what came of it.

A file that is wrong changes nothing. What is right is in force from the next turn on, for jobs that begin then; what runs
goes on as it was begun. A few settings are read at the start only (`AT_START`): they stay as they are, and are named.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import structlog

from watcher.config import flat
from watcher.errors import SettingsError
from watcher.service import second_thoughts
from watcher.service.dispatch import EXCLUDED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from watcher.config import StateConfig
    from watcher.service.engine import Engine
    from watcher.service.jobs import Kind
    from watcher.service.notify import Notifier
    from watcher.service.roots import Roots

log = structlog.get_logger("watcher")

AT_START = frozenset(
    {
        *("storage_url", "allow_network_database", "backup_dir", "enable_metrics", "metrics_listen"),  # open files
        *("watch", "answer_within_sec"),  # the sandbox of the unit is made for these folders
        *("max_state_entries", "debounce_quiet_sec", "debounce_at_most_sec"),  # paths that wait now
        *("ffmpeg.ffmpeg", "ffmpeg.ffprobe"),  # tried out once
        "audio.output",  # whether films are looked at in pairs
    }
)
"""Settings, by their flat names, that only a restart changes."""
_NAMES = frozenset({"extensions", "include", "exclude", "min_size_bytes"})
MEMO = "reload"


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What came of a reload."""

    request: int
    """The number of the wish it answers; 0 for none."""
    refused: str = ""
    """Why nothing was changed."""
    changed: tuple[str, ...] = ()
    """The settings that have another value now."""
    at_start: tuple[str, ...] = ()
    """Those that will have one after a restart."""

    @classmethod
    def from_memo(cls, text: str | None) -> Reloaded | None:
        """Read what the service wrote."""
        if not text:
            return None
        data = json.loads(text)
        lists = {key: tuple(data[key]) for key in ("changed", "at_start")}
        return cls(**{**data, **lists})


def slots_of(config: StateConfig) -> dict[Kind, int]:
    """Give how many jobs of each kind may run at once."""
    return {"check": config.integrity.at_once, "convert": config.audio.at_once}


def merge(now: StateConfig, wanted: StateConfig) -> tuple[StateConfig, list[str], list[str]]:
    """Give the settings to be in force, the names of those that change, and of those that only a restart changes."""
    before, after = flat(now), flat(wanted)
    differ = [key for key in after if after[key] != before[key]]
    kept = [key for key in differ if key in AT_START]
    tables: dict[str, Any] = {}
    for key in kept:
        name, _, inner = key.partition(".")
        value = getattr(now, name)
        if inner:
            value = tables.get(name, getattr(wanted, name)).model_copy(update={inner: getattr(value, inner)})
        tables[name] = value
    return wanted.model_copy(update=tables), [key for key in differ if key not in AT_START], kept


class Reloading:
    """Reads the settings anew when a signal or a wish asks for it."""

    def __init__(
        self,
        engine: Engine,
        roots: Roots,
        notifier: Notifier,
        read: Callable[[], StateConfig] | None,
        take: Callable[[StateConfig], None],
        in_store: Callable[..., Awaitable[Any]],
    ) -> None:
        self._engine = engine
        self._roots = roots
        self._notifier = notifier
        self._read = read
        self._take = take
        self._in_store = in_store
        self.asked = False
        """By a signal."""

    async def turn(self) -> None:
        """Answer those who asked, if any did."""
        wishes = await self._in_store(self._wishes)
        if self._read is None or not (self.asked or wishes):
            return
        self.asked = False
        self._notifier.reloading()
        try:
            await self._in_store(self._answer, await self._reload(self._read, max(wishes, default=0)))
        finally:
            self._notifier.ready()

    async def _reload(self, read: Callable[[], StateConfig], request: int) -> Reloaded:
        try:
            config, changed, kept = merge(self._engine.config, read())
        except SettingsError as error:
            log.error("settings refused", reason=str(error))  # noqa: TRY400 - a sentence for a person
            return Reloaded(request, refused=str(error))
        self._take(config)
        if any(key.startswith("audio.") for key in changed):
            await self._in_store(second_thoughts.reconsider, self._engine)
        if _NAMES.intersection(changed):
            await self._in_store(self._engine.store.reconsider, EXCLUDED, self._engine.now_ms())
            await self._roots.watch_anew()
        log.info("settings reloaded", changed=changed or "nothing", **({"at_the_next_start": kept} if kept else {}))
        return Reloaded(request, changed=tuple(changed), at_start=tuple(kept))

    def _wishes(self) -> list[int]:
        return [wish.id for wish in self._engine.store.requests() if wish.kind == "reload"]

    def _answer(self, reloaded: Reloaded) -> None:
        with self._engine.turn():
            for wish in self._wishes():
                if wish <= reloaded.request:
                    self._engine.store.end_request(wish)
            self._engine.store.put_memo(MEMO, json.dumps(asdict(reloaded)))
