"""The layers that look at a film's bytes: holes, zeros, and what its container writes between the data."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from watcher.media import packets, silence, sparse
from watcher.media.containers import framing
from watcher.rules.statuses import Reason

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from watcher.media.evidence import Evidence
    from watcher.media.ffmpeg import Finished
    from watcher.rules.verdict import Verdict

_QUICK_FRAMING_BYTES: Final = 32 << 20
"""What a quick check looks through block by block: 0.1 s. A long film's blocks would cost more than its samples."""

_ATTACHED_RUN_BYTES: Final = 32 << 10
"""A piece of a download has more. Of two dozen fonts none had 2 KB of zeros."""


async def find_holes(known: Evidence, path: bytes) -> Verdict | None:
    """Ask the file system for holes in the payload; a large one is proof whatever the codecs."""
    known.holes = await asyncio.to_thread(sparse.holes, path, known.structure.payload)
    return judge_holes(known, sparse.SILENT_RUN_BYTES)


def judge_holes(known: Evidence, at_least: int) -> Verdict | None:
    """Condemn a film whose longest hole has so many bytes."""
    longest = max((end - start for start, end in known.holes), default=0)
    if not longest or longest < at_least:
        return None
    missing = sum(end - start for start, end in known.holes)
    evidence = f"holes: {len(known.holes)} with {missing:,} bytes that were never written"
    verdict = known.incomplete(Reason.HOLE, 1 - missing / known.size, evidence)
    return replace(verdict, missing_bytes=missing, first_damage_byte=known.holes[0][0])


@dataclass(frozen=True, slots=True)
class Reading:
    """How a film's bytes are read: all of them or samples, and who may stop it."""

    path: bytes
    whole: bool
    should_stop: Callable[[], bool]
    list_packets: Callable[[], Awaitable[Finished]]
    """Asked only when zeros lie in a film of which some codecs make zeros."""


async def read_through(known: Evidence, reading: Reading) -> Verdict | None:
    """Read the payload once: runs of zeros, and the framing where all of it is read."""
    payload = known.structure.payload
    whole = reading.whole or sum(end - start for start, end in payload) <= _QUICK_FRAMING_BYTES
    frames = framing.of(known.structure.container, known.structure.packet_bytes) if whole else None
    known.zeros = await asyncio.to_thread(
        sparse.scan,
        reading.path,
        payload,
        whole=reading.whole,
        look=frames.look if frames else None,
        should_stop=reading.should_stop,
    )
    known.bytes_read += known.zeros.bytes_read
    if known.zeros.longest >= known.zero_run_bytes and not await _is_silence(known, reading):
        return _zeros(known, _first_run(known), known.zeros.told())
    if whole and known.structure.attached and (verdict := await _read_attachments(known, reading)):
        return verdict
    if frames is not None and frames.faults.count:
        return _damaged_framing(known, frames.faults)
    if not whole:
        return None
    return await _ask_packets(known, reading) or await _ask_silence(known, reading)


async def _read_attachments(known: Evidence, reading: Reading) -> Verdict | None:
    """Read fonts and covers, too: lost pieces of a download may lie in them alone."""
    frames = framing.of(known.structure.container)
    zeros = await asyncio.to_thread(
        sparse.scan,
        reading.path,
        known.structure.attached,
        whole=True,
        look=frames.look if frames else None,
        should_stop=reading.should_stop,
    )
    known.bytes_read += zeros.bytes_read
    if zeros.longest < _ATTACHED_RUN_BYTES:
        return _damaged_framing(known, frames.faults) if frames and frames.faults.count else None
    evidence = f"{zeros.told()}, in its attachments"
    verdict = known.incomplete(Reason.ZEROS, 1 - zeros.longest / known.size, evidence)
    return replace(verdict, missing_bytes=zeros.longest, first_damage_byte=zeros.at)


def _zeros(known: Evidence, at: int | None, *evidence: str) -> Verdict:
    missing = max(known.zeros.longest, sum(end - start for start, end in known.zeros.runs))
    verdict = known.incomplete(Reason.ZEROS, 1 - missing / known.size, *evidence)
    return replace(verdict, missing_bytes=missing, first_damage_byte=at)


def _damaged_framing(known: Evidence, faults: framing.Faults) -> Verdict:
    """Condemn a film for its framing, a checksum that does not hold included, though every decoder may be content.

    Who keeps films wants to hear of a disk or a copy that changes bytes while it is one bit; whoever edited a cluster by
    hand knows why.
    """
    if known.suspect:
        return _zeros(known, _first_run(known), known.zeros.told(), faults.told())
    return replace(known.incomplete(Reason.DAMAGED, 1 - faults.count / 100, faults.told()), first_damage_byte=faults.at)


async def _ask_packets(known: Evidence, reading: Reading) -> Verdict | None:
    """Find out whether zeros or holes lie within a packet of a codec that makes none: other streams may well."""
    empty = sorted((*known.holes, *known.zeros.runs))
    streams = known.dense_streams
    if not (empty and streams):
        return None
    listed = await reading.list_packets()
    known.cpu_sec += listed.cpu_sec
    hit = packets.first_hit(listed.stdout, empty, streams)
    if hit is None:
        return None
    place = f"{known.zeros.told()}; those at byte {hit.at:,} are within stream {hit.stream} ({streams[hit.stream]})"
    verdict = _zeros(known, hit.at, place)
    return replace(verdict, reason=Reason.HOLE) if any(start <= hit.at < end for start, end in known.holes) else verdict


async def _is_silence(known: Evidence, reading: Reading) -> bool:
    """Find out whether all runs that would be proof are silences of PCM."""
    streams, zeros = known.pcm_streams, known.zeros
    if not streams or zeros.at is None:
        return False
    listed = await reading.list_packets()
    known.cpu_sec += listed.cpu_sec
    long = {run for run in zeros.runs if run[1] - run[0] >= known.zero_run_bytes}
    return all(
        [
            await asyncio.to_thread(silence.is_one, reading.path, run, listed.stdout, streams)
            for run in long | {(zeros.at, zeros.at + zeros.longest)}
        ]
    )


async def _ask_silence(known: Evidence, reading: Reading) -> Verdict | None:
    """Find out whether zeros in PCM break off a sound as no silence does."""
    streams, payload = known.pcm_streams, known.structure.payload
    if not (streams and payload and known.zeros.runs):
        return None
    end = payload[-1][1]
    found = await asyncio.to_thread(silence.suspects, reading.path, known.zeros.runs, end)
    if not found:
        return None
    listed = await reading.list_packets()
    known.cpu_sec += listed.cpu_sec
    hit = silence.first_hit(listed.stdout, found, streams, end)
    if hit is None:
        return None
    return _zeros(
        known, hit.at, f"{known.zeros.told()}; those at byte {hit.at:,} break off the sound of stream {hit.stream}"
    )


def _first_run(known: Evidence) -> int | None:
    """Give the first place that is proof by itself; the longest one may come later."""
    return next((start for start, end in known.zeros.runs if end - start >= known.zero_run_bytes), known.zeros.at)
