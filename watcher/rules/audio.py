r"""What a film's streams are, and whether it needs a stereo track people can hear, made from which one.

The languages wanted are a setting, English by default; the first of them that the film speaks is the one that counts.
A track speaks a language when its tag says so (whichever of the language's codes it uses). Where the tag says nothing,
the title may (`English`, `ENG`: "Bengali" is not), and a film's only track is taken for the first language where the
rules say so. A tag that names another language beats every title. Tracks that are no way to watch the film (commentary,
descriptions, sound for the hard of hearing, music alone) count for nothing. One with exactly 2 channels is what people
can hear; else the one with the most channels is what it is made from.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from watcher.rules import languages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from watcher.rules.languages import Language

SET_ASIDE: Final = frozenset(
    {"comment", "descriptions", "visual_impaired", "hearing_impaired", "karaoke", "clean_effects"}
)
"""Dispositions of tracks that are not the film's own sound; the last two lack the dialogue."""
_TITLE_SETS_ASIDE: Final = re.compile(
    r"[ck]omm?ent|des[ck]ri|h(ö|oe)rfilm|\bcast\b|\bdirectors?\b(?!['\u2019]?s?['\u2019]?\s*cut)|\b(hearing|visual\w*|vision)[ -]impair"
    r"|\b(dvs|sdh)\b|\bisolated\b|malvoyant|sehbehindert|geschädigt",
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

    languages: tuple[str, ...] = ("eng",)
    """Tags that `rules.languages` knows, the one wanted most first."""
    untagged_is_english: bool = False
    """A film's only sound track speaks the first of `languages` when nothing says which language it is."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done about a film's sound, and why."""

    outcome: Literal["has_stereo", "make", "ignored"]
    reason: str
    """no_video, no_audio; else with the language's name: english_stereo, english_surround, no_english,
    english_mono_only, english_unreadable; german_stereo, no_german_or_english, ..."""
    sentence: str
    """The same for a person."""
    source: int | None = None
    """make: the index of the stream that the new track is made from."""
    stereo: int | None = None
    """has_stereo: the index of the stream that people can hear."""
    language: str = "eng"
    """The language decided on, as ISO 639-2/T."""

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
    wanted = _wanted(rules)
    set_aside: list[Stream] = []
    for language in wanted:
        trusted = rules.untagged_is_english and len(tracks) == 1 and language is wanted[0]
        spoken = [track for track in tracks if speaks(track, language, untagged_too=trusted)]
        heard = [track for track in spoken if not is_set_aside(track)]
        if heard:
            return _decide_by(heard, language)
        set_aside += spoken
    reason = f"no_{'_or_'.join(language.name.lower() for language in wanted)}"
    return Decision("ignored", reason, _without(wanted, tracks, set_aside), language=wanted[0].code)


def _wanted(rules: AudioRules) -> list[Language]:
    found = {tag: languages.of_tag(tag) for tag in rules.languages}
    if unknown := [tag for tag, language in found.items() if language is None]:
        raise ValueError(f"no languages: {', '.join(unknown) or 'none is named'}")
    return [language for language in dict.fromkeys(found.values()) if language is not None]


def is_picture(stream: Stream) -> bool:
    """Tell whether a stream is the film's picture, not a cover or a set of thumbnails."""
    return stream.kind == "video" and not stream.dispositions & {"attached_pic", "timed_thumbnails", "still_image"}


def speaks(track: Stream, language: Language, *, untagged_too: bool = False) -> bool:
    """Tell whether a sound track is in a language: by its tag; where that says nothing by its title, or on trust."""
    if languages.says_nothing(track.language):
        return untagged_too or bool(language.in_title.search(track.title))
    return languages.of_tag(track.language) is language


def is_set_aside(track: Stream) -> bool:
    """Tell whether a track is commentary, description and the like."""
    return bool(track.dispositions & SET_ASIDE or _TITLE_SETS_ASIDE.search(track.title))


def _decide_by(heard: list[Stream], language: Language) -> Decision:
    name, word = language.name, language.name.lower()
    stereo = next((track for track in heard if track.channels == 2), None)
    if stereo is not None:
        sentence = f"{_told(stereo)} is {name} stereo"
        return Decision("has_stereo", f"{word}_stereo", sentence, stereo=stereo.index, language=language.code)
    surround = [track for track in heard if track.channels > 2 and track.codec]
    if surround:
        # max() keeps the first of equals: the order in the file decides last.
        source = max(surround, key=lambda track: (track.channels, "default" in track.dispositions))
        sentence = f"{name} stereo is made from {_told(source)}"
        return Decision("make", f"{word}_surround", sentence, source=source.index, language=language.code)
    if any(track.channels == 1 for track in heard):
        sentence = f"its {name} sound is mono: every television plays it well"
        return Decision("ignored", f"{word}_mono_only", sentence, language=language.code)
    sentence = f"{_told(heard[0])} is {name}, but FFmpeg does not know how to read it"
    return Decision("ignored", f"{word}_unreadable", sentence, language=language.code)


def _without(wanted: list[Language], tracks: list[Stream], set_aside: list[Stream]) -> str:
    names = " or ".join(language.name for language in wanted)
    if set_aside:
        track = set_aside[0]
        return f"its only {names} sound is set aside: {track.title or ', '.join(sorted(track.dispositions))}"
    if len(tracks) == 1 and languages.says_nothing(tracks[0].language):
        return f"nothing says what language its only sound track is in; [audio] untagged_is_english = true takes it for {wanted[0].name}"
    found = sorted({track.language or "untagged" for track in tracks})
    return f"none of its sound tracks is {names}: {', '.join(found)}"


def _told(track: Stream) -> str:
    title = f', "{track.title}"' if track.title else ""
    return f"stream {track.index} ({track.codec or 'unknown codec'}, {track.channels} channels{title})"
