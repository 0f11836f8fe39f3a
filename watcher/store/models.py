"""The tables as Peewee models. Read anywhere, written only by `StateStore`.

Times are integer epoch milliseconds (`*_ms`). Names and paths are bytes, exactly as the file system gives them; a
file's path is kept as (root, folder below it, name), so that a library which moves keeps its rows. The schema is made
by `migrations/`; a test compares the two.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from peewee import (
    BigIntegerField,
    BlobField,
    BooleanField,
    FloatField,
    ForeignKeyField,
    IntegerField,
    Model,
    TextField,
)

from watcher.rules.looks import Known
from watcher.rules.signature import Signature
from watcher.rules.statuses import IntegrityStatus, ProcessedStatus
from watcher.rules.verdict import Verdict


class BytesField(BlobField):
    """A file name or path: any bytes but NUL, kept exactly."""

    def python_value(self, value: Any) -> bytes | None:
        return None if value is None else bytes(value)


class IntegrityField(TextField):
    def db_value(self, value: Any) -> Any:
        return str(value) if value is not None else None

    def python_value(self, value: Any) -> IntegrityStatus:
        return IntegrityStatus(value)


class ProcessedField(TextField):
    def db_value(self, value: Any) -> Any:
        return str(value) if value is not None else None

    def python_value(self, value: Any) -> ProcessedStatus:
        return ProcessedStatus(value)


class JsonField(TextField):
    """A JSON value as text; NULL when there is none."""

    def db_value(self, value: Any) -> Any:
        return None if value is None else json.dumps(value, ensure_ascii=True, separators=(",", ":"))

    def python_value(self, value: Any) -> Any:
        return None if value is None else json.loads(value)


class Base(Model):
    """Bound to no database: every query is told which one, so that two stores can live in one process."""


class Root(Base):
    """A watched folder and the identity it was last seen with."""

    if TYPE_CHECKING:
        id: Any

    path = BytesField(unique=True)
    device = BigIntegerField(null=True)
    inode = BigIntegerField(null=True)
    fs_type = TextField(default="")
    suspended_because = TextField(null=True)
    suspended_since_ms = BigIntegerField(null=True)
    last_scan_ms = BigIntegerField(null=True)
    last_scan_files = IntegerField(null=True)

    class Meta:
        table_name = "root"


class Folder(Base):
    """A folder below a root; b"" is the root itself."""

    if TYPE_CHECKING:
        id: Any
        root_id: Any

    root = ForeignKeyField(Root, backref="folders")
    path = BytesField()

    class Meta:
        table_name = "folder"


class GroupEntry(Base):
    """A film and its siblings: same folder, same stem. Read through a store; `get_group_status` tells it in full.

    >>> from tempfile import TemporaryDirectory
    >>> from pathlib import Path
    >>> from watcher import StateStore
    >>> with TemporaryDirectory() as folder, StateStore(Path(folder, "watcher.db")) as store:
    ...     id = store.group_of(store.folder_id(store.root_at(b"/films").id, b"New"), b"Heat")
    ...     group = store.group(id)
    ...     group.folder.path, group.stem, store.members_of(id)
    (b'New', b'Heat', [])
    """

    if TYPE_CHECKING:
        id: Any

    folder = ForeignKeyField(Folder)
    stem = BytesField()

    class Meta:
        table_name = "group_entry"


class FileEntry(Base):
    """One file: its signature, its two statuses, and when it is looked at next. Read through a store, never written.

    Sizes are bytes, times epoch milliseconds; `next_check_at_ms` None is a file that rests until it changes.

    >>> from tempfile import TemporaryDirectory
    >>> from pathlib import Path
    >>> from watcher import StateStore
    >>> with TemporaryDirectory() as folder, StateStore(Path(folder, "watcher.db")) as store:
    ...     here = store.folder_id(store.root_at(b"/films").id, b"New")
    ...     store.insert_entries([(here, b"Heat.mkv", (1, 2, 3000, 4, 8), "")], 1000, {"": 61000})
    ...     entry = store.entry_at(b"/films/New/Heat.mkv")
    ...     entry.path, entry.integrity_status.name, entry.processed_status.name, entry.size_bytes, entry.next_check_at_ms
    (b'/films/New/Heat.mkv', 'UNKNOWN', 'NEW', 3000, 61000)
    """

    if TYPE_CHECKING:
        id: Any
        folder_id: Any
        root_id: Any
        group_id: Any
        made_from_id: Any

    folder = ForeignKeyField(Folder)
    root = ForeignKeyField(Root, null=True)
    """Its folder's root, for the indexes that give each root its turn."""
    name = BytesField()
    device = BigIntegerField()
    inode = BigIntegerField()
    size_bytes = BigIntegerField()
    mtime_ns = BigIntegerField()
    blocks = BigIntegerField()
    integrity_status = IntegrityField(default=IntegrityStatus.UNKNOWN)
    processed_status = ProcessedField(default=ProcessedStatus.NEW)
    next_check_at_ms = BigIntegerField(null=True)
    discovered_at_ms = BigIntegerField()
    quiet_since_ms = BigIntegerField()
    """When a change or a hint was last seen."""
    evidence = TextField(default="")
    longest_gap_ms = BigIntegerField(default=0)
    failures_in_row = IntegerField(default=0)
    """INCOMPLETE verdicts, ERRORs or failed conversions in a row: what the backoff counts."""
    incomplete_in_row = IntegerField(default=0)
    """INCOMPLETE verdicts alone: what the quarantine counts."""
    waits_for = TextField(default="")
    reason = TextField(default="")
    """Why the statuses are what they are, in one word."""
    missing_since_ms = BigIntegerField(null=True)
    group = ForeignKeyField(GroupEntry, null=True)
    made_from = ForeignKeyField("self", null=True)
    """The film a sidecar of ours was made from."""

    class Meta:
        table_name = "file_entry"

    @property
    def path(self) -> bytes:
        """The absolute path."""
        parts = (self.folder.root.path.rstrip(b"/"), self.folder.path, self.name)
        return b"/".join(part for part in parts if part) if parts[0] else b"/" + b"/".join(filter(None, parts))

    @property
    def signature(self) -> Signature:
        """The signature the statuses speak of."""
        return Signature(self.device, self.inode, self.size_bytes, self.mtime_ns, self.blocks)


class Finding(Base):
    """What checks and conversions found out about an entry: bulky, read only when asked for."""

    entry = ForeignKeyField(FileEntry, primary_key=True, on_delete="CASCADE")
    verdict = JsonField(null=True)
    about = JsonField(null=True)
    """The signature of the content the verdict speaks of; NULL when it may not be believed again unlooked."""
    checked_at_ms = BigIntegerField(null=True)
    probe = JsonField(null=True)
    decision = JsonField(null=True)
    proof = JsonField(null=True)

    class Meta:
        table_name = "finding"

    @property
    def known(self) -> Known | None:
        """The verdict, where it may be believed as long as the content is the same."""
        if not self.verdict or not self.about:
            return None
        verdict = Verdict.from_dict(self.verdict)
        if verdict.status is IntegrityStatus.COMPLETE and not self.probe:
            return None  # what the film holds is to be asked anew
        return Known(verdict, Signature(**self.about), self.checked_at_ms or 0)


class Journal(Base):
    """One line for each move of a status, and for each change of a path. Only ever appended."""

    if TYPE_CHECKING:
        id: Any

    entry = ForeignKeyField(FileEntry, on_delete="CASCADE")
    at_ms = BigIntegerField()
    subject = TextField()
    """integrity, processed or path."""
    move = TextField()
    before = TextField()
    after = TextField()
    reason = TextField(default="")

    class Meta:
        table_name = "journal"


class Attempt(Base):
    """A job: the row is there from before it starts until its process is gone, and as long as its files are kept."""

    if TYPE_CHECKING:
        entry_id: Any

    id = TextField(primary_key=True)
    entry = ForeignKeyField(FileEntry, unique=True)
    kind = TextField()
    """check or convert."""
    started_at_ms = BigIntegerField()
    lease_until_ms = BigIntegerField()
    progress = FloatField(default=0.0)
    """0 to 1."""
    source = JsonField()
    """The signature the job was decided on."""
    target = BytesField(null=True)
    """Where the result will stand: the film's name when the job began, or another one beside it."""
    replaces = JsonField(null=True)
    """The signature of what stands there now and may be replaced; NULL when nothing does."""
    temp = BytesField(null=True)
    """The temporary file beside it."""
    film = BytesField(null=True)
    """The film's path when the job began; its row may follow it to another."""
    removes_film = BooleanField(default=False)
    """The film goes when the result stands under `target`."""
    kept = BytesField(null=True)
    """The name under which the film's old content stays."""
    result = JsonField(null=True)
    """The intent to swap: the signature of the verified temporary file. Written before the rename."""
    proof = JsonField(null=True)
    interrupted = BooleanField(default=False)
    """Nobody runs it, and the next attempt for its film, which takes its place, goes on from its files."""

    class Meta:
        table_name = "attempt"


class Request(Base):
    """A person's wish, from another process; read by the engine and then deleted."""

    if TYPE_CHECKING:
        id: Any

    kind = TextField()
    """retry, release, reload, pause or resume."""
    path = BytesField()
    """The file or folder; empty where it is about the service."""
    at_ms = BigIntegerField()
    details = JsonField(null=True)
    """What else was said: of a pause its end and its reason."""

    class Meta:
        table_name = "request"


class Memo(Base):
    """What is remembered from one start to the next."""

    key = TextField(primary_key=True)
    value = TextField()

    class Meta:
        table_name = "memo"


MODELS = (Root, Folder, GroupEntry, FileEntry, Finding, Journal, Attempt, Request, Memo)
