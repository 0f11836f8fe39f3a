"""What a pair of programs can do, as lines for a person, and remembered between starts.

To ask FFmpeg what it can do takes five starts of it, 0.6 s of CPU on Debian. The answer is kept in a small file, and holds
for as long as both programs are the same files: path, size and time. A file that cannot be read or written costs those
starts, and nothing else.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from watcher.media.ffmpeg import Finding, Tools

if TYPE_CHECKING:
    from pathlib import Path

_FORM: Final = 2
"""Of the remembered file; raised when other questions are asked."""
_WANTED: Final = {
    "av1": "AV1",
    "vp9": "VP9",
    "vp8": "VP8",
    "mpeg4": "MPEG-4",
    "mpeg2video": "MPEG-2",
    "vc1": "VC-1",
    "truehd": "TrueHD",
    "flac": "FLAC",
    "opus": "Opus",
    "vorbis": "Vorbis",
    "mp3": "MP3",
}
"""What films are made of beside that without which FFmpeg is refused, by ffprobe's names."""
_ENCODERS: Final = {"ac3": "ac3", "opus": "libopus"}
"""The other codecs that [audio] codec may name, and who encodes them."""


def findings(tools: Tools, probe_version: str, encoders: frozenset[str]) -> tuple[Finding, ...]:
    """Say what can be verified and converted with tools that have passed, and what cannot."""
    lines = [Finding("ok", f"FFmpeg {tools.version}: {tools.ffmpeg}, {tools.ffprobe}")]
    if probe_version != tools.version:
        advice = "take both from one package, or name both in [ffmpeg]"
        lines.append(Finding("warning", f"ffprobe is of another version: {probe_version}", advice))
    missing = [name for codec, name in _WANTED.items() if codec not in tools.codecs]
    lines.append(Finding("ok", "films can be verified"))
    if missing:
        advice = "such streams are read, but not decoded; Debian's ffmpeg decodes them all"
        lines.append(Finding("warning", f"no decoder for {', '.join(missing)}", advice))
    lines.append(Finding("ok", "stereo tracks can be made"))
    lines += [
        Finding("warning", f"no encoder {encoder}", f'[audio] codec = "{codec}" cannot be used; "aac" can')
        for codec, encoder in _ENCODERS.items()
        if encoder not in encoders
    ]
    return tuple(lines)


def recall(file: Path, program: str, probe: str) -> Tools | None:
    """Give what was remembered of these very programs; None when it has to be asked. Blocking."""
    try:
        kept: dict[str, Any] = json.loads(file.read_bytes())
        if kept["key"] != _key(program, probe):
            return None
        found = kept["tools"]
        lines = tuple(Finding(**line) for line in found["findings"])
        return Tools(
            program,
            probe,
            str(found["version"]),
            frozenset(map(str, found["codecs"])),
            lines,
            frozenset(map(str, found["decoders"])),
        )
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def remember(file: Path, tools: Tools) -> None:
    """Keep an answer, in a folder that is there. Blocking; raises nothing."""
    lists = {"codecs": sorted(tools.codecs), "decoders": sorted(tools.decoders)}
    kept = {"key": _key(tools.ffmpeg, tools.ffprobe), "tools": {**asdict(tools), **lists}}
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        fresh.write_text(json.dumps(kept, indent=1))
        fresh.replace(file)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)


def _key(*programs: str) -> list[object]:
    stats = [os.stat(program) for program in programs]
    files = [[path, stat.st_size, stat.st_mtime_ns] for path, stat in zip(programs, stats, strict=True)]
    return [_FORM, files]
