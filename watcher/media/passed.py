"""What passed by of each stream, packet by packet: whether two runs of FFmpeg saw the same packets at the same times.

FFmpeg's `framehash` says for every packet its times, its size and its hash, and that of its side data. Nothing of that
is kept: content and times go into one sum a stream, so that a film of a million packets costs no memory.

Times count from a stream's first packet, for FFmpeg may move a film as a whole. They are summed up in arithmetic modulo
a prime, in seconds: 512/12800 and 40/1000 are the same number there too. Matroska counts in milliseconds, so the times
of what goes into it are rounded as its muxer rounds them, and it keeps no decoding times.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection

    from watcher.media.layout import Muxer

_PRIME: Final = (1 << 61) - 1
_FACTOR: Final = 0x9E3779B97F4A7C1 % _PRIME
"""Any large number: it makes the order of the times count."""
_HASH_CHARS: Final = 1 + 32
"""A blank, and 128 bits in hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class Passed:
    """One stream as it passed by."""

    packets: int
    content: str
    """The hash of all packets' hashes, and of those of their side data where the container stays the same."""
    times: int
    """The sum of all packets' times."""
    first_sec: float
    """When it begins."""


@dataclass(slots=True)
class _Stream:
    numerator: int = 1
    denominator: int = 1
    packets: int = 0
    content: Any = field(default_factory=lambda: hashlib.blake2b(digest_size=16))
    first: int = 0
    times: int = 0


class Account:
    """Takes in the lines of `framehash`, and gives what passed by."""

    def __init__(
        self,
        muxer: Muxer,
        count: int,
        *,
        foreign: Collection[int] = (),
        untimed: Collection[int] = (),
        lasting: Collection[int] = (),
    ) -> None:
        """Of `count` streams the `foreign` come from another container, where side data is kept elsewhere; the `untimed`
        (covers, ...) have no times worth a comparison, the `lasting` (subtitles) ends too.
        """
        self._count = count
        self._rounded = muxer in {"matroska", "webm"}
        self._foreign = frozenset(foreign)
        self._untimed = frozenset(untimed)
        self._lasting = frozenset(lasting)
        self._streams: dict[int, _Stream] = {}

    def take(self, line: bytes) -> bool:
        """Take in one line of FFmpeg's standard output; False when it is none of these."""
        if line[:1].isdigit():
            self._packet(line)
        elif line.startswith(b"#tb "):
            number, _, unit = line[4:].partition(b":")
            numerator, _, denominator = unit.partition(b"/")
            self._streams[int(number)] = _Stream(int(numerator), int(denominator))
        elif not line.startswith(b"#"):
            return False
        return True

    def _packet(self, line: bytes) -> None:
        place, dts, pts, duration, _, told = line.split(b",", 5)
        number = int(place)
        stream = self._streams[number]
        stream.content.update(told[:_HASH_CHARS] if number in self._foreign else told)
        time = self._in_unit(int(pts), stream)
        if not stream.packets:
            stream.first = time
        stream.packets += 1
        total = stream.times * _FACTOR + time - stream.first
        if not self._rounded:
            total = total * _FACTOR + int(dts) - stream.first
        if number in self._lasting:
            total = total * _FACTOR + self._in_unit(int(duration), stream)
        stream.times = total % _PRIME

    def _in_unit(self, ticks: int, stream: _Stream) -> int:
        """Round to milliseconds as FFmpeg does where the result counts in them: to the nearest, halves away from 0."""
        if not self._rounded or stream.denominator == 1000 * stream.numerator:
            return ticks
        twice = 2 * abs(ticks) * stream.numerator * 1000 + stream.denominator
        rounded = twice // (2 * stream.denominator)
        return rounded if ticks >= 0 else -rounded

    def passed(self) -> list[Passed]:
        """Give what passed by of each stream, nothing of one that has no packets."""
        found = []
        for number in range(self._count):
            stream = self._streams.get(number, _Stream())
            numerator, denominator = (1, 1000) if self._rounded else (stream.numerator, stream.denominator)
            seconds = stream.times * numerator * pow(denominator, -1, _PRIME) % _PRIME
            times = 0 if number in self._untimed else seconds
            found.append(
                Passed(stream.packets, stream.content.hexdigest(), times, stream.first * numerator / denominator)
            )
        return found
