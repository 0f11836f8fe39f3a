"""What a child says: its progress, its lines, and the rest of its output, kept within bounds however much it is."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

STDOUT_LIMIT_BYTES: Final = 16 << 20
LINES_KEPT: Final = 200
"""Of stderr, at each end."""
LINE_CHARS: Final = 500
_PROGRESS_KEYS: Final = frozenset(
    b"frame fps bitrate total_size out_time_us out_time_ms out_time dup_frames drop_frames speed progress".split()
)


_FORM: Final = re.compile(r"\[(?:panic|fatal|error|warning|info)\] ")
"""How `-v level+...` marks FFmpeg's lines, from 5.1 to 8.1."""
_REPORT: Final = re.compile(rb"(?:frame|bitrate)=$")
"""How a report of progress begins, with pictures and without."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where ffmpeg is. It reports its end after SIGTERM too: no position is a sign of success."""

    out_time_sec: float | None
    frame: int | None
    speed: float | None
    """Seconds of film a second of ours."""


class Output:
    """Takes in what a child says as it comes."""

    def __init__(
        self,
        on_progress: Callable[[Progress], None] | None,
        ignore_line: Callable[[str], bool] | None,
        take_line: Callable[[bytes], bool] | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._clock = clock or asyncio.get_running_loop().time
        self._on_progress = on_progress
        self._ignore_line = ignore_line
        self._take_line = take_line
        self.stdout = bytearray()
        self.stdout_cut = False
        self.first: list[str] = []
        self.last: deque[str] = deque(maxlen=LINES_KEPT)
        self.count = 0
        self.spoke = False
        self.reported_end = False
        self.first_line_sec: float | None = None
        self.progress: Progress | None = None
        self.moved_at = self._clock()
        """When the position last changed, by the clock given, else the loop's."""
        self._half_stdout = b""
        self._torn = b""
        self._half_stderr = b""
        self._values: dict[bytes, bytes] = {}

    def take_stdout(self, chunk: bytes) -> None:
        """Sort standard output into progress and the rest."""
        *lines, self._half_stdout = (self._half_stdout + chunk).split(b"\n")
        for line in lines:
            self._stdout_line(line + b"\n")
        if len(self._half_stdout) > 1 << 20:  # no line of FFmpeg's is so long
            self._keep(self._half_stdout)
            self._half_stdout = b""

    def take_stderr(self, chunk: bytes) -> None:
        """Keep the first and the last lines of standard error."""
        *lines, self._half_stderr = (self._half_stderr + chunk).replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            self._stderr_line(line)
        self._half_stderr = self._half_stderr[: 8 * LINE_CHARS]

    def moved(self) -> None:
        """Take note of a sign of life."""
        self.moved_at = self._clock()

    def close(self) -> None:
        """Take in the last lines, which may lack their line end."""
        self._stdout_line(self._half_stdout)
        self._stderr_line(self._half_stderr)

    def _stdout_line(self, line: bytes) -> None:
        key, equals, value = line.partition(b"=")
        if equals and self._take_line is not None and (torn := _REPORT.search(key + equals)) and torn.start():
            # A report of progress is written at once, but anywhere in what a muxer writes: the line goes on after it.
            self._torn, key = line[: torn.start()], key[torn.start() :]
        if not equals or (key not in _PROGRESS_KEYS and not key.startswith(b"stream_")):
            line, self._torn = self._torn + line, b""
            if self._take_line is None or not self._take_line(line):
                self._keep(line)
            return
        self._values[key] = value.strip()
        if key == b"progress":
            self._report()

    def _keep(self, data: bytes) -> None:
        room = STDOUT_LIMIT_BYTES - len(self.stdout)
        self.stdout += data[:room]
        self.stdout_cut |= len(data) > room

    def _report(self) -> None:
        values, self._values = self._values, {}
        self.reported_end = values[b"progress"] == b"end"
        microseconds = _number(values.get(b"out_time_us"))
        frame = _number(values.get(b"frame"))
        now = Progress(
            out_time_sec=None if microseconds is None else microseconds / 1e6,
            frame=None if frame is None else int(frame),
            speed=_number(values.get(b"speed", b"").rstrip(b"x")),
        )
        before, self.progress = self.progress, now
        if before is None or (before.out_time_sec, before.frame) != (now.out_time_sec, now.frame):
            self.moved()
        if self._on_progress is not None:
            self._on_progress(now)

    def _stderr_line(self, raw: bytes) -> None:
        text = "".join(c if c.isprintable() else "?" for c in raw.decode("utf-8", "replace").strip())[:LINE_CHARS]
        self.spoke = self.spoke or bool(_FORM.search(text))
        if not text or (self._ignore_line is not None and self._ignore_line(text)):
            return
        self.count += 1
        if self.count == 1 and self.progress is not None:
            self.first_line_sec = self.progress.out_time_sec
        (self.first if len(self.first) < LINES_KEPT else self.last).append(text)


def _number(text: bytes | None) -> float | None:
    """Read a number of a progress line; None for "N/A" and what is not finite."""
    try:
        value = float(text or b"N/A")
    except ValueError:
        return None
    return value if abs(value) < 1e18 else None
