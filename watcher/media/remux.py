"""How a film with one more sound track is put together: which container, which streams in which order, which commands.

Pure: this module starts nothing and touches no disk. What the commands heed, and why:

    every stream is mapped by its number, in order   -map 0 fails on fonts from FFmpeg 7 on, and on unknown data
    the new track follows the last sound track       so no player's "track 2" becomes another one; or goes first
    Matroska attachments come last                   FFmpeg writes nothing after them
    Matroska covers are taken out and attached again copied, they would become a picture track of one frame
    MP4's chapter text track is not mapped           the muxer writes its own: there would be two
    every stream's dispositions are given            FFmpeg otherwise picks defaults of its own
    the new track's inherited tags are cleared       a title and statistics of the source would be wrong on it
    -strict unofficial                               without it MP4 silently loses Dolby Vision's configuration
    the queue of waiting packets is not limited      a sound track that begins late would end the run
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from watcher.errors import ConversionFailed
from watcher.media import downmix, encoder, ffmpeg
from watcher.rules import audio, languages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from watcher.media.downmix import StereoSettings
    from watcher.media.ffmpeg import Argument, Tools
    from watcher.media.probe import Probe
    from watcher.rules.audio import Decision, Stream
    from watcher.rules.languages import Language

HASH: Final = "murmur3"
"""128 bits. The proof is against damage, not against a forger: SHA-256 would cost eight times as much, and over a
tenth of the whole conversion of a large film."""
MEASURING: Final = ("-nostdin", "-hide_banner", "-v", "repeat+level+info", "-nostats")
"""ffmpeg's global options where a filter reports what it measured: it does so at the level of information."""
NAME_LIMIT_BYTES: Final = 255
"""Of Linux file systems."""
_SIDECAR_SUFFIX: Final = b".stereo.mkv"
_MATROSKA_SUBTITLES: Final = frozenset(
    {
        "subrip",
        "ass",
        "ssa",
        "webvtt",
        "text",
        "hdmv_pgs_subtitle",
        "hdmv_text_subtitle",
        "dvd_subtitle",
        "dvb_subtitle",
    }
)
_BRANDS_KEPT: Final = frozenset(
    {"isom", "iso2", "iso4", "iso5", "iso6", "mp41", "mp42", "avc1", "M4V ", "M4VH", "M4VP"}
)
"""Major brands that stay true of what FFmpeg's MP4 muxer writes; of others (DASH fragments, ...) they would not."""
_ITUNES_TAGS: Final = re.compile(
    r"title|artist|album_artist|composer|album|date|encoder|comment|genre|copyright|grouping|lyrics|description|synopsis"
    r"|show|episode_id|network|keywords|episode_sort|season_number|media_type|hd_video|gapless_playback|compilation"
    r"|track|disc|tmpo|rating|creation_time|major_brand|minor_version|compatible_brands",
    re.IGNORECASE,
)
"""What FFmpeg's MP4 muxer can write in iTunes' way. Other tags need QuickTime's way, which holds any."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the result will hold, and where it goes. Numbers of streams are the film's own unless said otherwise."""

    target: bytes
    """Where the result goes in the end: the film's own name, or a sidecar beside it."""
    muxer: Literal["matroska", "mp4", "mov"]
    made_from: int
    title: str
    """Of the new track."""
    language: str
    """Of the new track, in the code that the container stores."""
    mapped: tuple[int, ...]
    """Copied streams in the order of the result, the new track left out."""
    made_at: int
    """The new track's place in the result."""
    codec: str = "aac"
    """The new track's, by ffprobe's name."""
    covers: tuple[int, ...] = ()
    """Pictures taken out and attached again; they follow all else in the result."""
    left_out: tuple[int, ...] = ()
    """Streams that the result lacks: MP4's chapter track, which the muxer writes anew; and what a sidecar does without."""
    sidecar: bool = False

    def places(self) -> tuple[tuple[int, int], ...]:
        """Give (number in the film, place in the result) of every kept stream; see `in_result`."""
        pairs = [(old, at if at < self.made_at else at + 1) for at, old in enumerate(self.mapped)]
        first = len(self.mapped) + 1
        return (*pairs, *((old, first + number) for number, old in enumerate(self.covers)))

    def in_result(self, result: Probe) -> list[Stream]:
        """Give the streams of a result by their places: all but the chapter track, which MP4's muxer adds by itself."""
        return [s for s in result.streams if self.muxer == "matroska" or s.kind != "data"]


def plan(probe: Probe, decision: Decision, film: bytes, settings: StereoSettings) -> Plan:
    """Decide where the new track goes.

    Matroska, MP4, M4V and MOV take it themselves. For every other container (AVI, WMV, FLV, WebM, TS, MPEG, ...) a
    `NAME.stereo.mkv` with the picture, the new track and the subtitles is made beside the film. Raises
    ConversionFailed: `unsupported_streams` when the film holds what FFmpeg cannot copy, `name_too_long`.
    """
    if decision.source is None:
        raise ConversionFailed("no_source", "the decision names no track to make one from")
    language = languages.known()[decision.language]
    muxer = _muxer(probe, film)
    if muxer is None:
        return _sidecar(probe, decision.source, language, film, settings)
    streams = _refuse_loss(probe, muxer)
    covers = [s.index for s in streams if "attached_pic" in s.dispositions]
    attachments = [s.index for s in streams if s.kind == "attachment"]
    tracks = [s for s in streams if s.index not in (*covers, *attachments)]
    attached_anew = muxer == "matroska"
    gone = {s.index for s in probe.streams} - {s.index for s in streams}
    return Plan(
        target=film,
        muxer=muxer,
        made_from=decision.source,
        title=language.made_title,
        language=language.bibliographic if muxer == "matroska" else language.code,
        mapped=(*(s.index for s in tracks), *attachments, *(() if attached_anew else covers)),
        made_at=_place(tracks, settings),
        codec=encoder.codec_of(muxer, settings.codec),
        covers=tuple(covers) if attached_anew else (),
        left_out=tuple(sorted(gone)),
    )


def _place(tracks: Sequence[Stream], settings: StereoSettings) -> int:
    sound = [at for at, track in enumerate(tracks) if track.kind == "audio"]
    return sound[0] if settings.position == "first" else sound[-1] + 1


def _muxer(probe: Probe, film: bytes) -> Literal["matroska", "mp4", "mov"] | None:
    names = probe.format_name.split(",")
    if "matroska" in names:
        return None if film.lower().endswith(b".webm") else "matroska"  # WebM may not hold AAC
    if "mov" not in names:
        return None
    brand = probe.tags.get("major_brand", "qt  ")  # files of before the brands are QuickTime's
    if brand.lower().startswith("3g"):
        return None
    return "mov" if brand == "qt  " else "mp4"


def _refuse_loss(probe: Probe, muxer: str) -> list[Stream]:
    """Give the streams to keep: all but MP4's chapter track. Raises ConversionFailed when one could not be kept."""
    kept = [s for s in probe.streams if not (muxer != "matroska" and _is_chapter_track(s, probe))]
    lost = [s for s in kept if s.kind == "data" or (not s.codec and s.kind != "attachment")]
    if lost:
        names = ", ".join(f"{s.index} ({s.kind} {s.codec or s.raw.get('codec_tag_string', 'unknown')})" for s in lost)
        raise ConversionFailed(
            "unsupported_streams", f"FFmpeg could not keep the streams {names}; the film stays as it is"
        )
    return kept


def _is_chapter_track(stream: Stream, probe: Probe) -> bool:
    count = stream.raw.get("nb_frames")
    is_text = stream.kind == "data" and stream.raw.get("codec_tag_string") == "text"
    return is_text and bool(probe.chapters) and count in (None, str(len(probe.chapters)))


def _sidecar(probe: Probe, source: int, language: Language, film: bytes, settings: StereoSettings) -> Plan:
    folder, name = os.path.split(film)
    stem = os.path.splitext(name)[0]
    if len(stem) + len(_SIDECAR_SUFFIX) > NAME_LIMIT_BYTES:
        raise ConversionFailed("name_too_long", f"the name has no room for {_SIDECAR_SUFFIX.decode()}")
    pictures = [s.index for s in probe.streams if audio.is_picture(s)]
    subtitles = [s.index for s in probe.streams if s.kind == "subtitle" and s.codec in _MATROSKA_SUBTITLES]
    mapped = (*pictures, *subtitles)
    return Plan(
        target=os.path.join(folder, stem + _SIDECAR_SUFFIX),
        muxer="matroska",
        made_from=source,
        title=language.made_title,
        language=language.bibliographic,
        mapped=mapped,
        made_at=len(pictures),
        codec=encoder.codec_of("matroska", settings.codec),
        left_out=tuple(s.index for s in probe.streams if s.index not in mapped),
        sidecar=True,
    )


def cover_command(tools: Tools, film: bytes, covers: Sequence[tuple[int, bytes]]) -> list[Argument]:
    """Take cover pictures out, byte by byte as they are: (number, file) each. Ends as soon as it has them."""
    words: list[Argument] = [tools.ffmpeg, *ffmpeg.QUIET, "-y", *ffmpeg.SAFE, "-i", ffmpeg.source(film)]
    for number, file in covers:
        words += ["-map", f"0:{number}", "-c", "copy", "-frames:v", "1", "-f", "rawvideo", ffmpeg.source(file)]
    return words


def command(
    tools: Tools,
    film: bytes,
    temp: bytes,
    probe: Probe,
    plan: Plan,
    settings: StereoSettings,
    covers: Sequence[bytes] = (),
) -> list[Argument]:
    """Make the result at `temp`, and in the same pass write the hashes of the film's kept streams to standard output.

    `covers` are the files of `plan.covers`, in that order.
    """
    streams = {s.index: s for s in probe.streams}
    generate = ["-fflags", "+genpts"] if "avi" in probe.format_name.split(",") else []  # AVI has no times of its own
    words: list[Argument] = [
        *(tools.ffmpeg, *ffmpeg.QUIET, *ffmpeg.PROGRESS, "-y", *ffmpeg.SAFE, *generate),
        *("-threads", str(settings.threads), "-i", ffmpeg.source(film)),
    ]
    order = [*plan.mapped[: plan.made_at], plan.made_from, *plan.mapped[plan.made_at :]]
    for number in order:
        words += ["-map", f"0:{number}"]
    words += ["-map_metadata", "0", "-map_chapters", "0", "-c", "copy", "-max_muxing_queue_size", "100000"]
    for old, new in plan.places():
        if old in plan.mapped and streams[old].kind != "attachment":
            words += [f"-disposition:{new}", "+".join(sorted(dispositions(streams[old], settings))) or "0"]
    words += _new_track(streams[plan.made_from], plan, settings)
    for (old, new), file in zip(plan.places()[len(plan.mapped) :], covers, strict=True):
        words += ["-attach", ffmpeg.source(file)]
        for key, value in streams[old].tags.items():
            words += [f"-metadata:s:{new}", f"{key}={value}"]
    words += [*_muxer_options(probe, plan), "-f", plan.muxer, ffmpeg.source(temp)]
    return [*words, *_hashes([number for number, _ in hashed(probe, plan)])]


def dispositions(stream: Stream, settings: StereoSettings) -> frozenset[str]:
    """Give what a kept stream is marked as in the result: what it was, but that only one sound track is the default."""
    taken = {"default"} if settings.default_track and stream.kind == "audio" else set()
    return stream.dispositions - taken


def hashed(probe: Probe, plan: Plan) -> tuple[tuple[int, int], ...]:
    """Give the places of the streams whose packets are compared: all but attachments, which have no packets."""
    kinds = {s.index: s.kind for s in probe.streams}
    return tuple(place for place in plan.places() if kinds[place[0]] != "attachment")


def read_back_command(tools: Tools, file: bytes, probe: Probe, plan: Plan, result: Probe) -> list[Argument]:
    """Hash the kept streams of a result, and decode its new track, measuring it."""
    streams = plan.in_result(result)
    return [
        *(tools.ffmpeg, *MEASURING, *ffmpeg.PROGRESS, *ffmpeg.SAFE, "-i", ffmpeg.source(file)),
        *_hashes([streams[place].index for _, place in hashed(probe, plan)]),
        *("-map", f"0:{streams[plan.made_at].index}", "-af", "volumedetect", "-f", "null", "-"),
    ]


def loudness_command(tools: Tools, film: bytes, number: int) -> list[Argument]:
    """Decode one track of a film, measuring it."""
    return [
        *(tools.ffmpeg, *MEASURING, *ffmpeg.SAFE, "-i", ffmpeg.source(film)),
        *("-map", f"0:{number}", "-af", "volumedetect", "-f", "null", "-"),
    ]


def end_command(tools: Tools, film: bytes, number: int, from_sec: float) -> list[Argument]:
    """List the times and lengths of a track's packets from a position on."""
    return [
        *(tools.ffprobe, "-v", "repeat+level+error", *ffmpeg.SAFE, "-read_intervals", f"{from_sec:.3f}%"),
        *("-select_streams", str(number), "-show_entries", "packet=pts_time,duration_time"),
        *("-of", "csv=p=0", ffmpeg.source(film)),
    ]


def _hashes(numbers: Sequence[int]) -> list[Argument]:
    maps = [word for number in numbers for word in ("-map", f"0:{number}")]
    return [*maps, "-c", "copy", "-f", "streamhash", "-hash", HASH, "pipe:1"]


def _new_track(source: Stream, plan: Plan, settings: StereoSettings) -> list[Argument]:
    at = plan.made_at
    tags = dict.fromkeys(source.tags, "") | {"language": plan.language, "title": plan.title}
    if plan.muxer != "matroska":
        tags["handler_name"] = plan.title  # where players look for a track's name in MP4
    words: list[Argument] = [
        *(word for key, value in encoder.options(plan.codec, source, settings) for word in (f"-{key}:{at}", value)),
        *(f"-filter:{at}", downmix.downmix(source, settings)),
        *(f"-disposition:{at}", "default" if settings.default_track or plan.sidecar else "0"),
    ]
    for key, value in tags.items():
        words += [f"-metadata:s:{at}", f"{key}={value}"]
    return words


def _muxer_options(probe: Probe, plan: Plan) -> list[Argument]:
    if plan.muxer == "matroska":
        return ["-default_mode", "passthrough"]
    flags = "+faststart" if all(map(_ITUNES_TAGS.fullmatch, probe.tags)) else "+faststart+use_metadata_tags"
    brand = probe.tags.get("major_brand", "")
    kept = ["-brand", brand] if plan.muxer == "mp4" and brand in _BRANDS_KEPT else []
    return ["-movflags", flags, *kept, "-strict", "unofficial"]
