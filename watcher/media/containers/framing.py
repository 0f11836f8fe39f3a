"""What a container writes between its data, looked at from beginning to end: packets, blocks and their checksums.

The structure says where a film ends, and decoders say what they cannot read; but Opus, Vorbis, PCM and others decode
anything to some sound, and demuxers pass over frames that they do not know. A Matroska cluster must be tiled by its blocks and may carry a CRC-32 (RFC 8794, section 11.3.1; FFmpeg
and what is built on it write one into each); a transport stream's packets must each begin with 0x47 (ISO 13818-1); a frame of ADTS or AC-3 ends where the next one begins, and so
does a chunk of AVI; packets of ASF have one length and begin alike.

Fed with what the scan for zeros reads anyway; never raises on any bytes.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from watcher.media.containers import audio, ebml, mpegts

if TYPE_CHECKING:
    from collections.abc import Callable

_CLUSTER_MAGIC: Final = ebml.CLUSTER.to_bytes(4, "big")
_ENTERED: Final = {ebml.CLUSTER: "a cluster", ebml.ATTACHMENTS: "attachments"}
_HEADER_BYTES: Final = 12
_CRC_ELEMENT_BYTES: Final = 6
_MARKED: Final = b"\x80"
_CHUNK: Final = re.compile(rb"[0-9A-Fa-f]{2}[A-Za-z]{2}|ix\d\d|JUNK|LIST|RIFF|idx1")
_CHUNK_HEAD_BYTES: Final = 12
_CHUNK_PADDING_BYTES: Final = 2048
"""A sector of a disc."""
_CHUNKS_UNDERSTOOD: Final = 8


@dataclass(slots=True)
class Faults:
    """Where the framing was not what it must be."""

    count: int = 0
    at: int | None = None
    """The first of them."""
    what: str = ""

    def note(self, at: int, what: str) -> None:
        """Count one more."""
        self.count += 1
        if self.at is None:
            self.at, self.what = at, what

    def told(self) -> str:
        """Say it as a line of evidence."""
        more = f", and {self.count - 1:,} more places" if self.count > 1 else ""
        return f"framing: {self.what} at byte {self.at or 0:,}{more}"


class Framing(Protocol):
    """Looks at a file's payload, chunk after chunk, in order."""

    faults: Faults

    def look(self, offset: int, chunk: bytes) -> None:
        """Take in what stands at `offset`; there may be gaps before it."""


def of(container: str, packet_bytes: int = 0) -> Framing | None:
    """Give what looks at this container's framing; None where it has none that we read. `packet_bytes` is ASF's."""
    if container in {"matroska", "webm"}:
        return Clusters()
    if container in {"aac", "ac3"}:  # not MP3: what stands between its frames is often somebody's tag
        return Frames(audio.SIZES[container])
    if container == "asf" and packet_bytes:
        return Marks(packet_bytes)
    if container == "avi":
        return Chunks()
    return Packets() if container == "mpegts" else None


class Packets:
    """A transport stream: every packet begins with its sync byte."""

    def __init__(self) -> None:
        self.faults = Faults()
        self._size = 0
        self._next = 0

    def look(self, offset: int, chunk: bytes) -> None:
        """Look at the first byte of each packet; after a fault, find out where packets go on."""
        while self._next < offset + len(chunk):
            if not self._size:
                found = mpegts.detect(chunk[max(0, self._next - offset) :][:4096])
                if found is None:
                    self._next = max(self._next, offset) + 4096
                    continue
                self._size, first = found
                self._next = max(self._next, offset) + first
            at = self._next - offset
            syncs = chunk[at :: self._size]
            good = len(syncs) - len(syncs.lstrip(b"\x47"))
            self._next += good * self._size
            if good < len(syncs):
                self.faults.note(self._next, "no packet")
                self._size = 0


class Marks:
    """ASF: its packets begin with the flags of their error correction, which every writer gives them all alike."""

    def __init__(self, size: int) -> None:
        self.faults = Faults()
        self._size = size
        self._next = 0
        self._mark = b""
        self._carried_to = -1

    def look(self, offset: int, chunk: bytes) -> None:
        """Look at the first byte of each packet."""
        if offset != self._carried_to:
            self._next, self._mark = offset, chunk[:1]
        self._carried_to = offset + len(chunk)
        marks = chunk[self._next - offset :: self._size]
        alike = len(marks) - len(marks.lstrip(self._mark))
        if alike < len(marks) and self._mark >= _MARKED and not self.faults.count:
            self.faults.note(self._next + alike * self._size, "no packet")
        self._next += len(marks) * self._size


class Frames:
    """Sound by itself, from its first frame on: each one leads to the next. Only the first fault is told."""

    def __init__(self, size_of: Callable[[bytes], int]) -> None:
        self.faults = Faults()
        self._size_of = size_of
        self._next: int | None = None
        self._lost = False
        self._carry = b""
        self._carried_to = -1

    def look(self, offset: int, chunk: bytes) -> None:
        """Go from frame to frame as far as the chunk reaches."""
        if (
            self._next is None or offset != self._carried_to
        ):  # a gap ends somewhere within a frame: nothing to go on from
            self._carry, self._lost, self._next = b"", self._next is not None, offset
        data, base, self._carried_to = self._carry + chunk, offset - len(self._carry), offset + len(chunk)
        while not (self._lost or self.faults.count) and (at := self._next - base) + audio.FRAME_HEAD_BYTES <= len(data):
            size = self._size_of(data[at : at + audio.FRAME_HEAD_BYTES])
            if size:
                self._next += size
            else:
                self.faults.note(self._next, "no frame of sound")
        self._carry = data[-audio.FRAME_HEAD_BYTES :]


class Chunks:
    """AVI: a chunk leads to the next. FFmpeg looks for one that it knows where that ends, and says nothing.

    Only the first fault is told, and only of writers whose way is understood: some leave out the byte that makes sizes
    even, and some fill up with zeros.
    """

    def __init__(self) -> None:
        self.faults = Faults()
        self._next = 0
        self._seen = 0
        self._padding = 0
        self._carry = b""
        self._carried_to = -1
        self._done = False

    def look(self, offset: int, chunk: bytes) -> None:
        """Go from chunk to chunk as far as these bytes reach."""
        if offset != self._carried_to:  # a list's content begins with its name
            self._carry, self._next, self._padding = b"", offset + 4, 0
        data, base, self._carried_to = self._carry + chunk, offset - len(self._carry), offset + len(chunk)
        while not self._done and (at := self._next - base) + _CHUNK_HEAD_BYTES <= len(data):
            self._step(data, at)
        self._carry = data[-_CHUNK_HEAD_BYTES - 1 :]

    def _step(self, data: bytes, at: int) -> None:
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if _CHUNK.match(data, at):
            self._next += 12 if data[at : at + 4] in {b"LIST", b"RIFF"} else 8 + size + (size & 1)
            self._seen, self._padding = self._seen + 1, 0
        elif at and not self._padding and _CHUNK.match(data, at - 1):
            self._next -= 1
        elif data[at : at + 2] == bytes(2) and self._padding < _CHUNK_PADDING_BYTES:
            self._next, self._padding = self._next + 2, self._padding + 2
        else:
            self._done = True
            if self._seen >= _CHUNKS_UNDERSTOOD:
                self.faults.note(self._next - self._padding, "no chunk")


class Clusters:
    """Matroska: a cluster's elements lead from one to the next and end where it ends, and its checksum holds.

    So do those of its attachments, whose bytes no decoder sees.
    """

    def __init__(self) -> None:
        self.faults = Faults()
        self._next = 0
        """Where an element must begin; in a damaged cluster, from where on the next one is looked for."""
        self._lost = False
        self._cluster_end: int | None = None
        self._within = _ENTERED[ebml.CLUSTER]
        self._carry = b""
        self._carried_to = -1
        self._checksum: _Checksum | None = None

    def look(self, offset: int, chunk: bytes) -> None:
        """Go from element to element as far as the chunk reaches."""
        if offset != self._carried_to:  # behind a gap, which an element begins
            self._carry, self._checksum, self._cluster_end = b"", None, None
            self._next, self._lost = max(self._next, offset), False
        data, base = self._carry + chunk, offset - len(self._carry)
        if self._checksum is not None:
            self._sum_up(self._checksum, offset, chunk)
        while (at := self._next - base) + _HEADER_BYTES <= len(data):
            if self._lost:
                self._find_cluster(data, base)
            else:
                self._step(data, at, base)
        self._carry, self._carried_to = data[-_HEADER_BYTES:], offset + len(chunk)

    def _find_cluster(self, data: bytes, base: int) -> None:
        at = data.find(_CLUSTER_MAGIC, self._next - base)
        self._lost = at < 0
        self._next = base + (at if at >= 0 else len(data) - 3)

    def _step(self, data: bytes, at: int, base: int) -> None:
        element = ebml.parse(data[at : at + _HEADER_BYTES], self._next)
        if element is None:
            return self._fault()
        if element.ident in ebml.TOP and element.ident not in {ebml.VOID, ebml.CRC}:
            if self._cluster_end is not None and element.start < self._cluster_end:
                return self._fault()
            self._within = _ENTERED.get(element.ident, "")
            self._cluster_end = element.end if self._within else None
            self._next = element.content if self._within else element.end or element.content
            return None
        if element.end is None or (self._cluster_end is not None and element.end > self._cluster_end):
            return self._fault()
        if element.ident == ebml.CRC and element.end - element.start == _CRC_ELEMENT_BYTES and self._cluster_end:
            told = int.from_bytes(data[at + 2 : at + _CRC_ELEMENT_BYTES], "little")
            self._checksum = _Checksum(element.end, self._cluster_end, told)
            self._sum_up(self._checksum, base, data)
        self._next = element.content if element.ident == ebml.BLOCK_GROUP else element.end
        return None

    def _fault(self) -> None:
        self.faults.note(self._next, f"no block of {self._within or _ENTERED[ebml.CLUSTER]}")
        self._lost, self._cluster_end, self._checksum = True, None, None
        self._next += 1

    def _sum_up(self, checksum: _Checksum, offset: int, chunk: bytes) -> None:
        if checksum.take(offset, chunk):
            if checksum.value != checksum.told:
                self.faults.note(checksum.start, f"{self._within} whose checksum does not hold")
            self._checksum = None


@dataclass(slots=True)
class _Checksum:
    """The CRC-32 of what lies from `start` to `end`, as far as it was read."""

    start: int
    end: int
    told: int
    value: int = 0
    read_to: int = 0

    def take(self, offset: int, chunk: bytes) -> bool:
        """Go on through a chunk; tell whether the end was reached."""
        begin = max(self.start, self.read_to) - offset
        part = memoryview(chunk)[max(0, begin) : max(0, self.end - offset)]
        self.value, self.read_to = zlib.crc32(part, self.value), offset + len(chunk)
        return self.read_to >= self.end
