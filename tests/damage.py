"""Ways in which films arrive broken: each makes one damaged copy of an intact film, in constant memory.

What is taken away lies where the film's bytes are densest, so that a copy is never damaged in its padding only; a copy
that came out equal to the film is no variant of it.
"""

from __future__ import annotations

import os
import random
import shutil
import struct
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Expected = Literal["whole", "partial", "corrupt", "open"]
"""whole: may be called COMPLETE, with a note. partial: content is missing. corrupt: content was changed. open: nothing
in the file tells, or one bit is no visible damage; counted, but neither a hit nor a miss."""

_PAGE = 4096
_COPY = 1 << 20


class Variant(NamedTuple):
    """One way of being broken."""

    name: str
    expected: Expected
    damage: Callable[[Path, random.Random], bool]
    """Changes a copy in place; False when the film has nothing to be damaged in this way."""


def variants(film: Path, folder: Path, *, only: str = "") -> Iterator[tuple[Variant, Path]]:
    """Make one damaged copy after another in `folder`; each is removed before the next one is made.

    `only` is how a variant's name begins, or one of several with commas between. The same film gives the same copies every time.
    """
    for variant in VARIANTS:
        if not variant.name.startswith(tuple(only.split(","))):
            continue
        copy = folder / f"{variant.name}{film.suffix}"
        shutil.copyfile(film, copy)
        try:
            if variant.damage(copy, random.Random(f"{film.name} {variant.name}")) and not _equal(film, copy):
                yield variant, copy
        finally:
            copy.unlink()


def _equal(one: Path, other: Path) -> bool:
    """Compare content and holes: a hole where zeros were is no damage, but a hole is never put there."""
    if one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as left, other.open("rb") as right:
        while chunk := left.read(_COPY):
            if chunk != right.read(_COPY):
                return False
    return True


# --- the end is missing


def _cut(share: float) -> Callable[[Path, random.Random], bool]:
    def damage(copy: Path, _: random.Random) -> bool:
        os.truncate(copy, int(copy.stat().st_size * share))
        return True

    return damage


def _cut_between_packets(copy: Path, _: random.Random) -> bool:
    """Cut a transport stream where a packet ends: it declares no length, so nothing is wrong with what is left."""
    size = copy.stat().st_size
    head = _read(copy, 0, 1000)
    for packet, at in ((188, 0), (192, 4), (204, 0)):
        if len(head) > packet * 3 + at and all(head[at + packet * number] == 0x47 for number in range(3)):
            os.truncate(copy, size * 7 // 10 // packet * packet)
            return True
    return False


def _cut_between_fragments(copy: Path, _: random.Random) -> bool:
    """Cut an MP4 where one of its later fragments begins."""
    starts = [at for kind, at, _ in _boxes(copy) if kind == b"moof"]
    if len(starts) < 2:
        return False
    os.truncate(copy, starts[len(starts) * 7 // 10 or 1])
    return True


# --- parts were never written


def _unwritten(share: float, at_least: int, *, sparse: bool) -> Callable[[Path, random.Random], bool]:
    def damage(copy: Path, chance: random.Random) -> bool:
        size = copy.stat().st_size
        length = max(at_least, int(size * share) // _PAGE * _PAGE)
        if size < 4 * length:
            return False
        _take_away(copy, [(_dense(copy, length, chance), length)], sparse=sparse)
        return True

    return damage


def _reserved(*, sparse: bool) -> Callable[[Path, random.Random], bool]:
    """Give what a copier leaves that reserves the size first and has come to 60 %."""

    def damage(copy: Path, _: random.Random) -> bool:
        size = copy.stat().st_size
        start = size * 6 // 10 // _PAGE * _PAGE
        _take_away(copy, [(start, size - start)], sparse=sparse)
        return size - start >= _PAGE

    return damage


def _torrent(*, sparse: bool) -> Callable[[Path, random.Random], bool]:
    """Give what a torrent client has after 60 % of the pieces, which come in any order; first and last are there."""

    def damage(copy: Path, chance: random.Random) -> bool:
        size = copy.stat().st_size
        piece = max(_PAGE, min(1 << 20, size // 24) // _PAGE * _PAGE)
        middle = range(piece, size - piece, piece)
        if len(middle) < 4:
            return False
        missing = chance.sample(middle, len(middle) * 4 // 10)
        _take_away(copy, [(at, min(piece, size - piece - at)) for at in missing], sparse=sparse)
        return True

    return damage


def _zero_head(copy: Path, _: random.Random) -> bool:
    _take_away(copy, [(0, min(_PAGE, copy.stat().st_size))], sparse=False)
    return True


def _zero_tail(copy: Path, _: random.Random) -> bool:
    size = copy.stat().st_size
    length = min(64 << 10, size // 4)
    _take_away(copy, [(size - length, length)], sparse=False)
    return True


# --- parts are not what they were


def _flip(count: int) -> Callable[[Path, random.Random], bool]:
    """Change single bits, anywhere behind the first headers."""

    def damage(copy: Path, chance: random.Random) -> bool:
        size = copy.stat().st_size
        for _ in range(count):
            at = chance.randrange(size // 20, size * 19 // 20)
            _write(copy, at, bytes([_read(copy, at, 1)[0] ^ 1 << chance.randrange(8)]))
        return True

    return damage


def _garbage(copy: Path, chance: random.Random) -> bool:
    size = copy.stat().st_size
    length = max(512, min(64 << 10, size // 200))
    _write(copy, _dense(copy, length, chance), chance.randbytes(length))
    return size > 4 * length


def _void_index(copy: Path, _: random.Random) -> bool:
    """Make an MP4's index free space: all of the film is there, and nobody can play it."""
    found = [at for kind, at, _ in _boxes(copy) if kind == b"moov"]
    for at in found:
        _write(copy, at + 4, b"free")
    return bool(found)


# --- nothing of the film is missing


def _void_cues(copy: Path, _: random.Random) -> bool:
    """Make Matroska's index for seeking a Void of the same size: players only seek more slowly."""
    size = copy.stat().st_size
    for start in (max(0, size - _COPY), 0):
        at = _read(copy, start, _COPY).rfind(b"\x1c\x53\xbb\x6b")
        if at < 0 or _read(copy, 0, 4) != b"\x1a\x45\xdf\xa3":
            continue
        length_byte = _read(copy, start + at + 4, 1)[0]
        width = 9 - length_byte.bit_length()
        length = int.from_bytes(_read(copy, start + at + 4, width), "big") & (1 << 7 * width) - 1
        if length > _COPY or start + at + 4 + width + length > size:
            continue
        # Void's name is three bytes shorter; a length of eight bytes takes up what is left, the content the rest.
        body = 4 + width + length - 9
        if body >= 0:
            _write(copy, start + at, b"\xec\x01" + body.to_bytes(7, "big"))
            return True
    return False


def _append(content: Callable[[random.Random], bytes]) -> Callable[[Path, random.Random], bool]:
    def damage(copy: Path, chance: random.Random) -> bool:
        with copy.open("ab") as file:
            file.write(content(chance))
        return True

    return damage


VARIANTS = (
    Variant("cut-10%", "partial", _cut(0.1)),
    Variant("cut-50%", "partial", _cut(0.5)),
    Variant("cut-90%", "partial", _cut(0.9)),
    Variant("cut-99%", "partial", _cut(0.99)),
    Variant("cut-99.9%", "partial", _cut(0.999)),
    Variant("cut-packet", "open", _cut_between_packets),
    Variant("cut-fragment", "open", _cut_between_fragments),
    Variant("hole-0.1%", "partial", _unwritten(0.001, _PAGE, sparse=True)),
    Variant("hole-1%", "partial", _unwritten(0.01, _PAGE, sparse=True)),
    Variant("zeros-4k", "partial", _unwritten(0, _PAGE, sparse=False)),
    Variant("zeros-12k", "partial", _unwritten(0, 3 * _PAGE, sparse=False)),
    Variant("zeros-1%", "partial", _unwritten(0.01, 4 * _PAGE, sparse=False)),
    Variant("zero-head", "partial", _zero_head),
    Variant("zero-tail", "partial", _zero_tail),
    Variant("reserved-hole", "partial", _reserved(sparse=True)),
    Variant("reserved-zeros", "partial", _reserved(sparse=False)),
    Variant("torrent-hole", "partial", _torrent(sparse=True)),
    Variant("torrent-zeros", "partial", _torrent(sparse=False)),
    Variant("no-index", "corrupt", _void_index),
    Variant("flip-20", "corrupt", _flip(20)),
    Variant("garbage", "corrupt", _garbage),
    Variant("flip-1", "open", _flip(1)),
    Variant("no-cues", "whole", _void_cues),
    Variant("junk-after", "whole", _append(lambda chance: chance.randbytes(3000))),
    Variant("zeros-after", "whole", _append(lambda _: bytes(70_000))),
)


# --- the pieces


def _read(path: Path, at: int, length: int) -> bytes:
    with path.open("rb") as file:
        file.seek(at)
        return file.read(length)


def _write(path: Path, at: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


def _dense(path: Path, length: int, chance: random.Random) -> int:
    """Give a page in the middle half at which, of eight tries, the fewest zeros stand."""
    size = path.stat().st_size
    tries = [chance.randrange(size // 4, max(size // 4 + 1, size * 3 // 4 - length)) & -_PAGE for _ in range(8)]
    return min(tries, key=lambda at: _read(path, at, min(length, _COPY)).count(0))


def _take_away(path: Path, parts: list[tuple[int, int]], *, sparse: bool) -> None:
    """Let zeros or holes stand where parts were. A new file takes the place: a hole can only be left, not made."""
    size, old = path.stat().st_size, path.with_name(path.name + ".old")
    path.rename(old)
    try:
        with old.open("rb") as source, path.open("wb") as target:
            at = 0
            for start, length in [*sorted(parts), (size, 0)]:
                source.seek(at)
                target.seek(at)
                _copy(source, target, start - at)
                at = start + length
                if not sparse:
                    _copy(None, target, length)
            target.truncate(size)
    finally:
        old.unlink()


def _copy(source, target, length: int) -> None:
    while length > 0:
        chunk = source.read(min(_COPY, length)) if source else bytes(min(_COPY, length))
        if not chunk:
            return
        target.write(chunk)
        length -= len(chunk)


def _boxes(path: Path) -> Iterator[tuple[bytes, int, int]]:
    """Go through the outermost boxes of an MP4: kind, offset, size. Nothing for other files."""
    at, size = 0, path.stat().st_size
    if _read(path, 4, 4) not in {b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip", b"styp"}:
        return
    while at + 8 <= size:
        length, kind = struct.unpack(">I4s", _read(path, at, 8))
        if length == 1:
            length = int.from_bytes(_read(path, at + 8, 8), "big")
        length = length or size - at
        yield kind, at, length
        if length < 8:
            return
        at += length
