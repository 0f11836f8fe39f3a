"""Recordings of broadcasts, which begin and end anywhere: what decoders say of their first and last pictures is no damage.

A receiver starts within a group of pictures, whose references are missing, and stops within a picture. The container
declares no end, so nothing is missing either. Whether complaints come from the edges is found out by decoding the start
alone, and all but the end: what is said of the film behind its start and before its end must be nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

from watcher.media import complaints, decode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from watcher.media.ffmpeg import Finished

CONTAINERS: Final = frozenset({"mpegts", "mpegps"})
NOTE: Final = "it begins or ends within a picture, as recordings do"
_SHORTEST_SEC: Final = 20.0
"""Nobody records less, and of a shorter film the edges would be too great a part."""
_HEAD_SEC: Final = 5.0
"""Two groups of pictures of the longest kind that is broadcast."""
_TAIL_SEC: Final = 3.0
"""More than the last picture and the last sounds take."""
_FIRST_FRAME_SEC: Final = 0.1
_LAST_FRAME_SEC: Final = 0.5
"""The longest frame of AC-3 is 48 ms, and a window may go on a little longer than it is told."""
_AT_THE_END: Final = 6
"""Complaints about the last picture and the last sounds; more are no end but damage."""
_ADDRESS: Final = re.compile(r"0x[0-9a-f]+")


async def complains_of_edges_only(
    finished: Finished, duration_sec: float | None, sample: Callable[[decode.Window], Awaitable[Finished]]
) -> bool:
    """Tell whether every line of a whole pass is about the film's first or last pictures. `sample` decodes a part."""
    duration = duration_sec or 0.0
    lines = finished.stderr_lines
    if duration < _SHORTEST_SEC or finished.stderr_count > len(lines) or complaints.speaks_of_the_middle(lines):
        return False
    heard = _plain((await sample(decode.Window(0.0, min(_HEAD_SEC, duration / 10)))).stderr_lines)
    at_start = Counter({line: count for line, count in heard.items() if complaints.is_of_a_start(line)})
    behind = _others(finished, at_start)
    if not behind or complaints.defects(tuple(behind.elements())) > _AT_THE_END:
        return not behind
    # From the start, though it costs a second decoding: a seek in a broadcast lands seconds before its place.
    but_the_end = await sample(decode.Window(0.0, duration - _TAIL_SEC))
    return but_the_end.returncode == 0 and not _others(but_the_end, at_start)


async def complains_at_an_edge(
    duration_sec: float | None, sample: Callable[[decode.Window], Awaitable[Finished]]
) -> bool:
    """Tell whether the one complaint about a film is about its first frame of sound or its last half second."""
    if not duration_sec:
        return False
    first = await sample(decode.Window(0.0, min(_FIRST_FRAME_SEC, duration_sec / 4)))
    if first.stderr_lines:
        return first.returncode == 0
    but_the_end = await sample(decode.Window(0.0, max(duration_sec / 2, duration_sec - _LAST_FRAME_SEC)))
    return but_the_end.returncode == 0 and not but_the_end.stderr_lines


def excuses(lines: tuple[str, ...], window: decode.Window, duration_sec: float) -> bool:
    """Tell whether what a sample of a recording made decoders say is what its first or last pictures do."""
    if window.start_sec == 0:
        return all(map(complaints.is_of_a_start, lines))
    reaches_the_end = window.length_sec is None or window.start_sec + window.length_sec >= duration_sec
    return reaches_the_end and complaints.defects(lines) <= _AT_THE_END


def _others(finished: Finished, at_start: Counter[str]) -> Counter[str]:
    """Give the lines that the film's start does not explain."""
    others = _plain(finished.stderr_lines) - at_start
    return others - Counter([line for line in others if complaints.is_an_echo(line, tuple(at_start))][:1])


def _plain(lines: tuple[str, ...]) -> Counter[str]:
    """Count decoders' own lines, without the addresses that differ from one run to the next."""
    return Counter(_ADDRESS.sub("", line) for line in complaints.own(lines))
