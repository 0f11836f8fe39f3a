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
    from collections.abc import AsyncIterator, Sequence


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
            others = tuple(self._held.values())  # the thread must not meet one that ends
            self._held[temp] = await asyncio.to_thread(_require, temp, needed_bytes, others)
        try:
            yield
        finally:
            del self._held[temp]


def _require(temp: bytes, needed_bytes: int, others: Sequence[_Held]) -> _Held:
    folder = os.path.dirname(temp)
    held = _Held(os.stat(folder).st_dev, needed_bytes, temp)
    # What is written already, by another job or before an interruption, is free no more: only the rest is to come.
    to_come = sum(each.size_bytes - _written(each) for each in (held, *others) if each.device == held.device)
    space.require_space(folder, to_come)
    return held


def _written(held: _Held) -> int:
    """Give the bytes that the files of a conversion have on disk, of those that it was to need."""
    return min(held.size_bytes, sum(map(_allocated, (held.temp, names.beside(held.temp, b"track")))))


def _allocated(path: bytes) -> int:
    try:
        return os.stat(path).st_blocks * 512
    except OSError:
        return 0
