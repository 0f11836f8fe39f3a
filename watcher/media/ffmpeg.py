"""FFmpeg as a child process: the only place in the program that starts one.

A child runs in its own session at low priority, has nothing on its standard input, is bounded in time, memory and
output, and never outlives us. Whoever awaits `run` gets an answer, or CancelledError, only when the process is gone.
The exit code is reported and judged elsewhere: FFmpeg exits 0 on a film cut in half.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final, Literal, TypeVar

from watcher.media.child import Child, Feed, Link
from watcher.media.output import Output, Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from watcher.media.checkpoints import Stops

_Result = TypeVar("_Result")
Argument = str | bytes
Ended = Literal["exit", "timeout", "stalled", "killed"]

__all__ = ["Feed", "Finding", "Finished", "Link", "Progress", "Tools", "clock_of", "run", "source", "uncancelled"]

FORMATS: Final = (
    "matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,avi,mpegts,mpeg,mpegvideo,mp3,flac,ogg,wav,w64,aac,ac3,eac3,dts,truehd,"
    "flv,asf,aiff,amr,rm,mxf,dv,nut,ivf,caf,wtv"
)
"""The demuxers a film may use. None of them opens a second file; hls, concat, dash, sdp and the text formats do or
are no films, and are refused whatever a file's name says."""

SAFE: Final = ("-protocol_whitelist", "file", "-format_whitelist", FORMATS, "-max_streams", "200")
"""Input options of ffmpeg and ffprobe: stand before every `-i`."""

MAX_PIXELS: Final = 70_000_000
"""Of a picture to be decoded: twice 8K. A bomb of 16384x12288 stays at 27 MB instead of 349."""

SAFE_DECODE: Final = (*SAFE, "-max_pixels", str(MAX_PIXELS))
"""The same for decoding."""

QUIET: Final = ("-nostdin", "-hide_banner", "-v", "repeat+level+error", "-nostats")
"""ffmpeg's global options: errors only, one a line, with their level."""

PROGRESS: Final = ("-progress", "pipe:1", "-stats_period", "1")
"""Makes ffmpeg report its position once a second; needed for `on_progress` and `stall_limit_sec`."""

MEMORY_LIMIT_BYTES: Final = 4 << 30
"""Address space of one child. 4K HEVC was seen to need 1 GB and 8K twice that; 4 GiB stop a runaway."""

CRAMPED_SHARE: Final = 0.25
"""Of the limit, held in memory by decoders whose next allocation failed: 0.3 to 0.5 were seen, since stacks and
libraries count for the limit, too. An 8K film took a tenth of it."""

GRACE_SEC: Final = 0.7
"""From SIGTERM to SIGKILL. FFmpeg was seen to leave within 0.1 to 0.5 s; what it still writes is thrown away."""
_PIPES_SEC: Final = 10.0
"""For reading what a process that is gone left in its pipes. Only a grandchild that holds one open makes it so long."""

_SERVICE_VARIABLES: Final = frozenset({"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One line about FFmpeg for a person."""

    level: Literal["ok", "warning", "problem"]
    text: str
    advice: str = ""
    """What it means, or what to do."""


@dataclass(frozen=True, slots=True)
class Tools:
    """The pair of programs to use, and what they can decode. `tools.find_tools` makes it."""

    ffmpeg: str
    ffprobe: str
    version: str
    """ffmpeg's own word for its version, such as "5.1.9-0+deb12u1"."""
    codecs: frozenset[str] = frozenset()
    """The codecs (ffprobe's names) that this ffmpeg can decode without special hardware."""
    findings: tuple[Finding, ...] = ()
    """What can be verified and converted with them, line by line."""
    decoders: frozenset[str] = frozenset()
    """The names of its software decoders: a codec may have several, of which one looks closer."""
    major: int = 5
    """The version's first number, by which options are chosen that not all of them know."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What a child left behind."""

    returncode: int
    """As in subprocess: minus the signal's number when a signal ended it."""
    stdout: bytes
    """Without the progress lines; at most 16 MiB of it."""
    stderr_lines: tuple[str, ...]
    """The first and the last 200 lines, without what `ignore_line` took out."""
    stderr_count: int
    """How many lines there were, without what `ignore_line` took out."""
    cpu_sec: float
    """User and system time of this child alone."""
    ended: Ended
    """Who ended it: itself, our time limit, our stall limit, or somebody else's signal."""
    progress: Progress | None = None
    """The last position reported."""
    first_line_sec: float | None = None
    """The position (out_time) last reported when the first line of stderr came: about where the trouble is."""
    stdout_cut: bool = False
    spoke: bool = False
    """Whether a line of stderr had the form that `level+` gives FFmpeg's lines, those taken out included."""
    reported_end: bool = False
    """Whether the last progress was an end; SIGTERM makes FFmpeg report one too."""
    cramped: bool = False
    """Whether it held so much memory that it may have met its limit: some decoders call that invalid data."""


def source(path: bytes) -> bytes:
    """Give the argument that names a file: absolute and with `file:`, so that no name is an option or a protocol."""
    return b"file:" + os.path.abspath(path)


def beginning(path: bytes, end: int) -> tuple[Argument, ...]:
    """Give the input options and the argument that name a file's first bytes only; put them in the place of `-i`."""
    # The last word on protocols counts. Whatever stands behind the colon is the file, commas and colons included.
    return "-protocol_whitelist", "file,subfile", "-i", b"subfile,,start,0,end,%d,,:" % end + source(path)


def environment() -> dict[str, str]:
    """Give a child's environment: ours without what lets it speak to systemd in our name, and messages in English."""
    kept = {key: value for key, value in os.environ.items() if key not in _SERVICE_VARIABLES}
    return {**kept, "LC_ALL": "C", "AV_LOG_FORCE_NOCOLOR": "1"}


def clock_of(stops: Stops | None) -> Callable[[], float]:
    """Give a clock in seconds that stands still while processes are stopped."""
    now = asyncio.get_running_loop().time
    return now if stops is None else lambda: now() - stops.stopped_sec


async def run(
    argv: Sequence[Argument],
    *,
    time_limit_sec: float,
    stall_limit_sec: float | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    ignore_line: Callable[[str], bool] | None = None,
    take_line: Callable[[bytes], bool] | None = None,
    memory_limit_bytes: int | None = MEMORY_LIMIT_BYTES,
    stops: Stops | None = None,
    feeds: Sequence[Feed] = (),
    ends: Sequence[IO[bytes]] = (),
) -> Finished:
    """Run a command to its end, or to ours.

    `stall_limit_sec` ends it when its reported position (PROGRESS) has not moved for so long. `take_line` is shown each
    line of standard output, with its end, and what it takes is not kept. `stops` may stop and continue it meanwhile: no limit
    counts that time. `feeds` are further outputs, which are closed in the end; `ends` are those of links to other children,
    which are its own from the start. Cancelling ends the whole process group and raises when it is gone, within a second.
    Raises ToolMissing when it cannot be started.
    """
    clock = clock_of(stops)
    output = Output(on_progress, ignore_line, take_line, clock)
    try:
        child = Child(argv, environment(), memory_limit_bytes, [*(feed.writing for feed in feeds), *ends])
    except BaseException:
        for feed in feeds:
            feed.close()
        raise
    pumps: list[asyncio.Task[None]] = []
    try:
        pumps = child.pump(output, feeds)
        with stops.allow(child) if stops is not None else contextlib.nullcontext():
            ended = await _watch(child, output, clock, time_limit_sec, stall_limit_sec)
    finally:
        returncode = await uncancelled(_end(child, pumps))
    output.close()
    return Finished(
        returncode=returncode,
        stdout=bytes(output.stdout),
        stderr_lines=(*output.first, *output.last),
        stderr_count=output.count,
        cpu_sec=child.cpu_sec,
        ended="killed" if ended == "exit" and returncode < 0 else ended,
        progress=output.progress,
        first_line_sec=output.first_line_sec,
        stdout_cut=output.stdout_cut,
        spoke=output.spoke,
        reported_end=output.reported_end,
        cramped=memory_limit_bytes is not None and child.peak_bytes >= memory_limit_bytes * CRAMPED_SHARE,
    )


async def _watch(
    child: Child, output: Output, now: Callable[[], float], time_limit_sec: float, stall_limit_sec: float | None
) -> Ended:
    """Wait until the child has ended or has reached a limit."""
    deadline = now() + time_limit_sec
    while not child.gone.done():
        stalls_at = output.moved_at + stall_limit_sec if stall_limit_sec is not None else deadline
        if now() >= deadline:
            return "timeout"
        if now() >= stalls_at:
            return "stalled"
        await asyncio.wait({child.gone}, timeout=min(deadline, stalls_at) - now())
    return "exit"


async def _end(child: Child, pumps: list[asyncio.Task[None]]) -> int:
    """Give the exit code when the process is gone and its output is read; a living one is ended."""
    patience = _PIPES_SEC if child.gone.done() else 0.1  # of what we ended ourselves nothing more is wanted
    if not child.gone.done():
        child.signal_group(signal.SIGTERM)
        child.signal_group(signal.SIGCONT)  # a stopped process sees SIGTERM only when it goes on
        await asyncio.wait({child.gone}, timeout=GRACE_SEC)
    if not child.gone.done():
        child.signal_group(signal.SIGKILL)
    await child.gone
    returncode = child.reap()
    if pumps:
        # A grandchild could hold a pipe open for ever; FFmpeg has none, a wrapper script may.
        _, late = await asyncio.wait(pumps, timeout=patience)
        for pump in late:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
    return returncode


async def uncancelled(work: Coroutine[None, None, _Result]) -> _Result:
    """See the work through, however often we are cancelled meanwhile; then be cancelled."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    result = task.result()
    if cancelled is not None:
        raise cancelled
    return result
