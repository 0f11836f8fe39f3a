"""Room: the free space that running conversions count on, so that no two of them count on the same bytes."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from watcher.media import space
from watcher.rules import names

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@dataclass(frozen=True, slots=True)
class _Held:
    """Space that a running conversion counts on."""

    device: int
    size_bytes: int
    temp: bytes


class Room:
    """Keeps count of the disk space that running conversions still need."""

    def __init__(self) -> None:
        self._held: dict[bytes, _Held] = {}
        """By temporary file."""
        self._asking = asyncio.Lock()

    @asynccontextmanager
    async def hold(self, temp: bytes, needed_bytes: int) -> AsyncIterator[None]:
        """Hold what a conversion needs that makes its result at `temp`. Raises ConversionFailed("no_space"), OSError."""
        async with self._asking:
            self._held[temp] = await asyncio.to_thread(self._require, temp, needed_bytes)
        try:
            yield
        finally:
            del self._held[temp]

    def _require(self, temp: bytes, needed_bytes: int) -> _Held:
        folder = os.path.dirname(temp)
        device = os.stat(folder).st_dev
        # What is written already, by another job or before an interruption, is free no more: only the rest is to come.
        others = sum(held.size_bytes - _written(held) for held in self._held.values() if held.device == device)
        held = _Held(device, needed_bytes, temp)
        space.require_space(folder, needed_bytes - _written(held) + others)
        return held


def _written(held: _Held) -> int:
    """Give the bytes that the files of a conversion have on disk, of those that it was to need."""
    return min(held.size_bytes, sum(map(_allocated, (held.temp, names.beside(held.temp, b"track")))))


def _allocated(path: bytes) -> int:
    try:
        return os.stat(path).st_blocks * 512
    except OSError:
        return 0
