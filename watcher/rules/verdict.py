"""The verdict: what a check found out about one file, as a frozen value that can be stored and read aloud."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from watcher.rules.statuses import IntegrityStatus, Mode, Reason


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a file is whole, why we say so, and what it cost to find out."""

    status: IntegrityStatus
    """COMPLETE, INCOMPLETE or ERROR; the other statuses are never a verdict."""
    mode: Mode
    reason: Reason | None = None
    """None when COMPLETE."""
    score: float = 1.0
    """0 (nothing can be read) to 1 (whole without a note)."""
    declared_sec: float | None = None
    """The duration the container declares."""
    readable_sec: float | None = None
    """How much of it is there: measured by decoding, else reckoned from bytes, as films are about evenly dense."""
    missing_bytes: int | None = None
    first_damage_sec: float | None = None
    first_damage_byte: int | None = None
    """Where the first damage is. A header or a run of zeros tells the byte, a decoder about the second; the other one
    is reckoned from it."""
    evidence: tuple[str, ...] = ()
    """The layer and the lines or facts that condemned the file: "structure: ...", "decode: ..."."""
    notes: tuple[str, ...] = ()
    """What is odd about a whole file."""
    tool_version: str = ""
    cpu_sec: float = 0.0
    """CPU seconds of the FFmpeg processes."""
    bytes_read: int = 0
    """Bytes this program read itself (structure, zero scan)."""

    def to_dict(self) -> dict[str, Any]:
        """Give the verdict as JSON-ready values, in a fixed order of keys."""
        return {**asdict(self), "evidence": list(self.evidence), "notes": list(self.notes)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Verdict:
        """Read back what `to_dict` gave; unknown keys (of a newer version) are dropped."""
        known = {key: value for key, value in data.items() if key in cls.__dataclass_fields__}
        reason = known.get("reason")
        return cls(
            **{
                **known,
                "status": IntegrityStatus(known["status"]),
                "mode": Mode(known["mode"]),
                "reason": Reason(reason) if reason else None,
                "evidence": tuple(known.get("evidence", ())),
                "notes": tuple(known.get("notes", ())),
            }
        )

    def said_by_ffmpeg(self) -> tuple[str, ...]:
        """Give the part of the evidence that is FFmpeg's own words."""
        return tuple(line.partition(": ")[2] for line in self.evidence if line.startswith(("decode: ", "probe: ")))

    def sentence(self) -> str:
        """Say the verdict in words for a person: "cut: 41.3 of 43.0 minutes are there (12.0 MB missing at the end)"."""
        if self.status is IntegrityStatus.COMPLETE:
            return "whole" + (f", with notes: {'; '.join(self.notes)}" if self.notes else "")
        word = _WORDS.get(self.reason, str(self.reason)) if self.reason else "no reason was recorded"
        parts = self._parts()
        if self.evidence and not self._says_it_all:
            parts.append(self.evidence[0])
        return f"{word}: {', '.join(parts)}" if parts else word

    def left_out(self) -> tuple[str, ...]:
        """Give the evidence that the sentence does not quote."""
        return self.evidence if self._says_it_all else self.evidence[1:]

    @property
    def _says_it_all(self) -> bool:
        """Of a cut, numbers say more than where a header wanted the file to end."""
        return self.reason is Reason.TRUNCATED and bool(self._parts())

    def _parts(self) -> list[str]:
        there = ""
        if self.readable_sec is not None and self.declared_sec and self.reason is not Reason.DAMAGED:
            there = _of_duration(self.readable_sec, self.declared_sec)
        missing = f"{_size(self.missing_bytes)} missing" if self.missing_bytes else ""
        if self.reason is Reason.TRUNCATED:
            missing += " at the end" if missing else ""
            return [f"{there} ({missing})" if there and missing else there or missing] if there or missing else []
        return [part for part in (there, missing, self._place()) if part]

    def _place(self) -> str:
        """Say where the first damage is. Of seconds and bytes one is reckoned from the other, so both are "about"."""
        if self.first_damage_sec is not None:
            return f"from about {_clock(self.first_damage_sec)} on"
        return f"from byte {self.first_damage_byte:,} on" if self.first_damage_byte is not None else ""


_WORDS: dict[Reason | None, str] = {
    Reason.TRUNCATED: "cut",
    Reason.HOLE: "has holes that were never written",
    Reason.ZEROS: "parts are zeros that were never filled",
    Reason.DAMAGED: "damaged",
    Reason.NO_STREAMS: "holds no picture and no sound",
    Reason.NOT_MEDIA: "not a film",
    Reason.UNDECODABLE: "nothing in it could be decoded",
    Reason.EMPTY: "empty",
    Reason.CHANGED_WHILE_CHECKING: "it changed while it was checked",
    Reason.TOOL_MISSING: "FFmpeg could not be started",
    Reason.TIMEOUT: "the check ran into its time limit",
    Reason.STALLED: "FFmpeg stood still",
    Reason.KILLED: "FFmpeg was killed",
    Reason.OUT_OF_MEMORY: "FFmpeg ran out of memory",
    Reason.IO_ERROR: "the file could not be read",
    Reason.PERMISSION: "no permission to read the file",
    Reason.ROOT_SUSPENDED: "its folder is not there",
}


def _of_duration(there: float, whole: float) -> str:
    if whole >= 120:
        return f"{there / 60:.1f} of {whole / 60:.1f} minutes are there"
    return f"{there:.1f} of {whole:.1f} seconds are there"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    if not (hours or minutes):
        return f"{rest:.1f} s"
    return f"{hours}:{minutes:02}:{int(rest):02}" if hours else f"{minutes}:{int(rest):02}"


def _size(count: int) -> str:
    if count >= 1_000_000_000:
        return f"{count / 1e9:.1f} GB"
    return f"{count / 1e6:.1f} MB" if count >= 1_000_000 else f"{count:,} bytes"
