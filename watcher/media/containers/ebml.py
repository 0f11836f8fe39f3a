"""Matroska and WebM: a segment that declares its size, tiled by clusters.

Whole means: the segment ends within the file, and its clusters lead from its head to exactly its end. A large film
is walked at its head and its tail; between them only the clusters that its index (Cues) names are looked at. A segment of
unknown size (a live recording) proves nothing about its end.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from watcher.media.containers.base import Range, Reader, Structure, bad, cut, joined

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD, _SEGMENT, CLUSTER, _CUES, _SEEK_HEAD, _INFO = (
    0x1A45DFA3,
    0x18538067,
    0x1F43B675,
    0x1C53BB6B,
    0x114D9B74,
    0x1549A966,
)
VOID, CRC, BLOCK_GROUP, ATTACHMENTS = 0xEC, 0xBF, 0xA0, 0x1941A469
TOP: Final = frozenset((CLUSTER, _CUES, _SEEK_HEAD, _INFO, 0x1654AE6B, 0x1043A770, 0x1254C367, ATTACHMENTS, VOID, CRC))
_LINEAR: Final = 256
"""Elements walked one after the other before the index is asked: 20 minutes of most films, 2 s on a slow disk."""
_SAMPLES: Final = 64
"""Clusters looked at between head and tail."""
_INDEX_BYTES: Final = 2 << 20


class Element(NamedTuple):
    """One element: where it and its content stand. `end` is None when its size is unknown."""

    ident: int
    start: int
    content: int
    end: int | None


@dataclass(slots=True)
class _Segment:
    start: int
    end: int | None
    """None when it does not say its size."""
    payload: list[Range] = field(default_factory=list)
    attached: list[Range] = field(default_factory=list)
    declared_sec: float | None = None
    cues_at: int | None = None


def walk(reader: Reader) -> Structure:
    """Read the head, follow the clusters to the end."""
    head = element_at(reader, 0)
    if head is None or head.end is None:
        return bad(reader, "matroska", 0, "EBML header")
    doctype = next(
        (
            data
            for ident, data in inside(reader.at(head.content, min(head.end - head.content, 4096)))
            if ident == 0x4282
        ),
        b"",
    )
    container = "webm" if doctype.startswith(b"webm") else "matroska"
    top = element_at(reader, head.end)
    while top is not None and top.ident in {VOID, CRC} and top.end is not None:
        top = element_at(reader, top.end)
    if top is None or top.ident != _SEGMENT:
        at = top.start if top else head.end
        if at >= reader.size:
            return Structure("cut", container, offset=reader.size, reasons=("the file ends after its first header",))
        return bad(reader, container, at, "segment")
    segment = _Segment(top.content, top.end)
    found = _walk_segment(reader, container, segment)
    attached = tuple(segment.attached)
    return replace(found, payload=joined(segment.payload), attached=attached, declared_sec=segment.declared_sec)


def _walk_segment(reader: Reader, container: str, segment: _Segment) -> Structure:
    limit = min(segment.end or reader.size, reader.size)
    trouble = _follow(reader, container, segment, segment.start, limit)
    if segment.end is not None and segment.end > reader.size:
        return cut(reader, container, segment.end, "its segment")
    if trouble is not None:
        return trouble
    if not segment.payload:
        return Structure("cut", container, offset=reader.size, reasons=("a header without picture or sound",))
    if segment.end is None:
        reason = "its segment does not say where it ends (a live recording, or never finished)"
        return Structure("unknown", container, reasons=(reason,))
    extra = reader.size - segment.end
    return Structure("whole", container, notes=(f"{extra:,} bytes of something else at the end",) if extra else ())


def _follow(reader: Reader, container: str, segment: _Segment, offset: int, limit: int) -> Structure | None:
    """Go from element to element up to `limit`; give the trouble that stops us, if any."""
    steps = 0
    while offset < limit:
        element = element_at(reader, offset)
        if element is None or element.ident not in TOP:
            return bad(reader, container, offset, "element of a film")
        end = element.end if element.end is not None else _unknown_end(reader, element, limit)
        if element.ident == CLUSTER:
            segment.payload.append((element.start, min(end, reader.size)))
        elif element.ident == ATTACHMENTS:
            segment.attached.append((element.start, min(end, reader.size)))
        if end > limit:
            what = "its last cluster" if element.ident == CLUSTER else "an element"
            if end > reader.size:
                return cut(reader, container, end, what)
            return bad(reader, container, offset, "element that ends within its segment")
        _note(reader, segment, element)
        offset, steps = end, steps + 1
        if steps == _LINEAR and segment.cues_at is not None:
            trouble, offset = _jump(reader, container, segment, offset)
            if trouble is not None:
                return trouble
    return None


def _jump(reader: Reader, container: str, segment: _Segment, offset: int) -> tuple[Structure | None, int]:
    """Look at some of the clusters that the index names; give the byte of the last of them to go on from."""
    places = sorted({place for place in _cue_places(reader, segment) if offset < place < reader.size})
    for place in places[:: max(1, len(places) // _SAMPLES)] + places[-1:]:
        element = element_at(reader, place)
        if element is None or element.ident != CLUSTER:
            return bad(reader, container, place, "cluster, though the index names one"), offset
    if not places:
        return None, offset
    segment.payload.append((offset, places[-1]))
    return None, places[-1]


def _note(reader: Reader, segment: _Segment, element: Element) -> None:
    """Keep what a header element says about the rest."""
    if element.end is None:
        return
    if element.ident == _INFO:
        segment.declared_sec = _duration(reader.at(element.content, min(element.end - element.content, 1 << 16)))
    elif element.ident == _CUES:
        segment.cues_at = element.start
    elif element.ident == _SEEK_HEAD:
        for _, seek in inside(reader.at(element.content, min(element.end - element.content, 1 << 16))):
            entry = dict(inside(seek))
            if entry.get(0x53AB) == _CUES.to_bytes(4, "big"):
                segment.cues_at = segment.start + int.from_bytes(entry.get(0x53AC, b""), "big")


def _cue_places(reader: Reader, segment: _Segment) -> Iterator[int]:
    cues = element_at(reader, segment.cues_at) if segment.cues_at is not None else None
    if cues is None or cues.ident != _CUES or cues.end is None:
        return
    for _, point in inside(reader.at(cues.content, min(cues.end - cues.content, _INDEX_BYTES))):
        for ident, track in inside(point):
            if ident == 0xB7:
                place = dict(inside(track)).get(0xF1)
                if place:
                    yield segment.start + int.from_bytes(place, "big")


def _duration(info: bytes) -> float | None:
    values = dict(inside(info))
    scale = int.from_bytes(values.get(0x2AD7B1, b""), "big") or 1_000_000
    raw = values.get(0x4489, b"")
    if len(raw) not in {4, 8}:
        return None
    ticks = struct.unpack(">f" if len(raw) == 4 else ">d", raw)[0]
    seconds = ticks * scale / 1e9
    return seconds if 0 < seconds < 1e8 else None


def element_at(reader: Reader, offset: int) -> Element | None:
    """Read the head of an element; None when none stands there."""
    return parse(reader.at(offset, 12), offset)


def parse(head: bytes, offset: int) -> Element | None:
    """Read an element's identity (up to 4 bytes) and size (up to 8); None when there is none."""
    if len(head) < 2 or head[0] < 0x10:
        return None
    width = 9 - head[0].bit_length()
    if len(head) <= width or not head[width]:
        return None
    ident = int.from_bytes(head[:width], "big")
    size_width = 9 - head[width].bit_length()
    raw = head[width : width + size_width]
    if len(raw) < size_width:
        return None
    ones = (1 << 7 * size_width) - 1
    size = int.from_bytes(raw, "big") & ones
    content = offset + width + size_width
    return Element(ident, offset, content, None if size == ones else content + size)


def _unknown_end(reader: Reader, element: Element, limit: int) -> int:
    """Find where an element of unknown size ends: where one of its parent's begins, or nothing reasonable does."""
    offset = element.content
    while offset < limit:
        child = element_at(reader, offset)
        if child is None or child.ident in TOP - {VOID, CRC} or child.end is None:
            return offset
        offset = child.end
    return offset


def inside(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Give the children in a piece of memory as (identity, content); stops where it makes no sense."""
    offset = 0
    while offset < len(data):
        child = parse(data[offset : offset + 12], offset)
        if child is None or child.end is None or child.end <= offset:
            return
        yield child.ident, data[child.content : child.end]
        offset = child.end
