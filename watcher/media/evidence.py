"""What a check knows so far, and the verdicts made of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from watcher.media import complaints, decode, sparse, structure
from watcher.rules.statuses import IntegrityStatus, Mode, Reason
from watcher.rules.verdict import Verdict

if TYPE_CHECKING:
    from watcher.media.control_file import Download
    from watcher.media.ffmpeg import Finished
    from watcher.media.probe import Probe

_LOSSLESS_RUN_BYTES: Final = 128 << 10
"""A block of lossless sound that was stored as it is, all silence: 4,608 samples of eight channels at 24 bits are 108 KB."""
_SILENT_CODECS: Final = {
    **dict.fromkeys(("flac", "alac", "wavpack", "tta"), _LOSSLESS_RUN_BYTES),
    **dict.fromkeys(("mpeg1video", "mpeg2video", "rawvideo"), sparse.SILENT_RUN_BYTES),
}
"""Codecs that store silence or padding as zeros, and from which length on zeros are proof all the same; every pcm_ codec
is one, too."""
_DENSE_CODECS: Final = frozenset(
    [
        "h263",
        "h264",
        "hevc",
        "vvc",
        "av1",
        "vp8",
        "vp9",
        "mpeg4",
        "msmpeg4v3",
        "flv1",
        "theora",
        "aac",
        "ac3",
        "eac3",
        "mp3",
        "opus",
        "vorbis",
        "amr_nb",
        "amr_wb",
    ]
)
"""Codecs that cannot fill a page with zeros: entropy coding has no such runs, and their frames of silence have headers
closer together. Of 250 intact films only those with PCM, FLAC or data tracks had such a page."""
_UNBROKEN_PACKETS: Final = frozenset({"matroska", "webm", "mp4", "mov", "avi", "flv"})
_READ_ON: Final = frozenset({"ogg", "flac"})
"""Containers without an end of their own to FFmpeg: it takes for sound whatever follows."""
_WITH_NOTES: Final = 0.9
"""The score of a whole film about which something is odd."""
_END_OF_ZEROS: Final = 32
"""A complaint about a film that ends in so many zeros is none to forgive: a last frame ends with its checksum or its
entropy-coded content, and a lost write leaves more than this."""
_SLACK_SEC: Final = 1.5
_SLACK_SHARE: Final = 0.03
"""By how much intact films of formats without a declared end were seen to end early, at most."""


@dataclass(slots=True)
class Evidence:
    """The facts of one check; the layers of `integrity` fill it in."""

    mode: Mode
    tool_version: str
    size: int = 0
    structure: structure.Structure = field(default_factory=lambda: structure.Structure("unknown"))
    holes: list[tuple[int, int]] = field(default_factory=list)
    zeros: sparse.Zeros = field(default_factory=sparse.Zeros)
    probe: Probe | None = None
    chosen: decode.Chosen = field(default_factory=lambda: decode.Chosen((), (), ()))
    notes: list[str] = field(default_factory=list)
    disagreement: str = ""
    """What a checksum beside the film says against it."""
    cpu_sec: float = 0.0
    bytes_read: int = 0

    @property
    def silent(self) -> bool:
        """Whether long runs of zeros are ordinary in a film of these codecs."""
        return any(map(_silent_run_bytes, self.chosen.codecs))

    @property
    def dense(self) -> bool:
        """Whether nothing in the payload can lawfully be a page of zeros.

        Data tracks may hold anything; and where no structure was read, the payload may be the padding of tags.
        """
        if self.probe is None or self.chosen.unverified or not self.chosen.codecs:
            return False
        if self.structure.status != "whole":
            return False
        return self.chosen.codecs <= _DENSE_CODECS and all(stream.kind != "data" for stream in self.probe.streams)

    @property
    def dense_streams(self) -> dict[int, str]:
        """The streams (their index and codec) in whose packets no page can be zeros, where packets lie in one piece."""
        if self.structure.container not in _UNBROKEN_PACKETS:
            return {}
        decoded = (*self.chosen.video, *self.chosen.audio)
        dense = [stream for stream in decoded if stream.codec in _DENSE_CODECS]
        # What FFmpeg knows by name and cannot decode is compressed: it has decoders for all that is not.
        dense += [stream for stream in self.chosen.unverified if stream.codec and not _silent_run_bytes(stream.codec)]
        return {stream.index: stream.codec for stream in dense}

    @property
    def pcm_streams(self) -> dict[int, str]:
        """The streams (their index and codec) of PCM, where nothing else of the film stores zeros."""
        pcm = {stream.index: stream.codec for stream in self.chosen.audio if stream.codec.startswith("pcm_")}
        others = [stream for stream in (*self.chosen.video, *self.chosen.audio) if stream.index not in pcm]
        return {} if any(_silent_run_bytes(stream.codec) for stream in others) else pcm

    @property
    def zero_run_bytes(self) -> int:
        """From which length on a run of zeros is proof that something is missing."""
        if self.silent:
            return max(map(_silent_run_bytes, self.chosen.codecs))
        return sparse.SUSPECT_PAGE_BYTES if self.dense else sparse.ZERO_RUN_BYTES

    @property
    def suspect(self) -> bool:
        """Whether a page of zeros, though no proof, asks for a closer look."""
        return self.zeros.longest >= sparse.SUSPECT_PAGE_BYTES and not self.silent

    @property
    def duration_sec(self) -> float | None:
        """How long picture and sound should be: a subtitle may last longer than both."""
        if self.probe is None:
            return self.structure.declared_sec
        looked_at = (*self.chosen.video, *self.chosen.audio)
        known = [stream.duration_sec for stream in looked_at if stream.duration_sec is not None]
        return max(known) if known and len(known) == len(looked_at) else self.probe.duration_sec

    @property
    def reach_is_known(self) -> bool:
        """Whether a pass over key frames can tell where the film ends: by its sound, if its headers do not."""
        return self.structure.status == "whole" or bool(self.chosen.audio)

    @property
    def ends_at(self) -> int | None:
        """The byte at which FFmpeg must stop reading: something else stands behind the film, and it would decode that."""
        odd = self.structure.status == "whole" and self.structure.notes and self.structure.container in _READ_ON
        return self.structure.payload[-1][1] if odd else None

    def may_tolerate(self, lines: tuple[str, ...], reached: float | None) -> bool:
        """Tell whether all but these lines speaks for the film: its headers, its zeros and holes, its length."""
        duration = self.duration_sec or 0.0
        to_its_end = (reached or 0.0) >= duration * (1 - _SLACK_SHARE) - 0.25
        whole = self.structure.status == "whole" and not self.zeros.longest and not self.holes
        whole = whole and self.zeros.at_end < _END_OF_ZEROS
        return whole and to_its_end and complaints.are_of_intact_films(lines, more_behind=bool(self.structure.notes))

    def is_short(self, finished: Finished) -> bool:
        """Tell whether decoding ended before the film should."""
        duration = self.duration_sec
        reached = (finished.progress.out_time_sec if finished.progress else None) or 0.0
        return duration is not None and reached < duration - slack_sec(duration)

    def ends_early(self, finished: Finished) -> bool:
        """Tell the same; asked only where the structure proves no end."""
        return self.structure.status != "whole" and bool(self.chosen.codecs) and self.is_short(finished)

    def by_download(self, told: Download) -> Verdict | None:
        """Give the verdict of a downloader's own account; None when all of the file is there."""
        missing = told.total_bytes - told.present_bytes
        if missing <= 0:
            return None
        reason = Reason.TRUNCATED if self.size < told.total_bytes else Reason.HOLE
        evidence = f"reference: {told.source} says that {told.present_bytes:,} of {told.total_bytes:,} bytes are there"
        return replace(self.incomplete(reason, told.present_bytes / told.total_bytes, evidence), missing_bytes=missing)

    def complete(self) -> Verdict:
        """The film is whole."""
        return self._verdict(IntegrityStatus.COMPLETE, None, _WITH_NOTES if self.notes else 1.0, ())

    def incomplete(self, reason: Reason, score: float, *evidence: str) -> Verdict:
        """The content is not whole; `score` is about the share of it that can be read."""
        return self._verdict(IntegrityStatus.INCOMPLETE, reason, min(0.89, max(0.0, score)), evidence)

    def error(self, reason: Reason, evidence: str) -> Verdict:
        """We could not find out."""
        return self._verdict(IntegrityStatus.ERROR, reason, 0.0, (evidence,))

    def _verdict(
        self, status: IntegrityStatus, reason: Reason | None, score: float, evidence: tuple[str, ...]
    ) -> Verdict:
        declared = self.structure.declared_sec or self.duration_sec
        missing = self.structure.missing_bytes
        return Verdict(
            status=status,
            mode=self.mode,
            reason=reason,
            score=round(score, 3),
            declared_sec=declared,
            readable_sec=declared if status is IntegrityStatus.COMPLETE else None,
            missing_bytes=missing,
            first_damage_byte=self.structure.offset if reason is not None else None,
            evidence=evidence,
            notes=tuple(self.notes),
            tool_version=self.tool_version,
            cpu_sec=round(self.cpu_sec, 3),
            bytes_read=self.bytes_read,
        )


def slack_sec(duration_sec: float) -> float:
    """By how much an intact film of that length may end early."""
    return max(_SLACK_SEC, duration_sec * _SLACK_SHARE)


def _silent_run_bytes(codec: str) -> int:
    return sparse.SILENT_RUN_BYTES if codec.startswith("pcm_") else _SILENT_CODECS.get(codec, 0)


def reckoned(verdict: Verdict, size: int) -> Verdict:
    """Fill in what can be reckoned of seconds and bytes, each from the other: films are about evenly dense."""
    declared = verdict.declared_sec
    if verdict.status is not IntegrityStatus.INCOMPLETE or not declared or not size:
        return verdict
    missing, at, seconds = verdict.missing_bytes or 0, verdict.first_damage_byte, verdict.first_damage_sec
    whole = size + (missing if verdict.reason is Reason.TRUNCATED else 0)
    readable = verdict.readable_sec
    if readable is None and verdict.reason in {Reason.TRUNCATED, Reason.HOLE, Reason.ZEROS} and missing:
        readable = declared * max(0.0, 1 - missing / whole)
    if seconds is None and at is None and verdict.reason is Reason.TRUNCATED:
        seconds = readable
    if seconds is None and at is not None:
        seconds = declared * min(1.0, at / whole)
    elif at is None and seconds is not None:
        at = int(size * min(1.0, seconds / declared))
    return replace(verdict, readable_sec=readable, first_damage_sec=seconds, first_damage_byte=at)
