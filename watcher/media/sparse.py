"""Parts of a file that were never written: holes, which the file system knows, and runs of zeros, which it does not.

Torrent clients and copiers reserve a file's full size first, so its size and its headers can be right long before its
content is. Only the payload is looked at: padding of zeros between is lawful (Android writes `free` boxes of 400 KB).
The count of allocated blocks is not used: compression makes it small, and a reservation makes it right too early.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Range = tuple[int, int]

ZERO_RUN_BYTES: Final = 16 << 10
"""No intact film of 236 was seen with a longer run of zeros in compressed payload."""
SILENT_RUN_BYTES: Final = 1 << 20
"""The same for codecs that store silence or padding as zeros: PCM, MPEG-2."""
SUSPECT_PAGE_BYTES: Final = 4096
"""A page of zeros is what a lost write leaves. Whether it proves that, the film's codecs decide; it always asks for a
closer look."""
QUICK_BYTES: Final = 256 << 20
"""A larger file is sampled: 512 windows of 64 KiB, evenly, and the last 4 MiB, which is what is written last."""
_WINDOWS: Final = 512
_WINDOW_BYTES: Final = 64 << 10
_TAIL_BYTES: Final = 4 << 20
_CHUNK_BYTES: Final = 1 << 20
_RUNS_KEPT: Final = 64
_LAST_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class Zeros:
    """What a scan for zeros found in the payload."""

    longest: int = 0
    """Bytes of the longest run, counted in whole pages."""
    at: int | None = None
    """Where it begins."""
    runs: tuple[Range, ...] = ()
    """The first 64 runs of at least one page."""
    at_end: int = 0
    """Zeros that the payload ends with; counted to 64."""
    bytes_read: int = 0

    def told(self) -> str:
        """Say it as a line of evidence."""
        return f"zeros: {self.longest:,} bytes from byte {self.at or 0:,} on"


def holes(path: bytes, payload: Sequence[Range]) -> list[Range]:
    """Give the holes in the payload: also what is reserved (fallocate) and not yet written.

    Empty where the file system cannot tell (NFS before 4.2, SMB). On ZFS and btrfs written zeros may be holes too.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return [part for hole in _holes(descriptor, os.fstat(descriptor).st_size) for part in _common(hole, payload)]
    finally:
        os.close(descriptor)


def _holes(descriptor: int, size: int) -> Iterator[Range]:
    offset = 0
    while offset < size:
        start = _seek(descriptor, offset, os.SEEK_HOLE, size)
        if start >= size:
            return
        offset = _seek(descriptor, start, os.SEEK_DATA, size)
        yield start, offset


def _seek(descriptor: int, offset: int, whence: int, size: int) -> int:
    try:
        return min(size, os.lseek(descriptor, offset, whence))
    except OSError as error:
        if error.errno in {errno.ENXIO, errno.EINVAL, errno.ENOTSUP}:  # no data behind it; or it cannot be asked
            return size
        raise


def _common(hole: Range, payload: Sequence[Range]) -> Iterator[Range]:
    for start, end in payload:
        if max(start, hole[0]) < min(end, hole[1]):
            yield max(start, hole[0]), min(end, hole[1])


def scan(
    path: bytes,
    payload: Sequence[Range],
    *,
    whole: bool,
    look: Callable[[int, bytes], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Zeros:
    """Look for the longest run of zeros in the payload; `whole` reads all of it even where it is large.

    `look` gets all that is read, with its offset, so that a film need not be read twice.

    Runs are counted in pages of 4 KiB aligned as in the file, since that is what a disk or a downloader leaves out.
    `should_stop` is asked once a megabyte. Raises OSError: a whole scan is also the proof that the disk can be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        scanner = _Scanner(descriptor, look, should_stop)
        for start, end in payload if whole else _sampled(payload):
            scanner.take(start, end)
            if not whole:
                scanner.follow(end, payload[-1][1])
        at = scanner.at if scanner.longest else None
        return Zeros(scanner.longest, at, tuple(scanner.runs), _at_end(descriptor, payload), scanner.bytes_read)
    finally:
        os.close(descriptor)


def _at_end(descriptor: int, payload: Sequence[Range]) -> int:
    if not payload:
        return 0
    start, end = payload[-1]
    last = os.pread(descriptor, min(_LAST_BYTES, end - start), max(start, end - _LAST_BYTES))
    return len(last) - len(last.rstrip(b"\0"))


def _sampled(payload: Sequence[Range]) -> Iterator[Range]:
    total = sum(end - start for start, end in payload)
    if total <= QUICK_BYTES:
        yield from payload
        return
    stride = total // _WINDOWS
    for start, end in payload:
        for at in range(start, end, stride):
            yield at, min(end, at + _WINDOW_BYTES)
    yield max(payload[-1][0], payload[-1][1] - _TAIL_BYTES), payload[-1][1]


class _Scanner:
    def __init__(
        self, descriptor: int, look: Callable[[int, bytes], None] | None, should_stop: Callable[[], bool]
    ) -> None:
        self._descriptor = descriptor
        self._look = look
        self._should_stop = should_stop
        self.longest = 0
        self.at = 0
        self._run = 0
        self.runs: list[Range] = []
        self.bytes_read = 0

    def take(self, start: int, end: int) -> None:
        """Scan one range, chunk by chunk; a run goes on from chunk to chunk but not from range to range."""
        self._run = 0
        self._read(start, end)

    def follow(self, offset: int, end: int) -> None:
        """Go on from a sample that ends in zeros, until they end or are so many that they prove something anyway."""
        begun = offset - self._run + SUSPECT_PAGE_BYTES  # whatever begins later is another run
        while self._run and offset - self._run < begun and self.longest < SILENT_RUN_BYTES and offset < end:
            until = min(end, (offset // SUSPECT_PAGE_BYTES) * SUSPECT_PAGE_BYTES + _WINDOW_BYTES)
            self._read(offset, until)
            offset = until

    def _read(self, offset: int, end: int) -> None:
        first_page = -(-offset // SUSPECT_PAGE_BYTES) * SUSPECT_PAGE_BYTES
        while offset < end and not self._should_stop():
            until = first_page if offset < first_page else offset + _CHUNK_BYTES
            chunk = os.pread(self._descriptor, min(until, end) - offset, offset)
            if not chunk:
                return
            self.bytes_read += len(chunk)
            if self._look is not None:
                self._look(offset, chunk)
            if offset >= first_page:
                self._run = self._pages(chunk, offset, self._run)
            offset += len(chunk)

    def _pages(self, chunk: bytes, offset: int, run: int) -> int:
        """Count on through a chunk's pages; gives the run that reaches its end."""
        for at in range(0, len(chunk), SUSPECT_PAGE_BYTES):
            # The first byte decides for 255 pages in 256, so that the scan runs at the disk's speed.
            page = chunk[at : at + SUSPECT_PAGE_BYTES] if not chunk[at] else b"\1"
            if page.count(0) < len(page) or (not run and len(page) < SUSPECT_PAGE_BYTES):
                run = 0
                continue
            run += len(page)
            end = offset + at + len(page)
            self._keep(end - run, end)
            if run > self.longest:
                self.longest, self.at = run, end - run
        return run

    def _keep(self, start: int, end: int) -> None:
        """Keep a run, in the place of itself when it has grown."""
        if self.runs and self.runs[-1][0] == start:
            self.runs[-1] = (start, end)
        elif len(self.runs) < _RUNS_KEPT:
            self.runs.append((start, end))
