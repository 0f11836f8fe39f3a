"""The file that a track grows in: what is added is on disk before it counts, and what a run left is checked before it does."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from watcher.media import downmix, refusals, scratch

if TYPE_CHECKING:
    from collections.abc import Mapping

_READ_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Stand:
    """How far a track has come: JSON-ready by `asdict`, and kept as a checkpoint."""

    ceiling_db: float = downmix.CEILING_DB
    """Where its limiter holds the samples: another ceiling is another track."""
    tries: int = 1
    pieces: int = 0
    """So many are in the file."""
    size_bytes: int = 0
    content: str = ""
    """The hash of these bytes."""
    whole: bool = False


class Joined:
    """The file of one track. Blocking; raises ConversionFailed when the disk refuses."""

    def __init__(self, path: bytes) -> None:
        self.path = path
        self.stand = Stand()
        self._hash = hashlib.blake2b(digest_size=16)

    def recall(self, kept: Mapping[str, Any]) -> None:
        """Go on where a checkpoint says that the file stood: what is behind that is cut off. Where it is not as it was
        then, the track begins anew.
        """
        stand = Stand(**kept)
        try:
            with open(self.path, "r+b") as file:
                file.truncate(stand.size_bytes)
                self._take(file.fileno())
        except FileNotFoundError:
            pass
        except OSError as error:
            raise refusals.of_os_error(error, "what was made of the track cannot be read") from error
        self.stand = stand
        if not stand.pieces or self._hash.hexdigest() != stand.content:
            self.begin(Stand(stand.ceiling_db, stand.tries))

    def begin(self, stand: Stand) -> None:
        """Begin a track, with an empty file."""
        scratch.make(self.path)
        self._hash = hashlib.blake2b(digest_size=16)
        self.stand = stand

    def add(self, data: bytes | bytearray) -> None:
        """Put a piece behind the others."""
        try:
            with open(self.path, "ab", 0) as file:
                file.write(data)
                os.fsync(file.fileno())
        except OSError as error:
            raise refusals.of_os_error(error, "the track cannot be written") from error
        self._hash.update(data)
        self._count(len(data))

    def adopt(self) -> None:
        """Take all that FFmpeg has written into the file for its one piece."""
        try:
            with open(self.path, "rb", 0) as file:
                os.fsync(file.fileno())
                self._count(self._take(file.fileno()))
        except OSError as error:
            raise refusals.of_os_error(error, "the track cannot be read") from error

    def end(self) -> None:
        """Take note that nothing more comes."""
        self.stand = replace(self.stand, whole=True)

    def _count(self, size_bytes: int) -> None:
        self.stand = replace(
            self.stand,
            pieces=self.stand.pieces + 1,
            size_bytes=self.stand.size_bytes + size_bytes,
            content=self._hash.hexdigest(),
        )

    def _take(self, file: int) -> int:
        size_bytes = 0
        while chunk := os.read(file, _READ_BYTES):
            self._hash.update(chunk)
            size_bytes += len(chunk)
        return size_bytes
