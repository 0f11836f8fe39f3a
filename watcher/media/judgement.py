"""What a whole decoding proves: how far it came, what the decoders said, and what of that may be forgiven."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from watcher.media import complaints, decode, probe, recording
from watcher.rules.statuses import Reason

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from watcher.media.evidence import Evidence
    from watcher.media.ffmpeg import Finished
    from watcher.rules.verdict import Verdict

_LINES_TOLD: Final = 8
UNKNOWN_SCORE: Final = 0.5
"""Something is wrong, and a checksum does not tell how much."""
_MD5: Final = re.compile(rb"^MD5=([0-9a-f]{32})$", re.MULTILINE)


async def of(
    known: Evidence,
    finished: Finished,
    tolerate_lines: int,
    sample: Callable[[decode.Window], Awaitable[Finished]],
) -> Verdict:
    """Give the verdict of a decoding from beginning to end that no trouble of the machine disturbed.

    `sample` decodes a part again; asked where it matters at which end of the film a complaint belongs.
    """
    lines, count = finished.stderr_lines, complaints.defects(finished.stderr_lines)
    reached = finished.progress.out_time_sec if finished.progress else None
    told = [f"decode: {complaints.in_words(line)}" for line in lines[:_LINES_TOLD]]
    if known.chosen.codecs and (
        decode.nothing_came(finished) or (known.chosen.video and decode.no_picture_came(finished))
    ):
        return known.incomplete(Reason.UNDECODABLE, 0, "decode: a decoder was there, but nothing came out", *told)
    if known.ends_early(finished):
        duration = known.duration_sec or 1.0
        evidence = f"decode: it ends at {reached or 0:.1f} s of {duration:.1f} s"
        verdict = known.incomplete(Reason.TRUNCATED, (reached or 0) / duration, evidence, *told)
        return replace(verdict, readable_sec=reached)
    tolerable = finished.returncode == 0 and count <= tolerate_lines and known.may_tolerate(lines, reached)
    if tolerable and complaints.is_of_a_cut_frame(lines):
        tolerable = await recording.complains_at_an_edge(known.duration_sec, sample)
    if finished.returncode == 0 and not lines and (other := _other_sound(known, finished)):
        return known.incomplete(Reason.DAMAGED, UNKNOWN_SCORE, other)
    if tolerable or (finished.returncode == 0 and not lines):
        known.notes += told
        return known.complete()
    reason = Reason.DAMAGED
    if known.suspect:
        reason, told = Reason.ZEROS, [known.zeros.told(), *told]
    elif complaints.speaks_of_a_cut(lines) and known.structure.status != "whole":
        reason = Reason.TRUNCATED
    verdict = known.incomplete(reason, 1 - count / 100, *(told or [f"decode: {probe.complaint(finished)}"]))
    return replace(verdict, first_damage_sec=finished.first_line_sec, readable_sec=reached)


def _other_sound(known: Evidence, finished: Finished) -> str:
    """Say that FLAC's sound is not what its header says; "" when it is, or nobody knows."""
    found, told = _MD5.search(finished.stdout), known.structure.sound_md5
    if found is None or found[1].decode() == told:
        return ""
    return f"reference: its header says that its sound has the MD5 {told}, and it has {found[1].decode()}"
