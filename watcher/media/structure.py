"""Whether a file is as long as its own headers say: read in milliseconds, whatever its size, and without FFmpeg.

FFmpeg does not tell: it plays what is there of a cut film, and exits 0. The headers do: a Matroska segment, an MP4's
boxes, a RIFF declare where they end. A walk never raises on any content, only on what the disk does.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from watcher.media.containers import asf, audio, ebml, flac, flv, magic, mp4, mpegps, mpegts, ogg, riff
from watcher.media.containers.base import Range, Reader, Structure, TooMuchError, tag_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Range", "Structure", "walk"]

_HEAD_BYTES: Final = 4096
_MP4_FIRST: Final = frozenset(
    (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"moof", b"sidx")
)


def walk(path: bytes) -> Structure:
    """Read a file's structure. Raises OSError when it cannot be read, and nothing else."""
    # O_NONBLOCK: a pipe that lies in a watched folder must not hold us; for a regular file it means nothing.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        reader = Reader(descriptor, os.fstat(descriptor).st_size)
        try:
            found = _walk(reader)
        except TooMuchError:
            found = Structure("unknown", reasons=("its headers are larger than any film's",))
        return replace(found, bytes_read=reader.bytes_read)
    finally:
        os.close(descriptor)


def _walk(reader: Reader) -> Structure:
    head = reader.at(0, _HEAD_BYTES)
    if not head:
        return Structure("cut", offset=0, reasons=("the file is empty",))
    if not any(head):
        return Structure("cut", offset=0, reasons=(f"its first {len(head):,} bytes are zeros",), zeros=True)
    for is_it, walk_it in _WALKS:
        if is_it(head):
            return walk_it(reader)
    return _by_content(reader, head)


def _by_content(reader: Reader, head: bytes) -> Structure:
    payload = ((0, reader.size),)
    start = tag_bytes(reader)
    if reader.at(start, 4) == b"fLaC":
        return flac.walk(reader, start)
    if name := audio.detect(reader, start):
        return audio.walk(reader, name, start)
    if packets := mpegts.detect(head):
        return mpegts.walk(reader, *packets)
    if name := magic.media(head):
        return Structure("unknown", name, payload=payload, reasons=(f"we do not read the structure of {name}",))
    if name := magic.not_media(head):
        return Structure("not_media", reasons=(f"it is {name}",))
    return Structure("unknown", payload=payload, reasons=("no container was recognised",))


_WALKS: Final[tuple[tuple[Callable[[bytes], bool], Callable[[Reader], Structure]], ...]] = (
    (lambda head: head.startswith(b"\x1a\x45\xdf\xa3"), ebml.walk),
    (lambda head: head[4:8] in _MP4_FIRST, mp4.walk),
    (lambda head: head[:4] in {b"RIFF", b"RF64"} and head[8:12] in {b"AVI ", b"WAVE"}, riff.walk),
    (lambda head: head.startswith(b"FLV\x01"), flv.walk),
    (lambda head: head.startswith(b"OggS"), ogg.walk),
    (lambda head: head.startswith(asf.MAGIC), asf.walk),
    (lambda head: head.startswith(mpegps.MAGIC), mpegps.walk),
)
