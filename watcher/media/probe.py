"""What a film holds, in ffprobe's words: asked once, kept as a value that can be stored as JSON and read back."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from watcher.errors import NoAnswer, ProbeFailed
from watcher.media import ffmpeg
from watcher.rules.audio import Stream

if TYPE_CHECKING:
    from watcher.media.ffmpeg import Argument, Finished, Tools

TIME_LIMIT_SEC: Final = 60.0
"""ffprobe reads a few megabytes; a disk that spins up first takes 10 s of this."""
STREAM_LIMIT: Final = 200
"""As -max_streams has it: a file with more is no film but an attack on our memory."""
CHAPTER_LIMIT: Final = 5000
_KINDS: Final = frozenset({"video", "audio", "subtitle", "attachment"})
_DURATION_TAG: Final = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")
_MUXERS_OWN_TITLE: Final = re.compile(
    r"handler|core media|iso media file|^(?:sound|audio|video|stereo|mono)$", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Probe:
    """One film as ffprobe describes it."""

    format_name: str
    """The demuxer's names: "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", ..."""
    duration_sec: float | None
    size_bytes: int
    tags: dict[str, str] = field(default_factory=dict)
    streams: tuple[Stream, ...] = ()
    chapters: tuple[dict[str, Any], ...] = ()
    """ffprobe's own objects: id, time_base, start, end, tags, ..."""
    raw_format: dict[str, Any] = field(default_factory=dict)

    @property
    def start_sec(self) -> float:
        """The time stamp that the film begins at; below nought where an encoder's warm-up comes first."""
        try:
            return float(self.raw_format.get("start_time", 0.0))
        except (TypeError, ValueError):  # "N/A"
            return 0.0

    def to_dict(self) -> dict[str, Any]:
        """Give ffprobe's own objects, cleaned: JSON-ready, and what `from_dict` reads."""
        return {
            "format": self.raw_format,
            "streams": [stream.raw for stream in self.streams],
            "chapters": list(self.chapters),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Probe:
        """Read what `to_dict` gave. Raises ProbeFailed when it is nothing of the kind."""
        return _read(_clean(data))


def probe_command(tools: Tools, path: bytes) -> list[Argument]:
    """Give the one command that tells all we ask about a file."""
    return [
        *(tools.ffprobe, "-hide_banner", "-v", "repeat+level+error", *ffmpeg.SAFE),
        *("-of", "json", "-show_format", "-show_streams", "-show_chapters", "-show_data_hash", "sha256"),
        ffmpeg.source(path),
    ]


async def ask(tools: Tools, path: bytes, *, time_limit_sec: float = TIME_LIMIT_SEC) -> Finished:
    """Run the command; whoever must tell a bad file from a bad machine reads the answer himself."""
    return await ffmpeg.run(probe_command(tools, path), time_limit_sec=time_limit_sec)


async def probe(tools: Tools, path: bytes) -> Probe:
    """Describe a file. Raises ProbeFailed with the reason."""
    finished = await ask(tools, path)
    if finished.ended != "exit" or finished.returncode != 0:
        raise ProbeFailed(f"ffprobe could not read {os.fsdecode(path)!r}: {complaint(finished)}")
    if finished.stdout_cut:
        raise ProbeFailed(f"ffprobe's description of {os.fsdecode(path)!r} is larger than any film's")
    return parse(finished.stdout)


def complaint(finished: Finished) -> str:
    """Say in a few words why a call of ffprobe or ffmpeg failed."""
    if finished.ended in {"timeout", "stalled"}:
        return f"it was ended by us ({finished.ended})"
    return finished.stderr_lines[-1] if finished.stderr_lines else f"it ended with code {finished.returncode}"


def parse(json_bytes: bytes) -> Probe:
    """Read ffprobe's JSON. Raises NoAnswer when it is none, ProbeFailed when it is more than a film has."""
    try:
        data = json.loads(json_bytes.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise NoAnswer(f"ffprobe's answer is no JSON: {error}") from error
    return _read(_clean(data))


def _read(data: Any) -> Probe:
    if not isinstance(data, dict) or not isinstance(data.get("format"), dict):
        raise NoAnswer("ffprobe named no format")
    streams, chapters = _dicts(data.get("streams")), _dicts(data.get("chapters"))
    if len(streams) > STREAM_LIMIT or len(chapters) > CHAPTER_LIMIT:
        raise ProbeFailed(f"{len(streams)} streams and {len(chapters)} chapters are more than a film has")
    info = data["format"]
    return Probe(
        format_name=str(info.get("format_name", "")),
        duration_sec=_number(info.get("duration")),
        size_bytes=_whole(info.get("size")),
        tags=_tags(info),
        streams=tuple(_stream(number, stream) for number, stream in enumerate(streams)),
        chapters=tuple(chapters),
        raw_format=info,
    )


def _stream(number: int, raw: dict[str, Any]) -> Stream:
    tags, kind = _tags(raw), str(raw.get("codec_type"))
    flags = raw.get("disposition")
    return Stream(
        index=_whole(raw.get("index", number)),
        kind=kind if kind in _KINDS else "data",
        codec=_codec(raw),
        language=_tag(tags, "language"),
        title=_title(tags),
        channels=_whole(raw.get("channels")),
        channel_layout=str(raw.get("channel_layout", "")),
        sample_rate=_whole(raw.get("sample_rate")),
        duration_sec=_duration(raw, tags),
        dispositions=frozenset(key for key, value in flags.items() if value == 1)
        if isinstance(flags, dict)
        else frozenset(),
        tags=tags,
        raw=raw,
    )


def _codec(raw: dict[str, Any]) -> str:
    name = str(raw.get("codec_name", ""))
    return "" if name in {"unknown", "none"} else name


def _title(tags: dict[str, str]) -> str:
    # MP4 keeps no title for a track; its handler_name is one only where a person gave it.
    handler = _tag(tags, "handler_name")
    return _tag(tags, "title") or ("" if _MUXERS_OWN_TITLE.search(handler) else handler)


def _duration(raw: dict[str, Any], tags: dict[str, str]) -> float | None:
    seconds = _number(raw.get("duration"))
    if seconds is None and (match := _DURATION_TAG.match(_tag(tags, "DURATION"))):  # where Matroska keeps it
        seconds = int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3])
    return seconds


def _tags(raw: dict[str, Any]) -> dict[str, str]:
    tags = raw.get("tags")
    return {str(key): str(value) for key, value in tags.items()} if isinstance(tags, dict) else {}


def _tag(tags: dict[str, str], name: str) -> str:
    """Give a tag whatever its case: Ogg writes LANGUAGE, Matroska and MP4 language."""
    return tags.get(name) or next((value for key, value in tags.items() if key.lower() == name.lower()), "")


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _whole(value: Any) -> int:
    return int(_number(value) or 0)


def _clean(value: Any) -> Any:
    """Give the same value with texts that every encoder takes: a lone surrogate becomes "?"."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, Mapping):
        return {_clean(str(key)): _clean(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_clean(item) for item in value]
    return value
