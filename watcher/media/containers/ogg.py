"""Ogg: pages, the last of which says that it is the last.

Whole means: a page with the end mark is the file's last page, and it is there in full. Recordings of radio end without one;
what has a picture comes from a program that knew the end, and is cut between two pages (RFC 3533, section 6).
"""

from __future__ import annotations

from typing import Final

from watcher.media.containers.base import Reader, Structure, cut

_TAIL_BYTES: Final = 1 << 18
"""Looked through for the last page: four times the largest page."""
_LAST: Final = 4
_HEAD_BYTES: Final = 4096
_PICTURES: Final = (b"\x80theora", b"\x01video\0", b"OVP80", b"\x80daala")
"""How the first packet of a stream of pictures begins; the last but one is VP8, the second is OGM."""


def walk(reader: Reader) -> Structure:
    """Find the last page in the file's tail."""
    payload = ((0, reader.size),)
    start = max(0, reader.size - _TAIL_BYTES)
    tail = reader.at(start, _TAIL_BYTES)
    at = tail.rfind(b"OggS\0")
    if at < 0:
        zeros = not any(tail)
        reason = "it ends in zeros that were never filled" if zeros else f"no page in its last {len(tail):,} bytes"
        return Structure(
            "cut" if zeros else "damaged", "ogg", offset=start, payload=payload, reasons=(reason,), zeros=zeros
        )
    segments = tail[at + 26] if at + 26 < len(tail) else 255
    table = tail[at + 27 : at + 27 + segments]
    end = start + at + 27 + segments + sum(table)
    if len(table) < segments or end > reader.size:
        found = cut(reader, "ogg", end, "its last page")
        return Structure("cut", "ogg", None, found.missing_bytes, reader.size, payload, found.reasons)
    if not tail[at + 5] & _LAST and any(picture in reader.at(0, _HEAD_BYTES) for picture in _PICTURES):
        reason = "its last page is not marked as the last: the end is not there"
        return Structure("cut", "ogg", offset=end, payload=payload, reasons=(reason,))
    if not tail[at + 5] & _LAST:
        return Structure("unknown", "ogg", payload=payload, reasons=("its last page is not marked as the last",))
    extra = reader.size - end
    return Structure(
        "whole", "ogg", payload=((0, end),), notes=(f"{extra:,} bytes of something else at the end",) if extra else ()
    )
