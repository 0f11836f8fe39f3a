"""How a film with one more sound track is put together: the commands of FFmpeg that do what a plan says.

Pure: this module starts nothing and touches no disk. What the commands heed, and why:

    every stream is mapped by its number, in order   -map 0 fails on fonts from FFmpeg 7 on, and on unknown data
    every stream's dispositions are given            FFmpeg otherwise picks defaults of its own
    the new track comes from a file of its own       and inherits no title or statistics of its source
    -strict unofficial                               without it MP4 silently loses Dolby Vision's configuration
    the queue of waiting packets is not limited      a sound track that begins late would end the run
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from watcher.media import encoder, ffmpeg, layout
from watcher.media.passed import Account

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from watcher.media.downmix import StereoSettings
    from watcher.media.ffmpeg import Argument, Tools
    from watcher.media.layout import Plan
    from watcher.media.probe import Probe
    from watcher.rules.audio import Stream

HASH: Final = "murmur3"
"""128 bits. The proof is against damage, not against a forger: SHA-256 would cost eight times as much, and over a
tenth of the whole conversion of a large film."""
_BRANDS_KEPT: Final = frozenset(
    {"isom", "iso2", "iso4", "iso5", "iso6", "mp41", "mp42", "avc1", "M4V ", "M4VH", "M4VP"}
)
"""Major brands that stay true of what FFmpeg's MP4 muxer writes; of others (DASH fragments, ...) they would not."""
_WITHOUT_ALL_TIMES: Final = frozenset({"avi", "mpeg"})
"""AVI has no times at all, MPEG program streams have them for some pictures only."""
_ONE_FORM: Final = {"h264": "filter_units=remove_types=31", "hevc": "filter_units=remove_types=63"}
"""Bitstream filters that give packets of every container in one form, with start codes before each unit. The types are
ones that no film has, as without any the filter does nothing."""

_QUEUED_INPUT: Final = ("-thread_queue_size", "0")
"""With a second input, FFmpeg 5 reads each in a thread of its own that hands on packet by packet: 57,000 switches for a
film of 20 minutes, and twice the work of the whole pass. 0 is no thread there, and newer ones' default."""
_QUEUED_OUTPUT: Final = ("-thread_queue_size", "100")
"""FFmpeg 7 and newer write each output in a thread of its own: with a longer queue it is woken up less often, which saves a
sixth of the pass. Older ones do not know the option there."""
_QUEUES_OUTPUTS: Final = 8
"""The oldest version with which that was tried."""
_WITHOUT_HEADERS: Final = "aac_adtstoasc"
"""Takes from each packet of ADTS the header that other containers keep once."""


def cover_command(tools: Tools, film: bytes, covers: Sequence[tuple[int, bytes]]) -> list[Argument]:
    """Take cover pictures out, byte by byte as they are: (number, file) each. Ends as soon as it has them."""
    words: list[Argument] = [tools.ffmpeg, *ffmpeg.QUIET, "-y", *ffmpeg.SAFE, "-i", ffmpeg.source(film)]
    for number, file in covers:
        words += ["-map", f"0:{number}", "-c", "copy", "-frames:v", "1", "-f", "rawvideo", ffmpeg.source(file)]
    return words


def encode_command(
    tools: Tools,
    sound: Sequence[Argument],
    plan: Plan,
    settings: StereoSettings,
    graph: str,
    outputs: Mapping[str, str | bytes],
) -> list[Argument]:
    """Make the new track, or pieces of it, from the input `sound`: `outputs` says where each output of the graph goes."""
    words: list[Argument] = [tools.ffmpeg, *ffmpeg.QUIET, *ffmpeg.PROGRESS, "-y", *sound, "-filter_complex", graph]
    for label, file in outputs.items():
        # Each frame as it comes: FFmpeg closes no output before the end of the last one.
        words += ["-map", label, *encoder.options(plan.codec, settings), "-flush_packets", "1", file]
    return words


def command(
    tools: Tools,
    film: bytes,
    track: bytes,
    temp: bytes,
    probe: Probe,
    plan: Plan,
    settings: StereoSettings,
    covers: Sequence[bytes] = (),
) -> list[Argument]:
    """Put film and track together at `temp`, and in the same pass tell of each packet of the film's kept streams, and of
    the track's, on standard output. `covers` are the files of `plan.covers`, in that order.
    """
    streams = {s.index: s for s in probe.streams}
    early = encoder.padding(plan.codec) / encoder.sample_rate(plan.codec, streams[plan.made_from])
    queued: list[Argument] = [*_QUEUED_OUTPUT] if tools.major >= _QUEUES_OUTPUTS else []
    words: list[Argument] = [
        *(tools.ffmpeg, *ffmpeg.QUIET, *ffmpeg.PROGRESS, "-y", *_QUEUED_INPUT, *film_input(film, probe)),
        *(*_QUEUED_INPUT, *ffmpeg.SAFE, "-f", encoder.demuxer(plan.codec), "-itsoffset", f"{-early:.9f}"),
        *("-i", ffmpeg.source(track)),
    ]
    copied = plan.copied()
    for number in copied[: plan.made_at]:
        words += ["-map", f"0:{number}"]
    words += ["-map", "1:0"]
    for number in copied[plan.made_at :]:
        words += ["-map", f"0:{number}"]
    words += ["-map_metadata", "0", "-map_chapters", "0", "-c", "copy", "-max_muxing_queue_size", "100000"]
    for number in copied:
        if streams[number].kind != "attachment":
            kept = dispositions(streams[number], settings)
            words += [f"-disposition:{plan.output(number)}", "+".join(sorted(kept)) or "0"]
    words += _new_track(plan, settings)
    for number, file in zip(plan.covers if plan.attaches_covers else (), covers, strict=True):
        words += ["-attach", ffmpeg.source(file)]
        for key, value in streams[number].tags.items():
            words += [f"-metadata:s:{plan.output(number)}", f"{key}={value}"]
    words += [*_muxer_options(probe, plan), *queued, "-f", plan.muxer, ffmpeg.source(temp)]
    if plan.foreign and plan.made_from not in copied:
        words += used_only([plan.made_from])
    told = _packets([streams[number] for number, _ in hashed(probe, plan)], probe, plan, "1:0")
    return [*words, *told[:-1], *queued, told[-1]]


def used_only(numbers: Sequence[int]) -> list[Argument]:
    """Use streams, for nothing.

    Of broadcasts FFmpeg takes for zero, and for a jump of the clock, what it finds in the streams that it uses: they must
    be the same ones where the track is made and where it is put to the film.
    """
    return [*(word for number in numbers for word in ("-map", f"0:{number}")), "-c", "copy", "-f", "null", "-"]


def film_input(film: bytes, probe: Probe, threads: int | None = None) -> list[Argument]:
    """Give the input that a film is; `threads` are its decoders'."""
    generate = ["-fflags", "+genpts"] if probe.format_name in _WITHOUT_ALL_TIMES else []
    decoding = ["-threads", str(threads)] if threads is not None else []
    return [*ffmpeg.SAFE, *generate, *decoding, "-i", ffmpeg.source(film)]


def dispositions(stream: Stream, settings: StereoSettings) -> frozenset[str]:
    """Give what a kept stream is marked as in the result: what it was, but that only one sound track is the default."""
    taken = {"default"} if settings.default_track and stream.kind == "audio" else set()
    return stream.dispositions - taken


def hashed(probe: Probe, plan: Plan) -> tuple[tuple[int, int], ...]:
    """Give the places of the streams whose packets are compared: all but attachments, which have no packets."""
    kinds = {s.index: s.kind for s in probe.streams}
    return tuple(place for place in plan.places() if kinds[place[0]] != "attachment")


def account_of(probe: Probe, plan: Plan) -> Account:
    """Give the account to be held of a pass, over the film and the track or over the result: the streams of `hashed`, and
    the new track last.
    """
    streams = {s.index: s for s in probe.streams}
    kept = list(enumerate(streams[number] for number, _ in hashed(probe, plan)))
    return Account(
        plan.muxer,
        len(kept) + 1,
        foreign=range(len(kept) + 1) if plan.foreign else [len(kept)],
        untimed=[*(at for at, stream in kept if "attached_pic" in stream.dispositions), len(kept)],
        lasting=[at for at, stream in kept if stream.kind == "subtitle" and not plan.foreign],
    )


def read_back_command(tools: Tools, file: bytes, probe: Probe, plan: Plan, result: Probe) -> list[Argument]:
    """Tell of each packet of a result's kept streams and of its new track."""
    streams = plan.in_result(result)
    kept = [streams[place] for _, place in hashed(probe, plan)]
    words: list[Argument] = [tools.ffmpeg, *ffmpeg.QUIET, *ffmpeg.PROGRESS, *ffmpeg.SAFE, "-i", ffmpeg.source(file)]
    return [*words, *_packets(kept, result, plan, f"0:{streams[plan.made_at].index}")]


def end_command(tools: Tools, film: bytes, number: int, from_sec: float) -> list[Argument]:
    """List the times and lengths of a track's packets from a position on."""
    return [
        *(tools.ffprobe, "-v", "repeat+level+error", *ffmpeg.SAFE, "-read_intervals", f"{from_sec:.3f}%"),
        *("-select_streams", str(number), "-show_entries", "packet=pts_time,duration_time"),
        *("-of", "csv=p=0", ffmpeg.source(film)),
    ]


def _packets(streams: Sequence[Stream], probe: Probe, plan: Plan, track: str) -> list[Argument]:
    """Tell of packets as they are, of the new track last; what changes its container, in the one form that both know."""
    words: list[Argument] = [word for stream in streams for word in ("-map", f"0:{stream.index}")]
    words += ["-map", track, "-c", "copy"]
    for at, stream in enumerate(streams):
        if plan.foreign and (form := _form(stream, probe)):
            words += [f"-bsf:{at}", form]
    if plan.codec == "aac" and track.startswith("1:"):
        words += [f"-bsf:{len(streams)}", _WITHOUT_HEADERS]
    return [*words, "-f", "framehash", "-hash", HASH, "-flush_packets", "0", "pipe:1"]  # not a write a packet


def _form(stream: Stream, probe: Probe) -> str:
    if stream.codec == "aac" and probe.format_name == "mpegts":
        return _WITHOUT_HEADERS
    return _ONE_FORM.get(stream.codec, "")


def _new_track(plan: Plan, settings: StereoSettings) -> list[Argument]:
    at = plan.made_at
    tags = {"language": plan.language, "title": plan.title}
    if plan.muxer in {"mp4", "mov"}:
        tags["handler_name"] = plan.title  # where players look for a track's name in MP4
    words: list[Argument] = [f"-disposition:{at}", "default" if settings.default_track or plan.sidecar else "0"]
    for key, value in tags.items():
        words += [f"-metadata:s:{at}", f"{key}={value}"]
    return words


def _muxer_options(probe: Probe, plan: Plan) -> list[Argument]:
    if plan.muxer in {"matroska", "webm"}:
        return ["-default_mode", "passthrough"]
    quicktime = layout.other_tags(probe) and not plan.lost_tags
    flags = "+faststart+use_metadata_tags" if quicktime else "+faststart"
    brand = probe.tags.get("major_brand", "")
    kept = ["-brand", brand] if plan.muxer == "mp4" and brand in _BRANDS_KEPT else []
    codes = any(layout.is_time_code(s) for s in probe.streams if s.index in {*plan.mapped, *plan.anew})
    return ["-movflags", flags, *kept, "-write_tmcd", "1" if codes else "0", "-strict", "unofficial"]
