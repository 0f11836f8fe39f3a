"""MP4, MOV, 3GP: boxes that tile the file, and a movie box that says where the last sample ends.

Whole means: every box ends within the file, `moov` is there and readable, its tables agree with each other, and the last
sample of every track lies before the end. A film in fragments is whole only where an index (`sidx`, `mfra`) says how far the fragments reach.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from watcher.media.containers import tables
from watcher.media.containers.base import ZERO_HEAD_BYTES, Reader, Structure, bad, cut, joined

if TYPE_CHECKING:
    from collections.abc import Iterator

_KNOWN: Final = frozenset(
    (
        b"ftyp moov mdat free skip wide pnot moof mfra sidx styp uuid udta meta emsg prft pdin ssix PICT imda junk"
    ).split()
)
_LAST_CHUNK_LIMIT: Final = 8192
"""Samples of a last chunk that are added up; a chunk holds about a second."""


class Box(NamedTuple):
    """One box: its type, and where it and its content stand."""

    kind: bytes
    start: int
    content: int
    end: int


@dataclass(frozen=True, slots=True)
class _Movie:
    duration_sec: float | None
    fragmented: bool
    tracks: int
    samples: int
    last_byte: int
    """Where the last sample of all tracks ends, at least."""
    elsewhere: int = 0
    """Tracks whose samples are in another file."""
    trouble: str = ""
    """What the tables of a track disagree about."""
    trouble_at: int | None = None


class _BrokenError(Exception):
    """The movie box contradicts itself at this byte."""

    def __init__(self, offset: int) -> None:
        super().__init__(offset)
        self.offset = offset


def walk(reader: Reader) -> Structure:
    """Read the boxes of the file and the tables of its movie box."""
    boxes, stopped_at = _top_boxes(reader)
    container = "mov" if reader.at(8, 4) == b"qt  " or reader.at(4, 4) != b"ftyp" else "mp4"
    payload = joined([(box.content, min(box.end, reader.size)) for box in boxes if box.kind == b"mdat"])
    movie: _Movie | None = None
    moov = next((box for box in boxes if box.kind == b"moov"), None)
    if moov is not None and moov.end <= reader.size:
        try:
            movie = _read_movie(reader, moov)
        except _BrokenError as broken:
            return bad(reader, container, broken.offset, "readable movie header", payload=payload)
    if movie is not None and movie.elsewhere == movie.tracks:
        return Structure("not_media", container, reasons=("it only refers to another file, which holds its tracks",))
    found = _judge(reader, container, boxes, movie, stopped_at)
    return replace(found, payload=payload, declared_sec=found.declared_sec or (movie.duration_sec if movie else None))


def _top_boxes(reader: Reader) -> tuple[list[Box], int]:
    """Give the boxes, the last of which may end behind the file, and the byte at which they stop being boxes."""
    boxes: list[Box] = []
    offset = 0
    while offset < reader.size:
        box = _box(reader, offset, reader.size)
        if box is None or (box.end > reader.size and box.kind not in _KNOWN):
            break
        boxes.append(box)
        offset = box.end
    return boxes, offset


def _box(reader: Reader, offset: int, limit: int) -> Box | None:
    head = reader.at(offset, 16)
    if len(head) < 8:
        return None
    size, kind, content = int.from_bytes(head[:4], "big"), head[4:8], offset + 8
    if size == 1:
        if len(head) < 16:
            return None
        size, content = int.from_bytes(head[8:16], "big"), offset + 16
    elif size == 0 and kind in _KNOWN:
        size = limit - offset
    # Letters only, "(c)" of QuickTime included: all else are no boxes but junk, or somebody's data.
    if offset + size < content or not all(0x20 <= letter < 0x7F or letter == 0xA9 for letter in kind):
        return None
    return Box(kind, offset, content, offset + size)


def _judge(reader: Reader, container: str, boxes: list[Box], movie: _Movie | None, stopped_at: int) -> Structure:
    last = boxes[-1] if boxes else None
    if last is not None and last.end > reader.size:
        return cut(reader, container, last.end, f"its {last.kind.decode('latin-1')} box")
    if last is not None and last.kind == b"moov" and movie is not None and (cover := _last_cover(reader, last)):
        end = cover.end - ZERO_HEAD_BYTES
        if cover.end - cover.content > ZERO_HEAD_BYTES and reader.zeros_at(end):
            return bad(reader, container, end, "cover")
    if movie is None:
        return _judge_headless(reader, container, boxes, stopped_at)
    if movie.trouble:
        return Structure("damaged", container, offset=movie.trouble_at, reasons=(movie.trouble,))
    if movie.last_byte > reader.size:
        return cut(reader, container, movie.last_byte, "the last sample")
    if not any(box.kind in {b"moof", b"mdat"} for box in boxes) or (movie.samples == 0 and not movie.fragmented):
        return Structure("cut", container, offset=reader.size, reasons=("a header without picture or sound",))
    notes = () if stopped_at >= reader.size else (f"{reader.size - stopped_at:,} bytes of something else at the end",)
    if not movie.fragmented:
        return Structure("whole", container, notes=notes)
    found = _judge_fragments(reader, container, boxes, stopped_at)
    return replace(found, notes=notes) if found.status == "whole" else found


def _judge_headless(reader: Reader, container: str, boxes: list[Box], stopped_at: int) -> Structure:
    if any(box.kind == b"moof" for box in boxes):
        return Structure("unknown", container, reasons=("fragments without a movie header",))
    if stopped_at < reader.size:
        return bad(reader, container, stopped_at, "box")
    reason = "there is no movie header (moov): the end was never written"
    return Structure("cut", container, offset=reader.size, reasons=(reason,))


def _judge_fragments(reader: Reader, container: str, boxes: list[Box], stopped_at: int) -> Structure:
    fragments = [box for box in boxes if box.kind in {b"moof", b"mdat"}]
    if fragments[-1].kind == b"moof":
        return Structure("cut", container, offset=fragments[-1].start, reasons=("the last fragment has no data",))
    index = next((box for box in boxes if box.kind == b"sidx"), None)
    reach, seconds = _reach(reader, index) if index is not None else (0, None)
    if reach > reader.size:
        return replace(cut(reader, container, reach, "the last indexed fragment"), declared_sec=seconds)
    if reach >= fragments[-1].end or boxes[-1].kind == b"mfra":
        return Structure("whole", container, declared_sec=seconds)
    if stopped_at < reader.size:
        return bad(reader, container, stopped_at, "box")
    return Structure("unknown", container, reasons=("fragments without an index that says how many there are",))


def _reach(reader: Reader, index: Box) -> tuple[int, float | None]:
    """Give the byte up to which a segment index speaks of data, and of how many seconds."""
    body = reader.at(index.content, min(index.end - index.content, 4 << 20))
    wide = body[:1] == b"\x01"
    width = 8 if wide else 4
    table = 12 + 2 * width + 4
    if len(body) < table:
        return 0, None
    timescale = int.from_bytes(body[8:12], "big")
    first = int.from_bytes(body[12 + width : 12 + 2 * width], "big")
    count = min(int.from_bytes(body[table - 2 : table], "big"), (len(body) - table) // 12)
    entries = [body[table + 12 * n : table + 12 * n + 8] for n in range(count)]
    size = sum(int.from_bytes(entry[:4], "big") & 0x7FFFFFFF for entry in entries)
    ticks = sum(int.from_bytes(entry[4:8], "big") for entry in entries)
    return index.end + first + size, ticks / timescale if timescale else None


def _children(reader: Reader, box: Box, skip: int = 0) -> Iterator[Box]:
    offset = box.content + skip
    while offset + 8 <= box.end:
        child = _box(reader, offset, box.end)
        if child is None or child.end > box.end:
            if reader.at(offset, 4) == bytes(4) and box.kind in {b"udta", b"trak", b"stsd", b"meta"}:
                return  # QuickTime ends some lists with a zero
            raise _BrokenError(offset)
        yield child
        offset = child.end


def _read_movie(reader: Reader, moov: Box) -> _Movie:
    duration, fragmented, tracks, samples, last_byte, elsewhere = None, False, 0, 0, 0, 0
    trouble, trouble_at = "", None
    for box in _children(reader, moov):
        if box.kind == b"mvhd":
            duration = _ticks(reader, box)
        elif box.kind == b"mvex":
            fragmented = True
        elif box.kind == b"cmov":  # a zlib-compressed header of old QuickTime: FFmpeg reads it, we do not
            tracks, samples = 1, 1
        elif box.kind == b"trak":
            tracks += 1
            elsewhere += _is_elsewhere(reader, box)
            count, end, odd = _track(reader, box)
            samples, last_byte = samples + count, max(last_byte, end)
            if odd and not trouble:
                trouble, trouble_at = odd, box.start
        elif box.kind == b"rmra":  # a list of movies to choose from
            return _Movie(None, fragmented=False, tracks=1, samples=0, last_byte=0, elsewhere=1)
    if not tracks:
        raise _BrokenError(moov.content)
    return _Movie(duration, fragmented, tracks, samples, last_byte, elsewhere, trouble, trouble_at)


def _last_cover(reader: Reader, moov: Box) -> Box | None:
    """Give the picture that a movie header ends with: it may be all that a copier has not come to."""
    try:
        tags = _inside(reader, moov, b"udta", b"meta")
        items = next((box for box in _children(reader, tags, skip=4) if box.kind == b"ilst"), None) if tags else None
        return _inside(reader, items, b"covr", b"data")
    except _BrokenError:
        return None


def _ticks(reader: Reader, mvhd: Box) -> float | None:
    wide = reader.at(mvhd.content, 1) == b"\x01"
    at = mvhd.content + (20 if wide else 12)
    timescale, ticks = reader.number(at, 4), reader.number(at + 4, 8 if wide else 4)
    unknown = (1 << 64) - 1 if wide else (1 << 32) - 1
    return ticks / timescale if timescale and ticks and ticks != unknown and ticks < 1e9 * timescale else None


def _inside(reader: Reader, box: Box | None, *kinds: bytes) -> Box | None:
    for kind in kinds:
        box = next((inner for inner in _children(reader, box) if inner.kind == kind), None) if box else None
    return box


def _is_elsewhere(reader: Reader, trak: Box) -> bool:
    """Tell whether all of a track's data references name another file: the first flag says "in this file"."""
    table = _inside(reader, trak, b"mdia", b"minf", b"dinf", b"dref")
    entries = list(_children(reader, table, skip=8)) if table else []
    named = [entry for entry in entries if entry.end - entry.content > 4]
    return (
        bool(named)
        and len(named) == len(entries)
        and not any(reader.at(entry.content + 3, 1)[0] & 1 for entry in named)
    )


def _track(reader: Reader, trak: Box) -> tuple[int, int, str]:
    """Give a track's number of samples, the byte at which its last chunk ends, at least, and what its tables disagree about."""
    media = _inside(reader, trak, b"mdia")
    table = _inside(reader, media, b"minf", b"stbl")
    if table is None:
        return 0, 0, ""
    boxes = {box.kind: box for box in _children(reader, table)}
    sizes, chunks, per_chunk = boxes.get(b"stsz"), boxes.get(b"co64") or boxes.get(b"stco"), boxes.get(b"stsc")
    counted = sizes or boxes.get(b"stz2")
    count = (reader.number(counted.content + 8, 4) or 0) if counted else 0
    if chunks is None or not count:
        return count, 0, ""
    width = 8 if chunks.kind == b"co64" else 4
    number = reader.number(chunks.content + 4, 4) or 0
    if chunks.content + 8 + number * width > chunks.end:
        raise _BrokenError(chunks.start)
    places = [
        (box.content, box.end) if box else None
        for box in (boxes.get(b"stts"), per_chunk, _inside(reader, media, b"mdhd"))
    ]
    odd = tables.contradiction(reader, tables.Tables(count, number, *places))
    last_chunk = (reader.number(chunks.content + 8 + (number - 1) * width, width) or 0) if number else 0
    end = last_chunk + (_last_chunk_bytes(reader, sizes, per_chunk, count) if sizes and per_chunk else 0)
    return count, end, odd


def _last_chunk_bytes(reader: Reader, sizes: Box, per_chunk: Box, count: int) -> int:
    entries = reader.number(per_chunk.content + 4, 4) or 0
    if not entries or per_chunk.content + 8 + entries * 12 > per_chunk.end:
        return 0
    samples = min(reader.number(per_chunk.content + 8 + (entries - 1) * 12 + 4, 4) or 0, count, _LAST_CHUNK_LIMIT)
    one_size = reader.number(sizes.content + 4, 4) or 0
    if one_size:
        return samples * one_size
    table = reader.at(sizes.content + 12 + (count - samples) * 4, samples * 4)
    return sum(int.from_bytes(table[n : n + 4], "big") for n in range(0, len(table), 4))
