"""MP3, AAC (ADTS), AC-3 and E-AC-3 by themselves: frames that each declare their size, one after the other to the end.

Only the Xing and VBRI headers of MP3 say how many bytes there are, so only they prove a file whole. Of the others a last
frame that is not there in full is told; a cut between two frames looks like an end.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from watcher.media.containers.base import Reader, Structure, cut, trailer_bytes, unfilled_tail

if TYPE_CHECKING:
    from collections.abc import Callable

_ROW: Final = 4
"""Frames in a row that make a chain: a sync word stands in compressed sound by chance, four that lead to each other do not."""
_HEAD_BYTES: Final = 32 << 10
_TAIL_BYTES: Final = 64 << 10
"""Looked through for the last frames: eight of the largest (ADTS has 8 KB)."""
_SLACK_BYTES: Final = 4 * 1441
"""By how much a count may be wrong where the last frame is there in full: encoders differ about the first and the last."""


class _Count(NamedTuple):
    """What a Xing or VBRI header says."""

    size: int
    seconds: float | None


def detect(reader: Reader, start: int) -> str:
    """Give "mp3", "aac" or "ac3" when a chain of such frames begins at `start`; else ""."""
    head = reader.at(start, _HEAD_BYTES)
    for name, size_of in SIZES.items():
        end, frames = _chain(head, 0, size_of)
        if frames >= _ROW or (frames and start + end == reader.size):
            return name
    return ""


def walk(reader: Reader, name: str, start: int = 0) -> Structure:
    """Follow the last frames to the end. `start` is where the first one stands, behind a tag."""
    end = max(start, reader.size - trailer_bytes(reader))
    tail_at = max(start, end - _TAIL_BYTES)
    tail = reader.at(tail_at, end - tail_at)
    count = _count(reader.at(start, 512)) if name == "mp3" else None
    reach = tail_at + _last_end(tail, SIZES[name])
    found = _counted(reader, start, end, reach, count) if count else _uncounted(reader, name, end, reach)
    if found.status != "whole":
        found = unfilled_tail(tail, tail_at) or found
    payload = found.payload or ((start, end),)
    return replace(found, container=name, payload=payload, declared_sec=count.seconds if count else None)


def _counted(reader: Reader, start: int, end: int, reach: int, count: _Count) -> Structure:
    extra = end - (start + count.size)
    if extra < 0 and (reach > end or extra < -_SLACK_BYTES):
        return cut(reader, "", start + count.size + reader.size - end, "its sound")
    if extra < 0:
        return Structure("unknown", reasons=("its header counts a little more than there is",))
    counted = start + count.size
    last = max(start, counted - _TAIL_BYTES)
    if unfilled := unfilled_tail(reader.at(last, counted - last), last):
        return unfilled
    if extra <= _SLACK_BYTES:
        return Structure("whole")
    notes = (f"{extra:,} bytes of something else at the end",)
    return Structure("whole", payload=((start, counted),), notes=notes)


def _uncounted(reader: Reader, name: str, end: int, reach: int) -> Structure:
    if reach > end and name != "mp3":  # an MP3 without a count is a radio's recording, cut anywhere by its listener
        return cut(reader, "", reach + reader.size - end, "its last frame")
    return Structure("unknown", reasons=(f"{name} declares no end",))


def _last_end(tail: bytes, size_of: Callable[[bytes], int]) -> int:
    """Give where the last frame ends, which may lie behind the tail; 0 when there is no chain of frames."""
    for at in range(len(tail)):
        end, frames = _chain(tail, at, size_of)
        if frames >= _ROW or (frames and end >= len(tail)):
            return end
    return 0


def _chain(data: bytes, at: int, size_of: Callable[[bytes], int]) -> tuple[int, int]:
    """Follow frames; give where the last one ends and how many there were."""
    frames = 0
    while at < len(data) and (size := size_of(data[at : at + FRAME_HEAD_BYTES])):
        at, frames = at + size, frames + 1
    return at, frames


# --- how long a frame is, by its head; 0 when it is none


_MP3_KBITS: Final = {
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""ISO 11172-3 and 13818-3: by version 1 and layer."""
_MP3_RATES: Final = (44100, 48000, 32000)
_AC3_KBITS: Final = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
"""ETSI TS 102 366, table 4.13."""


class _Mp3(NamedTuple):
    size: int
    samples: int
    rate: int


def _mp3(head: bytes) -> _Mp3 | None:
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    kbits_code, rate_code = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 4 or kbits_code in {0, 15} or rate_code == 3:
        return None
    first = version == 3
    bits, padding = _MP3_KBITS[first, layer][kbits_code] * 1000, head[2] >> 1 & 1
    rate = _MP3_RATES[rate_code] >> (0 if first else 1 if version == 2 else 2)
    if layer == 1:
        return _Mp3((12 * bits // rate + padding) * 4, 384, rate)
    samples = 1152 if first or layer == 2 else 576
    return _Mp3(samples // 8 * bits // rate + padding, samples, rate)


def _mp3_size(head: bytes) -> int:
    frame = _mp3(head)
    return frame.size if frame else 0


def _aac_size(head: bytes) -> int:
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or head[2] >> 2 & 15 > 12:
        return 0
    size = int.from_bytes(head[3:6], "big") >> 5 & 0x1FFF
    return size if size > 7 else 0


def _ac3_size(head: bytes) -> int:
    if len(head) < 6 or head[:2] != b"\x0b\x77":
        return 0
    rate, kbits, version = head[4] >> 6, head[4] & 63, head[5] >> 3
    if 10 < version <= 16:  # E-AC-3 says it in words of two bytes
        return ((int.from_bytes(head[2:4], "big") & 0x7FF) + 1) * 2
    if version > 10 or rate == 3 or kbits >> 1 >= len(_AC3_KBITS):
        return 0
    bits = _AC3_KBITS[kbits >> 1]
    if rate == 1:  # 44.1 kHz: every other frame is a word longer
        return (320 * bits // 147 + (kbits & 1)) * 2
    return bits * (4 if rate == 0 else 6)


SIZES: Final[dict[str, Callable[[bytes], int]]] = {"mp3": _mp3_size, "aac": _aac_size, "ac3": _ac3_size}
"""By the name of the chain; each takes the first `FRAME_HEAD_BYTES` of a frame."""
FRAME_HEAD_BYTES: Final = 8


def _count(head: bytes) -> _Count | None:
    """Read the Xing (also "Info") or VBRI header in an MP3's first frame; None where the bytes are not counted."""
    frame = _mp3(head)
    at = max(head[:64].find(b"Xing"), head[:64].find(b"Info"))
    if frame is None:
        return None
    if at > 0:
        flags = int.from_bytes(head[at + 4 : at + 8], "big")
        frames, size = (int.from_bytes(head[at + n : at + n + 4], "big") for n in (8, 12))
        if flags & 3 != 3:
            return None
    elif head[36:40] == b"VBRI":
        size, frames = (int.from_bytes(head[n : n + 4], "big") for n in (46, 50))
    else:
        return None
    return _Count(size, frames * frame.samples / frame.rate or None) if size else None
