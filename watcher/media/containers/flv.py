"""FLV: tags that each repeat their size behind them, so the end can be read backwards.

Whole means: the file ends with a whole tag, at about the time that onMetaData declares.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Final

from watcher.media.containers.base import Reader, Structure, bad, cut

_TAGS: Final = frozenset({8, 9, 18})
_SLACK_SEC: Final = 2.0


def walk(reader: Reader) -> Structure:
    """Read the first tag and the last."""
    header = reader.number(5, 4) or 9
    if header > reader.size:
        return bad(reader, "flv", 5, "length of its header")
    declared, file_size = _metadata(reader.at(header + 4, 1 << 14))
    payload = ((header, reader.size),)
    if file_size is not None and file_size > reader.size:
        return replace(cut(reader, "flv", file_size, "the file"), declared_sec=declared, payload=payload)
    end, last = reader.size, _last_tag_sec(reader, reader.size)
    if last is None and file_size is not None:
        end, last = file_size, _last_tag_sec(reader, file_size)
    if last is None:
        if reader.zeros_at(max(0, reader.size - 512)):
            reasons, zeros = ("it ends in zeros that were never filled",), True
        else:
            reasons, zeros = ("it does not end with a whole tag",), False
        return Structure("cut", "flv", declared, offset=reader.size, payload=payload, reasons=reasons, zeros=zeros)
    if declared is None:
        return Structure("unknown", "flv", payload=payload, reasons=("it does not say how long it is",))
    if last < declared - max(_SLACK_SEC, declared * 0.03):
        reason = f"its last tag is at {last:.1f} s of {declared:.1f} s"
        return Structure("cut", "flv", declared, offset=reader.size, payload=payload, reasons=(reason,))
    notes = (f"{reader.size - end:,} bytes of something else at the end",) if end < reader.size else ()
    return Structure("whole", "flv", declared, payload=((header, end),), notes=notes)


def _last_tag_sec(reader: Reader, end: int) -> float | None:
    """Give the latest time of the last tags; None when none ends at `end`."""
    latest: float | None = None
    for _ in range(16):  # the very last tag may be a script's, at time 0
        size = reader.number(end - 4, 4)
        start = end - 4 - (size or 0)
        head = reader.at(start, 11)
        if (
            size is None
            or len(head) < 11
            or head[0] & 0x1F not in _TAGS
            or int.from_bytes(head[1:4], "big") + 11 != size
        ):
            break
        latest = max(latest or 0.0, (int.from_bytes(head[4:7], "big") | head[7] << 24) / 1000)
        end = start
    return latest


def _metadata(head: bytes) -> tuple[float | None, int | None]:
    """Give onMetaData's duration and file size: numbers behind their names, type 0 and eight bytes."""
    duration, size = (_amf_number(head, name) for name in (b"duration", b"filesize"))
    return (duration if duration and 0 < duration < 1e8 else None), (int(size) if size and 0 < size < 1e16 else None)


def _amf_number(head: bytes, name: bytes) -> float | None:
    at = head.find(len(name).to_bytes(2, "big") + name + b"\0")
    raw = head[at + len(name) + 3 : at + len(name) + 11] if at >= 0 else b""
    return float(struct.unpack(">d", raw)[0]) if len(raw) == 8 else None
