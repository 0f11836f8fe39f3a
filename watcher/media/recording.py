"""Recordings of broadcasts, which begin and end anywhere: what decoders say of their first and last pictures is no damage.

A receiver starts within a group of pictures, whose references are missing, and stops within a picture. The container
declares no end, so nothing is missing either. Whether complaints come from the edges is found out by decoding the edges
alone: what the whole film made a decoder say must be said there again, word for word.
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
_HEAD_SEC: Final = 5.0
"""Two groups of pictures of the longest kind that is broadcast."""
_TAIL_SEC: Final = 10.0
"""The same, and a group before it to begin decoding with."""
_AT_THE_END: Final = 6
"""Complaints about the last picture and the last sounds; more are no end but damage."""
_ADDRESS: Final = re.compile(r"0x[0-9a-f]+")


async def complains_of_edges_only(
    finished: Finished, duration_sec: float | None, sample: Callable[[decode.Window], Awaitable[Finished]]
) -> bool:
    """Tell whether every line of a whole pass is about the film's first or last pictures. `sample` decodes a part."""
    lines = _plain(finished.stderr_lines)
    if not duration_sec or finished.stderr_count > len(finished.stderr_lines):
        return False
    head = decode.Window(0.0, min(_HEAD_SEC, duration_sec / 10))
    tail_sec = min(_TAIL_SEC, duration_sec / 4)
    tail = decode.Window(duration_sec - tail_sec, None)
    at_start = _plain((await sample(head)).stderr_lines)
    behind = lines - Counter({line: count for line, count in at_start.items() if complaints.is_of_a_start(line)})
    if not behind:
        return True
    if complaints.defects(tuple(behind.elements())) > _AT_THE_END:
        return False
    return not behind - _plain((await sample(tail)).stderr_lines)


def excuses(lines: tuple[str, ...], window: decode.Window, duration_sec: float) -> bool:
    """Tell whether what a sample of a recording made decoders say is what its first or last pictures do."""
    if window.start_sec == 0:
        return all(map(complaints.is_of_a_start, lines))
    reaches_the_end = window.length_sec is None or window.start_sec + window.length_sec >= duration_sec
    return reaches_the_end and complaints.defects(lines) <= _AT_THE_END


def _plain(lines: tuple[str, ...]) -> Counter[str]:
    """Count decoders' own lines, without the addresses that differ from one run to the next."""
    return Counter(_ADDRESS.sub("", line) for line in complaints.own(lines))
