"""Whether a film is whole: layers in the order of their cost, which stop at the first proof.

    structure   the headers say where the file ends          milliseconds
    holes       parts the file system never stored           one system call
    probe       ffprobe finds picture or sound               0.1 s
    reference   full: a checksum beside the film             the disk's speed, and decides without decoding
    zeros       parts that were never filled                 the disk's speed; large files sampled in quick mode
    framing     blocks, packets, checksums of the container  read along with the zeros; in quick mode of small files only
    decode      quick: samples; audio, and quick with a short film: key frames and all sound; full: everything

INCOMPLETE needs evidence from the content. ERROR means only that we could not find out. FFmpeg's exit code proves
nothing, and neither does a sample after a seek: what a sample finds is looked at again by decoding everything.
"""

from __future__ import annotations

import asyncio
import functools
import os
import stat
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from watcher.errors import NoAnswer, ProbeFailed, ToolMissing
from watcher.media import (
    control_file,
    decode,
    faults,
    ffmpeg,
    judgement,
    packets,
    probe,
    recording,
    reference,
    sparse,
    structure,
    unwritten,
)
from watcher.media.evidence import Evidence, reckoned
from watcher.media.passes import Passes
from watcher.rules.signature import Signature
from watcher.rules.statuses import Mode, Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from watcher.media.checkpoints import Stops
    from watcher.media.ffmpeg import Finished, Tools
    from watcher.media.probe import Probe
    from watcher.rules.verdict import Verdict

_UNREADABLE_RUN_BYTES: Final = 64 << 10
"""A run of zeros that explains why ffprobe cannot read a file."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """A verdict, and what the film holds where that was found out on the way."""

    verdict: Verdict
    probe: Probe | None = None


def time_limit_sec(size_bytes: int, duration_sec: float | None) -> float:
    """Give the longest time that a check may take.

    Ten minutes, six times the film's length (a small NAS decodes 4K HEVC at a third of its speed), and its reading at
    2 MB/s, twice over. Where the length is not known it is taken from the size at 1 Mbit/s, at most 12 hours.
    """
    length = duration_sec if duration_sec is not None else min(size_bytes / 125_000, 43_200.0)
    return 600.0 + 6 * length + size_bytes / 1e6


async def check(
    tools: Tools,
    path: bytes,
    mode: Mode,
    *,
    threads: int = 2,
    limit_sec: float | None = None,
    tolerate_lines: int = 2,
    expected: Signature | None = None,
    on_progress: Callable[[float], None] | None = None,
    stops: Stops | None = None,
) -> CheckResult:
    """Find out whether a file is whole; never raises but for cancellation.

    `expected` is the content that is meant, if it was seen before; a verdict about any other is none.
    `tolerate_lines` is how many complaints of a decoder a film may have whose structure proves it complete, if they are
    such as intact films cause: it is then COMPLETE with a note. A shallower check that had to decode everything gives a verdict of Mode.FULL. `on_progress`
    gets the share of the decoding done, 0 to 1. `stops` may stop the decoding meanwhile: that time does not count. One call of ffprobe is made at most.
    """
    work = _Check(tools, path, mode, _Limits(threads, limit_sec, tolerate_lines, stops), on_progress)
    before = expected
    try:
        found = await asyncio.to_thread(os.stat, path)
        before = before or Signature.of(found)
        verdict = await work.run(found)
    except (ToolMissing, OSError) as error:
        verdict = work.known.error(faults.reason_of(error), faults.words_of(error))
    finally:
        work.stop.set()
    if before is not None and (trouble := await asyncio.to_thread(faults.since, path, before)):
        return CheckResult(work.known.error(*trouble))
    return CheckResult(reckoned(verdict, work.known.size), work.known.probe)


@dataclass(frozen=True, slots=True)
class _Limits:
    threads: int
    time_sec: float | None
    lines: int
    stops: Stops | None


class _Check:
    """One check under way: one method a layer, each giving a verdict or None."""

    def __init__(
        self, tools: Tools, path: bytes, mode: Mode, limits: _Limits, on_progress: Callable[[float], None] | None
    ) -> None:
        self.known = Evidence(mode, tools.version)
        self.stop = threading.Event()
        """Set when nobody waits any more: a scan in its thread ends."""
        self._tools = tools
        self._path = path
        self._limits = limits
        self._deadline = 0.0
        self._now = ffmpeg.clock_of(limits.stops)
        self._passes = Passes(
            tools, path, self.known, limits.threads, self._left, self._read_all, on_progress, limits.stops
        )

    async def run(self, found: os.stat_result) -> Verdict:
        """Go through the layers."""
        if not stat.S_ISREG(found.st_mode):
            return self.known.incomplete(Reason.NOT_MEDIA, 0, "stat: not a regular file")
        self.known.size = found.st_size
        limit = self._limits.time_sec if self._limits.time_sec is not None else time_limit_sec(self.known.size, None)
        self._deadline = self._now() + limit
        for layer in (self._download, self._structure, self._holes, self._probe):
            verdict = await layer()
            if verdict is not None:
                return verdict
        if self.known.mode is Mode.FULL:
            return await self._everything()
        return await self._payload() or await self._decode_parts()

    async def _download(self) -> Verdict | None:
        """Believe a downloader that keeps its own account beside the file."""
        told = await asyncio.to_thread(control_file.beside, self._path)
        return None if told is None else self.known.by_download(told)

    async def _structure(self) -> Verdict | None:
        found = self.known.structure = await asyncio.to_thread(structure.walk, self._path)
        self.known.bytes_read += found.bytes_read
        self.known.notes += found.notes
        if found.status in {"whole", "unknown"}:
            return None
        evidence = [f"structure: {reason}" for reason in found.reasons]
        if found.status == "not_media":
            return self.known.incomplete(Reason.NOT_MEDIA, 0, *evidence)
        if not self.known.size:
            return self.known.incomplete(Reason.EMPTY, 0, *evidence)
        if found.zeros:
            return self.known.incomplete(Reason.ZEROS, (found.offset or 0) / self.known.size, *evidence)
        if found.status == "damaged":
            return self.known.incomplete(Reason.DAMAGED, (found.offset or 0) / self.known.size, *evidence)
        return self.known.incomplete(
            Reason.TRUNCATED, self.known.size / (self.known.size + (found.missing_bytes or 1)), *evidence
        )

    async def _holes(self) -> Verdict | None:
        return await unwritten.find_holes(self.known, self._path)

    async def _probe(self) -> Verdict | None:
        finished = await probe.ask(self._tools, self._path, time_limit_sec=min(probe.TIME_LIMIT_SEC, self._left()))
        self.known.cpu_sec += finished.cpu_sec
        if trouble := self._trouble(finished):
            return trouble
        if finished.returncode != 0:
            known = Reason.DAMAGED if self.known.structure.container else Reason.NOT_MEDIA
            return await self._unreadable(known, f"probe: {probe.complaint(finished)}")
        try:
            self.known.probe = probe.parse(finished.stdout)
        except NoAnswer as error:
            if not finished.stdout_cut:
                return self.known.error(Reason.TOOL_MISSING, f"{self._tools.ffprobe}: {error}")
            return self.known.incomplete(Reason.DAMAGED, 0, "probe: its description is larger than any film's")
        except ProbeFailed as error:
            return await self._unreadable(Reason.DAMAGED, f"probe: {error}")
        self.known.chosen = decode.choose(self.known.probe, self._tools, self.known.structure)
        if trouble := await self._leave_out_empty_streams():
            return trouble
        if not (self.known.chosen.codecs or self.known.chosen.unverified):
            return await self._unreadable(Reason.NO_STREAMS, "probe: no picture and no sound")
        self.known.notes += [
            f"stream {stream.index} ({stream.codec or 'unknown codec'}) not verified, only read: "
            + ("its picture is too large" if stream.codec in self._tools.codecs else "no decoder for it")
            for stream in self.known.chosen.unverified
        ]
        return unwritten.judge_holes(self.known, self.known.zero_run_bytes if self.known.silent else 1)

    async def _leave_out_empty_streams(self) -> Verdict | None:
        """Forget sound that a broadcast announces and does not send: FFmpeg fails for want of its form.

        A quick check does not look for it behind the beginning.
        """
        for stream in self.known.chosen.formless:
            if self.known.mode.at_least(Mode.AUDIO):
                command = packets.command_first(self._tools, self._path, stream.index)
                listed = await ffmpeg.run(command, time_limit_sec=self._left(), stops=self._limits.stops)
                self.known.cpu_sec += listed.cpu_sec
                if trouble := self._trouble(listed):
                    return trouble
                if listed.stdout.strip():
                    continue
            self.known.chosen = self.known.chosen.without(stream)
            self.known.notes.append(f"stream {stream.index} ({stream.codec}) is announced, and nothing of it comes")
        return None

    async def _unreadable(self, reason: Reason, evidence: str) -> Verdict:
        """Say why ffprobe found nothing; a large run of zeros explains it better than any guess."""
        zeros = await self._read_all()
        if zeros.longest < _UNREADABLE_RUN_BYTES:
            return self.known.incomplete(reason, 0, evidence)
        verdict = self.known.incomplete(Reason.ZEROS, 1 - zeros.longest / self.known.size, zeros.told(), evidence)
        return replace(verdict, first_damage_byte=zeros.at)

    async def _read_all(self) -> sparse.Zeros:
        everything = ((0, self.known.size),)
        zeros = await asyncio.to_thread(sparse.scan, self._path, everything, whole=True, should_stop=self.stop.is_set)
        self.known.bytes_read += zeros.bytes_read
        return zeros

    async def _payload(self) -> Verdict | None:
        """Read the payload, all of it but for a large film in quick mode."""
        return await unwritten.read_through(
            self.known,
            unwritten.Reading(
                self._path,
                whole=self.known.mode.at_least(Mode.AUDIO),
                should_stop=self.stop.is_set,
                list_packets=lambda: packets.ask(
                    self._tools, self._path, time_limit_sec=self._left(), stops=self._limits.stops
                ),
            ),
        )

    async def _decode_parts(self) -> Verdict:
        """Look at samples, or at the key frames and the sound; decode everything when one of them asks for it.

        A page of zeros asks too, and so does a film whose end only its pictures could tell.
        """
        duration = self.known.duration_sec or 0.0
        key_frames = self.known.mode is Mode.AUDIO or duration < decode.SHORT_SEC
        if self.known.suspect or (key_frames and not self.known.reach_is_known):
            return await self._everything()
        for window in (None,) if key_frames else decode.windows(duration):
            finished = await (self._passes.sample(window) if window else self._passes.whole(key_frames=key_frames))
            if trouble := self._trouble(finished):
                return trouble
            if (
                (finished.stderr_lines and not (window and self._excuses(finished, window)))
                or finished.returncode != 0
                or decode.nothing_came(finished)
                or (key_frames and self.known.ends_early(finished))
            ):
                return await self._everything()
        return self.known.complete()

    def _excuses(self, finished: Finished, window: decode.Window) -> bool:
        duration = self.known.duration_sec or 0.0
        return self._is_recording and recording.excuses(finished.stderr_lines, window, duration)

    @property
    def _is_recording(self) -> bool:
        """Whether decoders may complain of the film's edges: a broadcast, and nothing speaks of lost bytes."""
        lost = self.known.holes or self.known.zeros.longest
        return self.known.structure.container in recording.CONTAINERS and not lost

    async def _everything(self) -> Verdict:
        """Read and decode everything, and judge by what FFmpeg says and by how far it came.

        Only here a checksum beside the film is asked: it costs reading all of the film, and decoding costs more.
        """
        scanned, self.known.mode = self.known.mode is Mode.AUDIO, Mode.FULL
        told = await asyncio.to_thread(reference.find, self._path)
        if told is not None and await reference.agrees(told, self._path, self.known, self.stop.is_set):
            return self.known.complete()
        if not scanned and (verdict := await self._payload()):
            return verdict
        if self.known.disagreement:
            return self.known.incomplete(Reason.DAMAGED, judgement.UNKNOWN_SCORE, self.known.disagreement)
        finished = await self._passes.whole()
        sample = functools.partial(self._passes.sample, all_lines=True)
        may_be_edges = finished.stderr_lines and self._is_recording
        if may_be_edges and await recording.complains_of_edges_only(finished, self.known.duration_sec, sample):
            self.known.notes.append(recording.NOTE)
            finished = replace(finished, stderr_lines=())
        return self._trouble(finished) or await judgement.of(self.known, finished, self._limits.lines, sample)

    def _trouble(self, finished: Finished) -> Verdict | None:
        """Give the verdict when a child's end speaks of the machine and not of the film."""
        fault = faults.of(finished)
        return self.known.error(fault.reason, fault.sentence) if fault else None

    def _left(self) -> float:
        return max(1.0, self._deadline - self._now())
