"""A checksum beside the film: somebody else's word for what its content should be.

Releases come with a `.sfv` (CRC-32), a `.md5` or a `.sha256` that names the film, or is named after it. One that agrees
proves more than any decoder can; one that does not proves damage, unless the film was changed later on purpose: then
its time is later, too. Whatever cannot be read as a checksum is none.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import stat
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from watcher.rules import languages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from watcher.media.evidence import Evidence

_KINDS: Final = {b".sha256": ("sha256", 64), b".md5": ("md5", 32), b".sfv": ("crc32", 8)}
"""By the file's suffix, the strongest first: what is in it, and how many hexadecimal digits one has."""
_COPIED_WITHIN_NS: Final = 3600 * 10**9
"""A film and its checksum that are copied together get times of the same hour, whichever comes first."""
_FILES_READ: Final = 64
_FILE_BYTES: Final = 1 << 20
"""A checksum file of 10,000 names; a larger one is something else."""
_CHUNK_BYTES: Final = 1 << 20
_NAME_LAST: Final = re.compile(rb"(\\?)([0-9a-fA-F]+) [ *](.+)")
_BSD: Final = re.compile(rb"(?:MD5|SHA256) \((.+)\) =")
_HEX: Final = re.compile(rb"[0-9a-fA-F]+")


@dataclass(frozen=True, slots=True)
class Reference:
    """What a film's content should be, and who says so."""

    source: str
    """The file's name, for a person."""
    kind: str
    """sha256, md5 or crc32."""
    digest: str
    """In lower case."""
    mtime_ns: int = 0
    """When it was written."""

    def is_older(self, film: os.stat_result) -> bool:
        """Tell whether the film was changed well after the checksum was written, as by somebody who edits its tags."""
        return film.st_mtime_ns > self.mtime_ns + _COPIED_WITHIN_NS


def find(path: bytes) -> Reference | None:
    """Find the strongest checksum for a film among the files of its folder. Raises nothing."""
    folder, name = os.path.split(path)
    found: list[tuple[int, Reference]] = []
    for sidecar in _sidecars(folder, name):
        with contextlib.suppress(OSError):  # not ours to read: then it says nothing
            found += _read(folder, sidecar, name)
    return min(found, key=lambda pair: pair[0])[1] if found else None


def _sidecars(folder: bytes, film: bytes) -> list[bytes]:
    """Give the checksum files of a folder, those named after the film first."""
    try:
        with os.scandir(folder or b".") as entries:
            names = [entry.name for entry in entries if os.path.splitext(entry.name)[1].lower() in _KINDS]
    except OSError:
        return []
    return sorted(names, key=lambda name: (not _named_after(name, film), name))[:_FILES_READ]


def _named_after(sidecar: bytes, film: bytes) -> bool:
    return os.path.splitext(sidecar)[0] in {film, os.path.splitext(film)[0]}


def _read(folder: bytes, sidecar: bytes, film: bytes) -> Iterator[tuple[int, Reference]]:
    suffix = os.path.splitext(sidecar)[1].lower()
    kind, digits = _KINDS[suffix]
    descriptor = os.open(os.path.join(folder, sidecar), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        known = os.fstat(descriptor)
        if not stat.S_ISREG(known.st_mode) or known.st_size > _FILE_BYTES:
            return
        content = os.read(descriptor, _FILE_BYTES)
    finally:
        os.close(descriptor)
    for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        digest = _digest_in(line.strip(), film, alone=_named_after(sidecar, film))
        if len(digest) == digits:
            yield (
                list(_KINDS).index(suffix),
                Reference(os.fsdecode(sidecar), kind, digest.decode().lower(), known.st_mtime_ns),
            )


def _digest_in(line: bytes, film: bytes, *, alone: bool) -> bytes:
    """Give the checksum that a line has for a film; without a name only where the file is `alone` the film's."""
    if line.startswith(b";"):
        return b""
    if alone and _HEX.fullmatch(line):
        return line
    if found := _NAME_LAST.fullmatch(line):
        escaped, digest, name = found.groups()
        if escaped:  # sha256sum and its kin: a name with a line break or a backslash
            name = re.sub(rb"\\(.)", lambda match: b"\n" if match[1] == b"n" else match[1], name)
    else:
        name, digest = [b"", b"", *line.rsplit(None, 1)][-2:]
        if found := _BSD.fullmatch(name):
            name = found[1]
    return digest if _HEX.fullmatch(digest) and _same_name(name, film) else b""


def _same_name(name: bytes, film: bytes) -> bool:
    """Tell whether a line speaks of the film; Windows minds neither case nor UTF-8."""
    name = name.removeprefix(b"./").removeprefix(b".\\")
    return film.lower() in {name.lower(), name.decode("cp1252", "replace").encode().lower()}


def digest(path: bytes, kind: str, *, should_stop: Callable[[], bool] = lambda: False) -> tuple[str, int]:
    """Read a film and give its checksum and the bytes read. `should_stop` is asked once a megabyte. Raises OSError."""
    crc, total = 0, 0
    hashed = None if kind == "crc32" else hashlib.new(kind, usedforsecurity=False)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        while not should_stop() and (chunk := os.read(descriptor, _CHUNK_BYTES)):
            total += len(chunk)
            if hashed is None:
                crc = zlib.crc32(chunk, crc)
            else:
                hashed.update(chunk)
    finally:
        os.close(descriptor)
    return f"{crc:08x}" if hashed is None else hashed.hexdigest(), total


async def agrees(told: Reference, path: bytes, known: Evidence, should_stop: Callable[[], bool]) -> bool:
    """Compare the film with a checksum; a disagreement is kept in `known`, since zeros may say more about it."""
    found, length = await asyncio.to_thread(digest, path, told.kind, should_stop=should_stop)
    known.bytes_read += length
    words = f"{told.source} says {told.kind} {told.digest}, the content has {found}"
    if found == told.digest:
        known.notes.append(f"{told.source} agrees ({told.kind} {found}), so it was not decoded")
    elif known.probe and any(languages.is_made_title(stream.title) for stream in known.probe.streams):
        known.notes.append(f"{told.source} speaks of the film before its stereo track was added")
    elif told.is_older(await asyncio.to_thread(os.stat, path)):
        known.notes.append(f"{words}; the film was changed later, so it is judged by itself")
    else:
        known.disagreement = f"reference: {words}"
    return found == told.digest
