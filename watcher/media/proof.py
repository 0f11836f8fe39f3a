"""The proof that a film lost nothing: what it held, and what the result holds, compared before anything is replaced.

Pure: it compares two descriptions by ffprobe, and the hashes of the packets. Everything ffprobe says of a kept stream
must be equal but for the fields of `TOLERATED`, each with the reason why a muxer may change it.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from watcher.errors import ConversionFailed
from watcher.media import layout, remux

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from watcher.media.downmix import StereoSettings
    from watcher.media.layout import Plan
    from watcher.media.passed import Passed
    from watcher.media.probe import Probe
    from watcher.rules.audio import Stream

TOLERATED: Final[Mapping[str, str]] = {
    "index": "the new track stands between",
    "id": "MP4 numbers its tracks anew",
    "start_pts": "the AAC encoder's first packet lies 21 ms before the film, and FFmpeg 5.1 moves everything by that",
    "start_time": "the same; that all kept streams moved alike is compared",
    "duration": "worked out by the demuxer, or an old note; the times of all packets are compared",
    "duration_ts": "counts in the muxer's unit",
    "time_base": "the muxer's unit",
    "bit_rate": "worked out by the demuxer; the packets are compared",
    "max_bit_rate": "the same",
    "avg_frame_rate": "worked out from the times of the packets",
    "r_frame_rate": "guessed by ffprobe",
    "nb_frames": "MP4's count of packets, with FFmpeg's own for edit lists; the packets are compared",
    "has_b_frames": "guessed by ffprobe",
    "initial_padding": "worked out by the demuxer",
    "disposition": "compared by name",
    "tags": "compared one by one",
    "extradata_hash": "compared where the stream has no packets; the muxer writes the same headers in a form of its own",
    "extradata_size": "the same",
}
"""Fields of ffprobe's description of a stream that a muxer may change, and why."""

TOLERATED_TAGS: Final[Mapping[str, str]] = {
    "encoder": "who wrote the file: FFmpeg now",
    "duration": "Matroska's own note of a track's length; the times of all packets are compared",
    "vendor_id": "who wrote the MP4 track",
    "major_brand": "MP4: who may read the file; the muxer knows what it wrote",
    "minor_version": "the same",
    "compatible_brands": "the same",
}
"""Tags that a muxer writes by itself, in lower case, and why they may differ.

One tag is lost and named: `creation_time` of a Matroska track, which FFmpeg writes for the film only."""

SHIFT_TOLERANCE_SEC: Final = 0.002
"""Matroska counts in milliseconds, rounding each stream by itself."""
OPUS_SHIFT_SEC: Final = 0.0065
"""An Opus encoder's delay, which FFmpeg 5 takes off when it reads Matroska, and does not put back when it writes it."""
LENGTH_TOLERANCE_SEC: Final = 0.5
"""By how much the new track may differ in length from the one it was made from."""
SILENT_DB: Final = -80.0
"""Louder than the noise of any 16-bit recording is not."""
_LANGUAGE_SUFFIX: Final = re.compile(r"-[a-z]{3}$")
_NUMBER: Final = re.compile(r"[+-]\d+(?:\.\d+)?")
_SAME_IN_ANY_CONTAINER: Final = ("codec_name", "width", "height", "pix_fmt", "color_space", "color_transfer")


@dataclass(frozen=True, slots=True)
class Proof:
    """What was compared before the swap."""

    streams: tuple[dict[str, Any], ...]
    """One for each kept stream: film (its number), result (its number), codec, packets (how many), content (the hash of
    their hashes)."""
    made: dict[str, Any]
    """The new track: stream, from, codec, packets, content, filter, gain_db, seconds, loudness_lufs (None of silence),
    true_peak_dbtp."""
    chapters: int
    attachments: int
    left_out: tuple[int, ...] = ()
    """Streams of the film that the result does without (a sidecar; MP4's chapter track, written anew)."""
    lost: tuple[str, ...] = ()
    """What of the film is gone, in words: as the owner allowed, and what FFmpeg never keeps."""
    tool_version: str = ""
    cpu_sec: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Give the proof as JSON-ready values."""
        return {**asdict(self), "streams": list(self.streams), "left_out": list(self.left_out), "lost": list(self.lost)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Proof:
        """Read back what `to_dict` gave."""
        lists = {key: tuple(data[key]) for key in ("streams", "left_out", "lost")}
        return cls(**{**data, **lists})


def require_equal(
    before: Probe, after: Probe, plan: Plan, settings: StereoSettings, passed: tuple[Sequence[Passed], Sequence[Passed]]
) -> None:
    """Raise ConversionFailed("proof_failed") with what differs between a film and its result, or between the new track and itself.

    `passed` is what passed by of the film and of the result, in the order of `remux.hashed`, and last the new track.
    """
    found = [
        *_packets(before, plan, passed),
        *_streams(before, after, plan, settings),
        *_chapters(before, after),
        *(() if plan.foreign else _tags("the film", before.tags, after.tags, {tag.lower() for tag in plan.lost_tags})),
    ]
    if found:
        more = f" (and {len(found) - 5} more)" if len(found) > 5 else ""
        raise ConversionFailed("proof_failed", "; ".join(found[:5]) + more)


def _packets(before: Probe, plan: Plan, passed: tuple[Sequence[Passed], Sequence[Passed]]) -> Iterator[str]:
    streams = {s.index: s for s in before.streams}
    kept = [streams[number] for number, _ in remux.hashed(before, plan)]
    looked = [(f"stream {s.index}", s.codec, s.kind != "data" and "attached_pic" not in s.dispositions) for s in kept]
    moved: list[tuple[str, float, float]] = []
    for (name, codec, has_time), old, new in zip([*looked, ("the new track", plan.codec, True)], *passed, strict=True):
        if old.packets != new.packets:
            yield f"{name} had {old.packets} packets, has {new.packets}"
        elif old.content != new.content:
            yield f"the packets of {name} differ"
        elif old.times != new.times:
            yield f"the packets of {name} stand at other times"
        elif old.packets and has_time:
            tolerance = OPUS_SHIFT_SEC if codec == "opus" else 0.0
            moved.append((name, new.first_sec - old.first_sec, tolerance))
    for (first, one, more), (second, other, more_too) in pairwise(moved):
        if abs(one - other) > SHIFT_TOLERANCE_SEC + max(more, more_too):
            yield f"{second} moved by {other - one:+.3f} s against {first}"


def lost(before: Probe, plan: Plan) -> Iterator[str]:
    """Name all that a proved result lacks."""
    for stream in before.streams:
        if stream.index in plan.lost:
            yield layout.told([stream])
        elif plan.muxer == "matroska" and not plan.sidecar and "creation_time" in _canonical(stream.tags):
            yield f"the tag creation_time of stream {stream.index}"
    for tag in plan.lost_tags:
        yield f"the tag {tag}"


def require_track(after: Probe, plan: Plan, settings: StereoSettings) -> None:
    """Raise ConversionFailed("proof_failed") when the new track is not marked as what it is."""
    streams = plan.in_result(after)
    if len(streams) != len(plan.places()) + 1:
        raise ConversionFailed("proof_failed", f"{len(streams)} streams stand where {len(plan.places()) + 1} should")
    made = streams[plan.made_at]
    wanted = {"default"} if settings.default_track or plan.sidecar else set()
    if (
        (made.kind, made.codec, made.channels, made.language) != ("audio", plan.codec, 2, plan.language)
        or made.title != plan.title
        or made.dispositions != wanted
    ):
        raise ConversionFailed("proof_failed", f"the new track is not marked as it should be: {made}")


def _streams(before: Probe, after: Probe, plan: Plan, settings: StereoSettings) -> Iterator[str]:
    old_streams, new_streams = {s.index: s for s in before.streams}, plan.in_result(after)
    kept = [(old_streams[number], new_streams[place]) for number, place in plan.places()]
    for old, new in kept:
        yield from (_foreign_stream(old, new) if plan.foreign else _stream(old, new, plan))
        yield from _dispositions(old, new, plan, settings, before.streams)


def _foreign_stream(old: Stream, new: Stream) -> Iterator[str]:
    for key in _SAME_IN_ANY_CONTAINER:
        if old.raw.get(key) != new.raw.get(key):
            yield f"stream {old.index}: {key} was {old.raw.get(key)}, is {new.raw.get(key)}"


def _stream(old: Stream, new: Stream, plan: Plan) -> Iterator[str]:
    for key in sorted((old.raw.keys() | new.raw.keys()) - TOLERATED.keys()):
        if old.raw.get(key) != new.raw.get(key):
            yield f"stream {old.index}: {key} was {old.raw.get(key)}, is {new.raw.get(key)}"
    if old.kind == "attachment" and old.raw.get("extradata_hash") != new.raw.get("extradata_hash"):
        yield f"attachment {old.index} differs"
    without = {"creation_time"} if plan.muxer == "matroska" else set()
    if old.index in plan.anew:
        without = {"handler_name"}  # "TimeCodeHandler", or the name of its picture's: the muxer's own word
    yield from _tags(f"stream {old.index}", old.tags, new.tags, without)


def _dispositions(
    old: Stream, new: Stream, plan: Plan, settings: StereoSettings, streams: Sequence[Stream]
) -> Iterator[str]:
    wanted = remux.dispositions(old, settings)
    if new.dispositions == wanted:
        return
    of_kind = [s for s in streams if s.kind == old.kind and s.index in plan.mapped]
    nobody = not any("default" in remux.dispositions(s, settings) for s in of_kind)
    if plan.muxer != "matroska" and nobody and new.dispositions == wanted | {"default"}:
        return  # MP4 has no such mark: "default" is "enabled", and its muxer enables one track of each kind
    yield f"stream {old.index}: its dispositions were {sorted(wanted)}, are {sorted(new.dispositions)}"


def _tags(
    whose: str, before: Mapping[str, str], after: Mapping[str, str], without: AbstractSet[str] = frozenset()
) -> Iterator[str]:
    old, new = _canonical(before), _canonical(after)
    for key in sorted((old.keys() | new.keys()) - TOLERATED_TAGS.keys() - without):
        if old.get(key) != new.get(key):
            yield f"{whose}: the tag {key} was {old.get(key)!r}, is {new.get(key)!r}"


def _canonical(tags: Mapping[str, str]) -> dict[str, str]:
    """Give tags in the one form in which equal ones are equal: containers write the same in several ways."""
    found = {key.lower(): value for key, value in tags.items()}
    for key in list(found):
        base = _LANGUAGE_SUFFIX.sub("", key)
        if base != key and (base in TOLERATED_TAGS or found.get(base) == found[key]):
            del found[key]  # QuickTime's tags have a language; FFmpeg names them with it, and once more without
    if found.get("language") == "und":
        del found["language"]  # "undetermined" is what having no tag means
    if "location" in found:
        found["location"] = " ".join(f"{float(number):g}" for number in _NUMBER.findall(found["location"]))
    if "creation_time" in found:
        found["creation_time"] = found["creation_time"].replace(" ", "T").removesuffix("Z").removesuffix(".000000")
    return found


def _chapters(before: Probe, after: Probe) -> Iterator[str]:
    if len(before.chapters) != len(after.chapters):
        yield f"{len(before.chapters)} chapters were there, {len(after.chapters)} are"
        return
    for number, (old, new) in enumerate(zip(before.chapters, after.chapters, strict=True), start=1):
        moved = max(abs(float(old.get(at, 0)) - float(new.get(at, 0))) for at in ("start_time", "end_time"))
        if moved > LENGTH_TOLERANCE_SEC / 10:
            yield f"chapter {number} moved by {moved:.3f} s"
        yield from _tags(f"chapter {number}", old.get("tags", {}), new.get("tags", {}))
