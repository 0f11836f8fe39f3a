"""Decoding a film to nothing: which streams, the command, and one run of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from watcher.errors import ToolMissing
from watcher.media import decoders, ffmpeg
from watcher.media.complaints import Listener
from watcher.media.containers.base import Structure

if TYPE_CHECKING:
    from collections.abc import Callable

    from watcher.media.checkpoints import Stops
    from watcher.media.ffmpeg import Argument, Finished, Progress, Tools
    from watcher.media.probe import Probe
    from watcher.rules.audio import Stream

SHORT_SEC: Final = 40.0
"""Up to here one pass over key frames and all sound costs less than six starts of ffmpeg."""
STALL_SEC: Final = 120.0
"""A decoder that has not moved for so long stands still: one frame of 8K took under a second."""
SEEK_BYTES_PER_SEC: Final = 5e6
"""A seek in a film without an index reads up to its place, and reports nothing meanwhile."""
_WINDOW_SEC: Final = 1.0
_LAST_WINDOW_SEC: Final = 2.0
_NO_STRUCTURE: Final = Structure("unknown")
_HASHED_BITS: Final = (16, 24)
"""FFmpeg widens samples of other sizes, and so their MD5 is another."""
_WINDOWS: Final = 5
"""With them a check of 40 minutes of 720p cost 0.9 % of decoding them; a third of that is starting FFmpeg."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The streams that a check looks at."""

    video: tuple[Stream, ...]
    audio: tuple[Stream, ...]
    unverified: tuple[Stream, ...]
    """Picture or sound without a decoder here, or too large for one: read, but not decoded."""
    hashed_bits: int = 0
    """A whole decoding prints the MD5 of samples of so many bits, instead of throwing them away; 0: it prints none."""

    @property
    def codecs(self) -> frozenset[str]:
        """The codecs that are decoded."""
        return frozenset(stream.codec for stream in (*self.video, *self.audio))

    @property
    def formless(self) -> tuple[Stream, ...]:
        """Sound of which ffprobe saw nothing, neither its channels nor its rate, beside streams of which it did."""
        formless = tuple(stream for stream in self.audio if not (stream.channels and stream.sample_rate))
        return formless if self.video or len(formless) < len(self.audio) else ()

    def without(self, stream: Stream) -> Chosen:
        """Give the others."""
        return replace(self, audio=tuple(other for other in self.audio if other != stream))


def choose(probe: Probe, tools: Tools, found: Structure = _NO_STRUCTURE) -> Chosen:
    """Sort a film's streams by what can be done with them. Covers are no picture of the film."""
    wanted = [
        decoders.named(stream, tools)
        for stream in probe.streams
        if stream.kind in {"video", "audio"} and "attached_pic" not in stream.dispositions
    ]
    hashed = found.sound_md5 and [stream.codec for stream in wanted] == ["flac"] and found.sample_bits in _HASHED_BITS
    known = [s for s in wanted if s.codec in tools.codecs and _pixels(s) <= ffmpeg.MAX_PIXELS]
    return Chosen(
        video=tuple(stream for stream in known if stream.kind == "video"),
        audio=tuple(stream for stream in known if stream.kind == "audio"),
        unverified=tuple(stream for stream in wanted if stream not in known),
        hashed_bits=found.sample_bits if hashed else 0,
    )


def _pixels(stream: Stream) -> int:
    sides = stream.raw.get("width"), stream.raw.get("height")
    return math.prod(side if isinstance(side, int) else 0 for side in sides)


@dataclass(frozen=True, slots=True)
class Window:
    """A part of the film, in seconds from its start."""

    start_sec: float
    length_sec: float | None
    """None: up to the film's end."""
    skim: bool = False
    """Without the pictures that no other refers to: a third of the cost."""


def windows(duration_sec: float) -> tuple[Window, ...]:
    """Give the samples of a long film: six, spread evenly, the last one up to the end."""
    starts = [duration_sec * number / _WINDOWS for number in range(_WINDOWS)]
    last = Window(max(0.0, duration_sec - _LAST_WINDOW_SEC), None, skim=True)
    return (*(Window(start, _WINDOW_SEC, skim=True) for start in starts), last)


def command(
    tools: Tools,
    path: bytes,
    chosen: Chosen,
    *,
    threads: int,
    window: Window | None = None,
    key_frames: bool = False,
    strict: bool = False,
    end: int | None = None,
) -> list[Argument]:
    """Give the command that decodes the chosen streams, or a window of them, and throws the result away.

    `key_frames` leaves out the other pictures: a tenth of the cost, and all of the sound. `strict` takes the decoders
    that look closest. Streams without a decoder are read and copied to nothing. `end` is the byte to stop at.
    """
    crc = ("-err_detect", "crccheck")  # the checksums of AC-3, MP3 and FLAC, at no cost
    # Without a picture FFmpeg 8 refuses the option; Theora's decoder calls every picture it skips an error.
    may_skip = chosen.video and "theora" not in chosen.codecs
    which = "nokey" if key_frames else "noref" if window and window.skim else ""
    skip = ("-skip_frame:v", which) if which and may_skip else ()
    part = _part(window) if window else ()
    streams = (*chosen.video, *chosen.audio)
    decoded = [f"0:{stream.index}" for stream in streams]
    names = decoders.chosen(streams, tools, strict=strict)
    # FFmpeg does not copy a picture whose size our own limit keeps it from learning.
    may_copy = [s for s in chosen.unverified if not decoded or _pixels(s) <= ffmpeg.MAX_PIXELS]
    copied = [f"0:{stream.index}" for stream in may_copy]
    # passthrough and -1 keep the null muxer from inventing time stamps and complaining about them.
    level = "debug" if strict and decoders.counts_pictures(streams, tools) else "warning"
    timing = ("-fps_mode", "passthrough", "-enc_time_base", "-1") if decoded else ()
    return [
        *(tools.ffmpeg, *ffmpeg.QUIET, "-v", f"repeat+level+{level}", *ffmpeg.PROGRESS),
        *(ffmpeg.SAFE_DECODE if decoded else ffmpeg.SAFE),
        *("-threads", str(threads), *names, *crc, *skip, *part),
        *(("-i", ffmpeg.source(path)) if end is None else ffmpeg.beginning(path, end)),
        *_output(decoded, (*timing, *decoders.listening(streams)), chosen.hashed_bits if strict else 0),
        *_output(copied, ("-c", "copy")),
    ]


def _part(window: Window) -> tuple[str, ...]:
    # From the key frame on: those up to the start have to be decoded anyway, and so they count.
    length = () if window.length_sec is None else ("-t", f"{window.length_sec:.3f}")
    return ("-noaccurate_seek", "-ss", f"{window.start_sec:.3f}", *length)


def _output(streams: list[str], options: tuple[str, ...], hashed_bits: int = 0) -> tuple[str, ...]:
    if not streams:
        return ()
    if hashed_bits:
        return ("-map", streams[0], *options, "-c:a", f"pcm_s{hashed_bits}le", "-f", "md5", "-")
    return (*(word for stream in streams for word in ("-map", f"{stream}?")), "-sn", "-dn", *options, "-f", "null", "-")


async def run_pass(
    tools: Tools,
    path: bytes,
    chosen: Chosen,
    container: str,
    *,
    threads: int,
    time_limit_sec: float,
    stall_limit_sec: float = STALL_SEC,
    window: Window | None = None,
    key_frames: bool = False,
    strict: bool = False,
    end: int | None = None,
    all_lines: bool = False,
    on_progress: Callable[[float], None] | None = None,
    stops: Stops | None = None,
) -> Finished:
    """Decode once. Raises ToolMissing. The result's lines are those that may say something about the film, with
    `all_lines` also what a window's seek may have caused. `on_progress` gets seconds.
    """
    sought = window is not None and window.start_sec > 0
    listener = Listener(chosen.codecs, container, after_seek=sought and not all_lines, skips=key_frames)

    def moved(progress: Progress) -> None:
        listener.moved(progress)
        if on_progress is not None and progress.out_time_sec is not None:
            on_progress(progress.out_time_sec)

    finished = await ffmpeg.run(
        command(tools, path, chosen, threads=threads, window=window, key_frames=key_frames, strict=strict, end=end),
        time_limit_sec=time_limit_sec,
        stall_limit_sec=stall_limit_sec,
        on_progress=moved,
        ignore_line=listener.ignores,
        stops=stops,
    )
    if listener.unfinished:
        finished = replace(finished, stderr_lines=(*finished.stderr_lines, listener.unfinished))
    if finished.ended != "exit" or finished.returncode or finished.reported_end:
        return finished
    if finished.progress is None:
        raise ToolMissing(f"{tools.ffmpeg} ended well and reported nothing: it is not FFmpeg")
    return replace(finished, ended="killed")  # it reported, but no end: some script hides what happened to it


def nothing_came(finished: Finished) -> bool:
    """Tell whether not one picture or sound came out of the decoders."""
    progress = finished.progress
    return progress is None or not (progress.frame or (progress.out_time_sec or 0) > 0)


def no_picture_came(finished: Finished) -> bool:
    """Tell whether frames were counted, and there were none; asked where a picture should have come."""
    return finished.progress is not None and finished.progress.frame == 0
