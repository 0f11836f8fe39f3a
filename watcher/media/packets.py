"""The packets of a film: where they lie in its file, so that a page of zeros within one is told from padding, and when they are due."""

from __future__ import annotations

import bisect
import contextlib
from typing import TYPE_CHECKING, Final, NamedTuple

from watcher.media import ffmpeg

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from watcher.media.checkpoints import Stops
    from watcher.media.ffmpeg import Argument, Finished, Tools

Range = tuple[int, int]

_OVERLAP_BYTES: Final = 1024
_SMALLEST_BYTES: Final = 64
"""So much of a packet must be zeros, or all of one of at least 64 bytes: a frame of silence can be shorter than that."""


class Hit(NamedTuple):
    """A packet in which zeros stand."""

    stream: int
    at: int
    """The first byte of zeros in it."""


def command(tools: Tools, path: bytes) -> list[Argument]:
    """Give the command that lists every packet: its stream, position and size. It reads the film, and decodes nothing."""
    return [
        *(tools.ffprobe, "-hide_banner", "-v", "repeat+level+error", *ffmpeg.SAFE),
        *("-show_entries", "packet=stream_index,pos,size", "-of", "csv=p=0", ffmpeg.source(path)),
    ]


def command_between(tools: Tools, path: bytes, start_sec: float, end_sec: float) -> list[Argument]:
    """Give the command that lists when the packets of a part are shown and decoded, by the film's own time stamps.

    The list begins earlier, at the key frame before it; it says nothing about pictures that nobody can decode.
    """
    return [
        *(tools.ffprobe, "-hide_banner", "-v", "repeat+level+error", *ffmpeg.SAFE),
        *("-read_intervals", f"{start_sec:.3f}%{end_sec:.3f}", "-show_entries", "packet=pts_time,dts_time"),
        *("-of", "csv=p=0", ffmpeg.source(path)),
    ]


def command_first(tools: Tools, path: bytes, stream: int) -> list[Argument]:
    """Give the command that lists a stream's first packet: where there is none it reads the film."""
    return [
        *(tools.ffprobe, "-hide_banner", "-v", "repeat+level+error", *ffmpeg.SAFE, "-select_streams", str(stream)),
        *("-read_intervals", "%+#1", "-show_entries", "packet=size", "-of", "csv=p=0", ffmpeg.source(path)),
    ]


def stand_behind(listing: bytes, start_sec: float) -> bool:
    """Tell whether a list of times names one from then on."""
    return any(time >= start_sec for line in listing.splitlines() for time in _times(line))


def _times(line: bytes) -> Iterable[float]:
    for field in line.split(b",")[:2]:
        with contextlib.suppress(ValueError):  # "N/A"
            yield float(field)


async def ask(tools: Tools, path: bytes, *, time_limit_sec: float, stops: Stops | None = None) -> Finished:
    """Run the command; `stops` may stop and continue it. A list longer than 16 MB (four hours of film) is cut there, and says nothing about the rest."""
    return await ffmpeg.run(command(tools, path), time_limit_sec=time_limit_sec, stops=stops)


def first_hit(listing: bytes, zeros: Sequence[Range], streams: Collection[int]) -> Hit | None:
    """Find the first of these ranges that takes a good part of a packet of one of these streams."""
    zeros = sorted(zeros)
    starts = [start for start, _ in zeros]
    hits: list[Hit] = []
    for stream, at, size in places(listing):
        number = bisect.bisect_left(starts, at + size) - 1  # the last range that begins before the packet's end
        if number >= 0 and stream in streams:
            start, end = max(at, starts[number]), min(at + size, zeros[number][1])
            if size >= _SMALLEST_BYTES and end - start >= min(size, _OVERLAP_BYTES):
                hits.append(Hit(stream, start))
    return min(hits, key=lambda hit: hit.at, default=None)


def places(listing: bytes) -> Iterable[tuple[int, int, int]]:
    """Give each packet's stream, position and size, which ffprobe prints in its own order."""
    for line in listing.splitlines():
        fields = line.split(b",")
        # stream_index, size, pos; "N/A" where a demuxer does not know, and side data may follow
        if len(fields) >= 3 and all(field.isdigit() for field in fields[:3]):
            stream, size, at = map(int, fields[:3])
            yield stream, at, size
