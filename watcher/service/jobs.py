"""Jobs: the long work as plain data, so that it could run in another process or on another machine.

A `JobSpec` says what is to be done to which content; an `Outcome` says what came of it. Neither holds an open file, a
connection or an object of the service. An outcome counts only for the attempt it names.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from watcher.media.stereo import StereoSettings

if TYPE_CHECKING:
    from watcher.config.model import AudioSettings
    from watcher.rules.signature import Signature
    from watcher.rules.statuses import Mode
    from watcher.rules.verdict import Verdict

Kind = Literal["check", "convert"]


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One piece of long work, decided on one signature of one file."""

    attempt_id: str
    entry_id: int
    kind: Kind
    path: bytes
    signature: Signature
    """The content the decision was made on; the work is void for any other."""
    lease_sec: float
    mode: Mode | None = None
    """check: how deep."""
    probe: dict[str, Any] | None = None
    """convert: what the check found out about the streams."""
    decision: dict[str, Any] | None = None
    """convert: which track is made from which."""
    target: bytes | None = None
    """convert: the name the result will take."""
    replaces: Signature | None = None
    """convert: the very file that stands under that name and may be replaced; None when none does."""
    temp: bytes | None = None
    """convert: where the result is written before anything is replaced."""
    removes_film: bool = False
    """convert: `target` is another container's name, and the film goes when the result stands there."""
    kept: bytes | None = None
    """convert: the name under which the film's old content stays, where the owner wants that."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A check ended with a verdict (ERROR is one too)."""

    spec: JobSpec
    verdict: Verdict
    probe: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Made:
    """A result stands, proved, under its temporary name."""

    spec: JobSpec
    proof: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Failed:
    """The conversion failed; the film is untouched and no temporary file is left."""

    spec: JobSpec
    reason: str
    detail: str
    said: tuple[str, ...] = ()
    """The last lines of FFmpeg."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The job was stopped, and its processes are gone."""

    spec: JobSpec


Outcome = Checked | Made | Failed | Cancelled


def stereo_settings(audio: AudioSettings) -> StereoSettings:
    """Give what a conversion is to heed: each of its settings is one of the same name in [audio]."""
    return StereoSettings(**{field.name: getattr(audio, field.name) for field in fields(StereoSettings)})


def new_attempt_id() -> str:
    """Give an id that no other attempt has had, short enough for a file name."""
    return secrets.token_hex(6)
