"""What a film's streams are, and whether it needs an English stereo track, made from which one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream of a file as ffprobe describes it."""

    index: int
    kind: str
    """video, audio, subtitle, attachment or data."""
    codec: str
    """ffprobe's codec name; "" when it knows none."""
    language: str = ""
    """The language tag as it stands, "" when there is none."""
    title: str = ""
    """The title tag; in MP4 the handler_name, unless that is a muxer's default such as "SoundHandler"."""
    channels: int = 0
    channel_layout: str = ""
    sample_rate: int = 0
    duration_sec: float | None = None
    dispositions: frozenset[str] = frozenset()
    """The names of ffprobe's dispositions that are set: default, forced, comment, attached_pic, ..."""
    tags: dict[str, str] = field(default_factory=dict)
    """All tags as they stand."""
    raw: dict[str, Any] = field(default_factory=dict)
    """ffprobe's own object for this stream: what the proof compares."""
