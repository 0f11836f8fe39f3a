"""What a Matroska film holds that FFmpeg neither shows nor copies: it would be lost, and no comparison would see it.

    several editions, ordered or hidden ones     FFmpeg knows one list of chapters, played from front to end
    chapters within chapters, or of other files  the same
    chapters named in several languages          one name of each is kept
    commands of a disc's menu                    none are kept
    links to the file before or after            a new file gets a new identity, and names no other
    a crop of the picture                        FFmpeg before 7.1 does not know it

What stands in the file by Matroska's specification, RFC 9559. That the one name of a chapter is in English or German is
lost too, and not told: no player shows it, and every film has it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from watcher.media.containers import ebml
from watcher.media.containers.base import Reader, TooMuchError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SEGMENT, _SEEK_HEAD, _SEEK, _CLUSTER = 0x18538067, 0x114D9B74, 0x4DBB, 0x1F43B675
_INFO, _TRACKS, _CHAPTERS = 0x1549A966, 0x1654AE6B, 0x1043A770
_LINKS: Final = {0x3CB923: "the file before", 0x3EB923: "the file after"}
_EDITION, _ORDERED, _ATOM, _DISPLAY, _OTHER_FILE, _MENU = 0x45B9, 0x45DD, 0xB6, 0x80, 0x6E67, 0x6944
_TRACK, _VIDEO, _NUMBER = 0xAE, 0xE0, 0xD7
_CROPS: Final = frozenset({0x54AA, 0x54BB, 0x54CC, 0x54DD})
_LIMIT_BYTES: Final = 4 << 20
"""Of one of these elements; thousands of chapters take a tenth."""


def not_shown(path: bytes) -> tuple[str, ...]:
    """Name all of that in a file, in words; nothing in one that is no Matroska. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        reader = Reader(descriptor, os.fstat(descriptor).st_size)
        return tuple(dict.fromkeys(_told(reader)))
    except TooMuchError:
        return ()  # the structure's walk has said so
    finally:
        os.close(descriptor)


def _told(reader: Reader) -> Iterator[str]:
    for ident, content in _heads(reader):
        if ident == _INFO:
            yield from (f"a link to {what}" for link, what in _LINKS.items() if dict(ebml.inside(content)).get(link))
        elif ident == _CHAPTERS:
            yield from _of_chapters(content)
        else:
            yield from _of_tracks(content)


def _heads(reader: Reader) -> Iterator[tuple[int, bytes]]:
    """Give information, tracks and chapters, which stand before the first cluster, or where the index says."""
    head = ebml.element_at(reader, 0)
    segment = ebml.element_at(reader, head.end) if head is not None and head.end is not None else None
    if segment is None or segment.ident != _SEGMENT:
        return
    seen: set[int] = set()
    waiting, offset = [], segment.content
    while (found := ebml.element_at(reader, offset)) is not None and found.end is not None and found.ident != _CLUSTER:
        if found.ident == _SEEK_HEAD:
            waiting += [segment.content + place for place in _places(_content(reader, found))]
        elif found.ident in {_INFO, _TRACKS, _CHAPTERS}:
            seen.add(found.start)
            yield found.ident, _content(reader, found)
        offset = found.end
    for place in waiting:
        found = ebml.element_at(reader, place)
        if found is not None and found.ident in {_INFO, _TRACKS, _CHAPTERS} and found.start not in seen:
            seen.add(found.start)
            yield found.ident, _content(reader, found)


def _places(content: bytes) -> Iterator[int]:
    for ident, seek in ebml.inside(content):
        if ident == _SEEK and (place := dict(ebml.inside(seek)).get(0x53AC)):
            yield int.from_bytes(place, "big")


def _content(reader: Reader, found: ebml.Element) -> bytes:
    return reader.at(found.content, min((found.end or found.content) - found.content, _LIMIT_BYTES))


def _of_chapters(content: bytes) -> Iterator[str]:
    editions = [edition for ident, edition in ebml.inside(content) if ident == _EDITION]
    if len(editions) > 1:
        yield f"{len(editions)} editions"
    for edition in editions:
        if any(dict(ebml.inside(edition)).get(_ORDERED, b"")):
            yield "an edition that plays its chapters in an order of their own"
        for ident, atom in ebml.inside(edition):
            if ident == _ATOM:
                yield from _of_atom([ident for ident, _ in ebml.inside(atom)])


def _of_atom(idents: list[int]) -> Iterator[str]:
    if _ATOM in idents:
        yield "chapters within chapters"
    if idents.count(_DISPLAY) > 1:
        yield "chapters named in several languages"
    if _OTHER_FILE in idents:
        yield "chapters that stand in another file"
    if _MENU in idents:
        yield "commands of a disc's menu"


def _of_tracks(content: bytes) -> Iterator[str]:
    for ident, track in ebml.inside(content):
        if ident == _TRACK:
            fields = dict(ebml.inside(track))
            number = int.from_bytes(fields.get(_NUMBER, b""), "big")
            if any(any(value) for key, value in ebml.inside(fields.get(_VIDEO, b"")) if key in _CROPS):
                yield f"a crop of the picture of track {number}"
