"""What a walk over a container finds, and the bounded reading that every walk is made of."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final, Literal

Status = Literal["whole", "cut", "damaged", "not_media", "unknown"]
Range = tuple[int, int]

READ_LIMIT_BYTES: Final = 64 << 20
"""What one walk may read. The largest index seen in a film was 10 MB."""
STEP_LIMIT: Final = 60_000
"""How often one walk may read: a hostile file of tiny boxes ends here, after about 0.1 s."""
ZERO_HEAD_BYTES: Final = 512
"""So many zeros where a header must stand were never written: no format has them there."""


@dataclass(frozen=True, slots=True)
class Structure:
    """What the container's own headers say about the file."""

    status: Status
    """whole: proved, as far as headers go. cut: the end, or the head, is not there. damaged: headers contradict each
    other. not_media: no film at all. unknown: the container declares no end, or we do not read it."""
    container: str = ""
    """mp4, mov, matroska, webm, avi, mpegts, flv, ogg, ...; "" when nothing was recognised."""
    declared_sec: float | None = None
    missing_bytes: int | None = None
    offset: int | None = None
    """The byte at which the trouble is."""
    payload: tuple[Range, ...] = ()
    """Where picture and sound stand, as (start, end) in order; outside them, padding of zeros is lawful."""
    reasons: tuple[str, ...] = ()
    """Why it is not whole, for a person."""
    notes: tuple[str, ...] = ()
    """What is odd, for a person."""
    bytes_read: int = 0
    zeros: bool = False
    """The trouble is that zeros stand where a header must."""
    attached: tuple[Range, ...] = ()
    """Of Matroska: where the fonts and pictures stand that the film brings along."""
    packet_bytes: int = 0
    """Of ASF: how long each of its packets is; 0 when they differ."""
    sound_md5: str = ""
    """Of FLAC: the MD5 of all its samples, as FFmpeg prints it; "" when the writer did not know."""
    sample_bits: int = 0
    """Of FLAC: how many bits each of these samples has."""


class TooMuchError(Exception):
    """The walk has read more than any film needs; `structure.walk` answers "unknown"."""


class Reader:
    """Reads at offsets, counts what it reads, and stops a walk that does not end."""

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor = descriptor
        self.size = size
        self.bytes_read = 0
        self._steps = 0

    def at(self, offset: int, length: int) -> bytes:
        """Read up to `length` bytes; fewer, or none, at the end of the file. Raises OSError and TooMuchError."""
        if offset < 0 or offset >= self.size or length <= 0:
            return b""
        self._steps += 1
        length = min(length, self.size - offset)
        if self._steps > STEP_LIMIT or self.bytes_read + length > READ_LIMIT_BYTES:
            raise TooMuchError
        data = os.pread(self._descriptor, length, offset)
        self.bytes_read += len(data)
        return data

    def number(self, offset: int, length: int, order: Literal["big", "little"] = "big") -> int | None:
        """Read an unsigned number; None when the file ends before it does."""
        data = self.at(offset, length)
        return int.from_bytes(data, order) if len(data) == length else None

    def zeros_at(self, offset: int, length: int = ZERO_HEAD_BYTES) -> bool:
        """Tell whether nothing but zeros stands there (up to the file's end, one byte at least)."""
        data = self.at(offset, length)
        return bool(data) and not any(data)


def cut(reader: Reader, container: str, end: int, what: str, **rest: object) -> Structure:
    """Say that the file should go on until `end`."""
    missing = end - reader.size
    reason = f"{what} should end at byte {end:,}, and the file ends at {reader.size:,}"
    return Structure("cut", container, missing_bytes=missing, offset=reader.size, reasons=(reason,), **rest)  # type: ignore[arg-type]


def bad(reader: Reader, container: str, offset: int, what: str, **rest: object) -> Structure:
    """Say that what stands at `offset` is not what must stand there; zeros there were never written."""
    zeros = reader.zeros_at(offset)
    reason = f"zeros at byte {offset:,}, and no {what} there" if zeros else f"no {what} at byte {offset:,}"
    return Structure(
        "cut" if zeros else "damaged",
        container,
        offset=offset,
        reasons=(reason,),
        zeros=zeros,
        **rest,  # type: ignore[arg-type]
    )


def unfilled_tail(tail: bytes, tail_at: int) -> Structure | None:
    """Say that a file ends in zeros; for formats whose own data never does."""
    if not tail or any(tail[-ZERO_HEAD_BYTES:]):
        return None
    at = tail_at + len(tail.rstrip(b"\0"))
    return Structure("cut", offset=at, reasons=("it ends in zeros that were never filled",), zeros=True)


def tag_bytes(reader: Reader, offset: int = 0) -> int:
    """Give the size of the ID3v2 tags at `offset`, 0 when there is none: any kind of sound may stand behind them."""
    at = offset
    for _ in range(4):
        head = reader.at(at, 10)
        if len(head) < 10 or head[:3] != b"ID3":
            break
        size = 0
        for byte in head[6:]:
            size = size << 7 | byte & 0x7F
        at += 10 + size + (10 if head[5] & 0x10 else 0)
    if at > offset:  # some taggers count their padding short
        behind = reader.at(at, 4096)
        at += len(behind) - len(behind.lstrip(b"\0"))
    return at - offset


def trailer_bytes(reader: Reader) -> int:
    """Give the size of the tags that programs hang behind sound: APEv2, and behind it the 128 bytes of ID3v1."""
    end = reader.size - (128 if reader.at(reader.size - 128, 3) == b"TAG" else 0)
    footer = reader.at(end - 32, 32)
    if footer.startswith(b"APETAGEX") and len(footer) == 32:
        size, flags = (int.from_bytes(footer[n : n + 4], "little") for n in (12, 20))
        whole = size + (32 if flags & 1 << 31 else 0)
        end -= whole if whole <= end else 0
    return reader.size - end


def joined(ranges: list[Range]) -> tuple[Range, ...]:
    """Join ranges that touch, or nearly: 64 bytes between two of them are a header."""
    result: list[Range] = []
    for start, end in sorted(ranges):
        if result and start - result[-1][1] <= 64:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return tuple(result)
