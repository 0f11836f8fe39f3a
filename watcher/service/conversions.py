"""Conversions: what is decided about a whole film's sound, and what becomes of a made track. In the store's thread.

The way of one: `begin` decides and starts a job; the job makes and proves a result under a temporary name; `intend`
writes down that this very result is about to take the film's name; after the rename `landed` writes the move and the
new signature in one transaction. A stop anywhere between finds in the attempt's row all that is needed to finish.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from watcher.errors import ConversionFailed, ProbeFailed
from watcher.media import disk, replace, stereo
from watcher.media.probe import Probe
from watcher.rules import audio, groups, names
from watcher.rules.signature import Signature
from watcher.rules.statuses import IntegrityStatus, ProcessedStatus
from watcher.service import pairs, patience
from watcher.service.engine import LEASE_MARGIN_SEC
from watcher.service.interrupted import Interrupted
from watcher.service.jobs import JobSpec, new_attempt_id, stereo_settings
from watcher.store.store import signature_columns

if TYPE_CHECKING:
    from watcher.config.model import AudioSettings
    from watcher.service.engine import Engine
    from watcher.service.jobs import Failed
    from watcher.store.models import FileEntry

# Trouble of the machine says nothing about the film: it is tried again for as long as it takes.
_MACHINE_TROUBLE = frozenset(
    {"no_space", "read_only", "permission", "io_error", "source_changed", "tool_missing", "killed", "out_of_memory"}
)
# A film that cannot be converted without loss will not be able to until it changes.
REFUSALS = frozenset(
    {"unsupported_streams", "sidecar_exists", "target_exists", "name_too_long", "attributes_lost", "no_links"}
)


def rules_of(settings: AudioSettings) -> audio.AudioRules:
    """Give the rules that these settings make."""
    return audio.AudioRules(settings.languages, untagged_is_english=settings.untagged_is_english)


class Conversions:
    """Decides about films that are whole and NEW, and records how it went."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._store = engine.store
        self.interrupted = Interrupted(engine.store)
        self._paired = engine.pairs is not None

    def begin(self, entry: FileEntry, *, may_start: bool = True) -> JobSpec | None:
        """Decide about one film; gives the job when a track is to be made and `may_start`, else leaves it due."""
        group = pairs.entries_of(self._store, entry)
        beside = groups.is_stereo_sibling(entry.name)
        if not beside and self._is_duplicate(entry, group):
            return None
        try:
            probe = Probe.from_dict(self._store.finding(entry.id).probe)
        except ProbeFailed:
            self._store.put_finding(entry.id, probe=None)  # of another version: the next look checks it anew
            return None
        decision = audio.decide(probe.streams, rules_of(self._engine.config.audio))
        self._store.put_finding(entry.id, decision=decision.to_dict())
        if decision.outcome == "has_stereo":
            self._has_stereo(entry, decision.reason, beside=beside)
        elif decision.outcome == "ignored":
            self._engine.move(entry, "ignored", reason=decision.reason, next_at=None)
        elif beside and self._paired:
            self._engine.move(entry, "ignored", reason="sibling_without_stereo", next_at=None)
        elif beside and self._is_duplicate(entry, group):
            return None
        elif self._paired and groups.awaited(pairs.member(entry), map(pairs.member, group)):
            pairs.join(self._store, group)
            self._engine.move(
                entry, "waits_for_pair", reason="its sibling is there", next_at=None, waits_for="its stereo sibling"
            )
        elif may_start:
            return self._start(entry, probe, decision)
        else:
            self._store.update_entry(entry, waits_for="a free place among the conversions")
        return None

    def _has_stereo(self, entry: FileEntry, reason: str, *, beside: bool) -> None:
        if beside and self._paired:
            self._engine.move(entry, "waits_for_pair", reason=reason, next_at=None, waits_for="its film")
        else:
            self._engine.move(entry, "has_stereo", reason=reason, next_at=None)

    def _is_duplicate(self, entry: FileEntry, group: list[FileEntry]) -> bool:
        """Leave a film alone whose original stands beside it."""
        if self._engine.config.duplicates == "process":
            return False
        if len(group) > 1:
            pairs.join(self._store, group)
        if (
            groups.original_of(entry.id, [pairs.member(other) for other in group if not self._set_aside(other)])
            == entry.id
        ):
            return False
        self._engine.move(entry, "is_duplicate", reason="same film in another container", next_at=None)
        return True

    def _set_aside(self, entry: FileEntry) -> bool:
        """Tell whether a file of the same stem is no film that could be the original, or one that nothing comes of."""
        if entry.integrity_status is IntegrityStatus.ERROR:
            return bool(entry.failures_in_row >= self._engine.config.quarantine_threshold)
        if entry.processed_status is ProcessedStatus.CONVERT_FAILED:
            return entry.next_check_at_ms is None
        given_up = entry.integrity_status in (IntegrityStatus.QUARANTINED, IntegrityStatus.INCOMPLETE)
        return given_up or (entry.processed_status is ProcessedStatus.IGNORED and entry.reason == "not_media")

    def _start(self, entry: FileEntry, probe: Probe, decision: audio.Decision) -> JobSpec | None:
        try:
            plan = stereo.plan(probe, decision, entry.path, stereo_settings(self._engine.config.audio))
            in_place = plan.target == entry.path
            removes_film = not in_place and not plan.sidecar
            if removes_film and self._what_is_at(plan.target) is not None:
                raise ConversionFailed("target_exists", f"{names.readable(plan.target)} is there already")
            replaces = None if removes_film else entry.signature if in_place else self._own_sidecar(plan.target, entry)
            keeps = self._engine.config.audio.keep_original and (in_place or removes_film)
            kept = replace.kept_path(entry.path) if keeps else None
        except ConversionFailed as error:
            self._refuse(entry, error.reason, error.detail)
            return None
        except OSError as error:  # of which TimeoutError: this is no trouble of the film's
            self._wait_for_disk(entry, error)
            return None
        duration = probe.duration_sec
        lease = stereo.time_limit_sec(entry.size_bytes, duration) + LEASE_MARGIN_SEC
        before = self.interrupted.of(entry)
        attempt = before.id if before is not None else new_attempt_id()
        spec = JobSpec(
            attempt_id=attempt,
            entry_id=entry.id,
            kind="convert",
            path=entry.path,
            signature=entry.signature,
            lease_sec=lease,
            probe=probe.to_dict(),
            decision=decision.to_dict(),
            target=plan.target,
            replaces=replaces,
            temp=replace.temp_path(entry.path, attempt),
            removes_film=removes_film,
            kept=kept,
        )
        self._engine.begin_attempt(spec)
        self._store.update_entry(
            entry,
            next_check_at_ms=int((self._engine.clock() + lease) * 1000),
            waits_for="its stereo track is being made",
        )
        return spec

    def _what_is_at(self, path: bytes) -> Signature | None:
        """Say what bears this name, if anything does. Raises OSError, or TimeoutError of a disk that has fallen silent."""
        return patience.answer(self._engine.config.answer_within_sec, disk.observe, path)

    def _wait_for_disk(self, entry: FileEntry, error: OSError) -> None:
        look_at = int(self._engine.backoff(1) * 1000)
        self._store.update_entry(
            entry, next_check_at_ms=look_at, waits_for=f"its disk: {error.strerror or 'no answer'}"
        )

    def _own_sidecar(self, target: bytes, film: FileEntry) -> Signature | None:
        """Give the sidecar that we made and nobody has changed since, for this film or one that is gone; None for none.

        Raises ConversionFailed("sidecar_exists") for a file of somebody else's.
        """
        there = self._what_is_at(target)
        if there is None:
            return None
        known = self._store.entry_at(target)
        if known is not None and known.made_from_id is not None and known.signature.same_content(there):
            maker = self._store.entry(known.made_from_id)
            if known.made_from_id == film.id or maker is None or maker.missing_since_ms is not None:
                return there
        raise ConversionFailed("sidecar_exists", "a file that is not ours stands where the stereo sidecar goes")

    def _refuse(self, entry: FileEntry, reason: str, detail: str) -> None:
        self._store.put_finding(entry.id, proof={"refused": reason, "detail": detail})
        self._engine.move(entry, "conversion_failed", reason=reason, next_at=None, detail=detail)
        self._engine.promote_duplicates(entry)

    def intend(self, spec: JobSpec, result: Signature, proof: dict[str, Any]) -> bool:
        """Write down that `result` is about to be renamed; False when the attempt no longer stands and must not be."""
        attempt = self._store.attempt(spec.attempt_id)
        entry = self._store.entry(spec.entry_id)
        stands = (
            attempt is not None
            and entry is not None
            and entry.path == spec.path
            and entry.missing_since_ms is None
            and entry.signature.same_content(spec.signature)
            and entry.processed_status is ProcessedStatus.NEW
        )
        if stands:
            self._store.update_attempt(spec.attempt_id, result=signature_columns(result), proof=proof)
        return stands

    def landed(self, attempt_id: str, final: Signature, *, reason: str = "") -> None:
        """Record that the result stands under its name: the film CONVERTED with its new signature, the sidecar known."""
        attempt = self._store.attempt(attempt_id)
        entry = self._engine.end_attempt(attempt_id)
        if attempt is None or entry is None or not entry.signature.same_content(Signature(**attempt.source)):
            return  # somebody put another film there since: it is seen as news
        took_ms = self._engine.now_ms() - attempt.started_at_ms
        self._store.put_finding(entry.id, proof={**(attempt.proof or {}), "took_ms": took_ms})
        film = attempt.film or entry.path
        beside = attempt.target is not None and attempt.target != film and not attempt.removes_film
        if attempt.removes_film:
            self._follow(entry, attempt.target)
        words = reason or ("sidecar" if beside else "other_container" if attempt.removes_film else "stereo_added")
        if lost := (attempt.proof or {}).get("lost_attributes"):
            words += f"; not kept: {'; '.join(lost)}"
        if entry.processed_status is ProcessedStatus.CONVERT_FAILED:  # so its disk had said
            self._engine.move(entry, "retry", reason="the result stands all the same", next_at=None)
        columns: dict[str, Any] = {} if beside else signature_columns(final)
        self._engine.move(
            entry,
            "converted",
            reason=words,
            next_at=None if entry.integrity_status is IntegrityStatus.COMPLETE else self._engine.clock(),
            failures_in_row=0,
            **columns,
        )
        if beside and entry.path == film:
            self._know_sidecar(entry, attempt.target, final)

    def _follow(self, entry: FileEntry, target: bytes) -> None:
        """Let a film's row follow it to the name of its new container, which may be that of a film long gone."""
        before, name = entry.path, os.path.basename(target)
        old = self._store.entry_at(target)
        if old is not None and old.id != entry.id:
            self._engine.cancel_attempt(old)
            if (stray := self._store.attempt_of(old.id)) is not None:
                self._store.end_attempt(stray.id)
            self._store.delete_entry(old)
        self._store.update_entry(entry, name=name, missing_since_ms=None)
        self._engine.note_path(entry, "moved", before, target)

    def _know_sidecar(self, film: FileEntry, target: bytes, final: Signature) -> None:
        folder = film.folder_id
        raw = (final.device, final.inode, final.size_bytes, final.mtime_ns, final.blocks)
        name = target.rpartition(b"/")[2]
        self._store.insert_entries([(folder, name, raw, "moved_in")], self._engine.now_ms(), {"moved_in": 0})
        entry = self._store.entry_at(target)
        assert entry is not None  # noqa: S101 - just inserted
        if entry.integrity_status is not IntegrityStatus.UNKNOWN or entry.processed_status is not ProcessedStatus.NEW:
            self._engine.content_changed(entry, final, "moved_in")
        self._store.update_entry(entry, made_from=film.id, missing_since_ms=None, **signature_columns(final))
        self._engine.move(entry, "check_started", reason="made by us", next_at=None)
        self._engine.move(entry, "check_passed", reason="proved when it was made", next_at=None)
        self._engine.move(entry, "has_stereo", reason="made by us", next_at=None)

    def failed(self, outcome: Failed, cleared: bool = True) -> None:
        """Record that no track was made, and when it is tried again; not before its traces are `cleared`."""
        entry = self._ended(outcome.spec.attempt_id, cleared)
        if entry is None or entry.missing_since_ms is not None or entry.processed_status is not ProcessedStatus.NEW:
            return
        if entry.integrity_status is not IntegrityStatus.COMPLETE or not entry.signature.same_content(
            outcome.spec.signature
        ):
            return
        if outcome.reason in REFUSALS:
            self._refuse(entry, outcome.reason, outcome.detail)
            return
        self._store.put_finding(entry.id, proof={"failed": outcome.reason, "detail": outcome.detail})
        times = entry.failures_in_row + 1
        tired = times >= self._engine.config.quarantine_threshold and outcome.reason not in _MACHINE_TROUBLE
        look_at = None if tired else self._engine.backoff(times)
        waits = "a person: `watcher retry` tries again" if tired else f"another try: {outcome.detail or outcome.reason}"
        self._engine.move(
            entry,
            "conversion_failed",
            reason=outcome.reason,
            next_at=look_at,
            detail=outcome.detail,
            said=outcome.said,
            failures_in_row=times,
            waits_for=waits[:500],
        )
        if tired:
            self._engine.promote_duplicates(entry)

    def void(self, attempt_id: str, cleared: bool = True) -> None:
        """Record that a job ended without an outcome that counts; the planner decides again."""
        entry = self._ended(attempt_id, cleared)
        if entry is None:
            return
        now = self._engine.clock()
        if entry.integrity_status is IntegrityStatus.PENDING:
            self._engine.move(entry, "check_cancelled", reason="stopped", next_at=now)
        elif entry.next_check_at_ms is not None and entry.integrity_status is IntegrityStatus.COMPLETE:
            self._store.update_entry(entry, next_check_at_ms=int(now * 1000), waits_for="")

    def _ended(self, attempt_id: str, cleared: bool) -> FileEntry | None:
        """Give the entry of an attempt, which ends unless it left something on disk: then nothing new starts on the film."""
        if cleared:
            return self._engine.end_attempt(attempt_id)
        attempt = self._store.attempt(attempt_id)
        return self._store.entry(attempt.entry_id) if attempt is not None else None
