r"""What a film's streams are, and whether it needs an English stereo track, made from which one.

A track is English when the first part of its language tag is `en`, `eng` or `english`. Where the tag says nothing, the
title may (`\bEnglish\b`: "Bengali" is not), and a film's only track is taken for English where the rules say so. A tag
that names another language beats every title. Tracks that are no way to watch the film (commentary, descriptions,
sound for the hard of hearing, music alone) count for nothing. What is English and has exactly 2 channels is what people
can hear; else the English track with the most channels is what it is made from.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ENGLISH: Final = frozenset({"en", "eng", "english"})
_SAYS_NOTHING: Final = frozenset({"", "und", "unk", "undefined", "unknown"})
_TITLE_SAYS_ENGLISH: Final = re.compile(r"\b(english|eng)\b", re.IGNORECASE)

SET_ASIDE: Final = frozenset(
    {"comment", "descriptions", "visual_impaired", "hearing_impaired", "karaoke", "clean_effects"}
)
"""Dispositions of tracks that are not the film's own sound; the last two lack the dialogue."""
_TITLE_SETS_ASIDE: Final = re.compile(
    r"comment|descri|\bcast\b|\bdirectors?\b(?!['\u2019]?s?['\u2019]?\s*cut)|\b(hearing|visual\w*|vision)[ -]impair"
    r"|\b(dvs|sdh)\b|\bisolated\b",
    re.IGNORECASE,
)


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


@dataclass(frozen=True, slots=True)
class AudioRules:
    """What a person may set about the choice."""

    untagged_is_english: bool = False
    """A film's only sound track is English when nothing says which language it is."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done about a film's sound, and why."""

    outcome: Literal["has_stereo", "make", "ignored"]
    reason: str
    """english_stereo; english_surround; no_video, no_audio, no_english, english_mono_only, english_unreadable."""
    sentence: str
    """The same for a person."""
    source: int | None = None
    """make: the index of the stream that the new track is made from."""
    stereo: int | None = None
    """has_stereo: the index of the stream that people can hear."""

    def to_dict(self) -> dict[str, Any]:
        """Give the decision as JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Decision:
        """Read back what `to_dict` gave; unknown keys (of a newer version) are dropped."""
        return cls(**{key: value for key, value in data.items() if key in cls.__dataclass_fields__})


def decide(streams: Sequence[Stream], rules: AudioRules) -> Decision:
    """Decide what is to be done about a film's sound."""
    if not any(is_picture(stream) for stream in streams):
        return Decision("ignored", "no_video", "it holds no moving picture, so it is no film")
    tracks = [stream for stream in streams if stream.kind == "audio"]
    if not tracks:
        return Decision("ignored", "no_audio", "it has no sound")
    english = [track for track in tracks if is_english(track, rules, only_track=len(tracks) == 1)]
    heard = [track for track in english if not is_set_aside(track)]
    if not heard:
        return Decision("ignored", "no_english", _without_english(tracks, english))
    stereo = next((track for track in heard if track.channels == 2), None)
    if stereo is not None:
        return Decision("has_stereo", "english_stereo", f"{_told(stereo)} is English stereo", stereo=stereo.index)
    return _make_from(heard)


def is_picture(stream: Stream) -> bool:
    """Tell whether a stream is the film's picture, not a cover or a set of thumbnails."""
    return stream.kind == "video" and not stream.dispositions & {"attached_pic", "timed_thumbnails", "still_image"}


def is_english(track: Stream, rules: AudioRules, *, only_track: bool) -> bool:
    """Tell whether a sound track is English, by its tag, else by its title, else by the rule for a film's only one."""
    language = re.split(r"[-_]", track.language.strip().lower(), maxsplit=1)[0]
    if language not in _SAYS_NOTHING:
        return language in ENGLISH
    return bool(_TITLE_SAYS_ENGLISH.search(track.title)) or (only_track and rules.untagged_is_english)


def is_set_aside(track: Stream) -> bool:
    """Tell whether a track is commentary, description and the like."""
    return bool(track.dispositions & SET_ASIDE or _TITLE_SETS_ASIDE.search(track.title))


def _make_from(heard: list[Stream]) -> Decision:
    surround = [track for track in heard if track.channels > 2 and track.codec]
    if surround:
        # max() keeps the first of equals: the order in the file decides last.
        source = max(surround, key=lambda track: (track.channels, "default" in track.dispositions))
        return Decision("make", "english_surround", f"English stereo is made from {_told(source)}", source=source.index)
    if any(track.channels == 1 for track in heard):
        return Decision("ignored", "english_mono_only", "its English sound is mono: every television plays it well")
    return Decision(
        "ignored", "english_unreadable", f"{_told(heard[0])} is English, but FFmpeg does not know how to read it"
    )


def _without_english(tracks: list[Stream], english: list[Stream]) -> str:
    if english:
        return f"its only English sound is set aside: {english[0].title or ', '.join(sorted(english[0].dispositions))}"
    languages = sorted({track.language or "untagged" for track in tracks})
    return f"none of its sound tracks is English: {', '.join(languages)}"


def _told(track: Stream) -> str:
    title = f', "{track.title}"' if track.title else ""
    return f"stream {track.index} ({track.codec or 'unknown codec'}, {track.channels} channels{title})"
