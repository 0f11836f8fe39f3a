"""The rows of roots and of the folders below them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from watcher.store.models import FileEntry, Folder, Root
from watcher.store.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence

_SAMPLE = 20
_OF_ITS_FOLDER = "UPDATE file_entry SET root_id = (SELECT root_id FROM folder WHERE id = ?) WHERE folder_id = ?"
_PRESENT = "SELECT name FROM file_entry WHERE folder_id = ? AND missing_since_ms IS NULL LIMIT ?"


class RootRows(Session):
    """What a store knows about roots."""

    def root_at(self, path: bytes) -> Root:
        """Give the row of a root, made if it is new. Files known below another root, that lie in it, become its own."""
        with self.transaction():
            self.run(Root.insert(path=path).on_conflict_ignore())
            self._rehome(Root.select().where(Root.path == path).get(self._db))
        return Root.select().where(Root.path == path).get(self._db)

    def _rehome(self, root: Root) -> None:
        """Take over the folders of roots inside this one, and of a root around it those that lie in this one."""
        here = root.path.rstrip(b"/") + b"/"
        for other in self.roots():
            there = other.path.rstrip(b"/") + b"/"
            if other.id == root.id or not (here.startswith(there) or there.startswith(here)):
                continue
            for folder, path in self.sql("SELECT id, path FROM folder WHERE root_id = ?", (other.id,)).fetchall():
                absolute = there + path
                if (absolute.rstrip(b"/") + b"/").startswith(here):
                    relative = absolute[len(here) :].rstrip(b"/")
                    self.sql(
                        "UPDATE OR IGNORE folder SET root_id = ?, path = ? WHERE id = ?", (root.id, relative, folder)
                    )
                    self.sql(_OF_ITS_FOLDER, (folder, folder))
        self._folders.clear()

    def roots(self) -> list[Root]:
        """Give every root ever watched."""
        return list(self.run(Root.select().order_by(Root.path)))

    def root_row(self, root_id: int) -> Root:
        """Give a root by id."""
        return Root.select().where(Root.id == root_id).get(self._db)

    def update_root(self, root_id: int, **changes: Any) -> None:
        """Write columns of a root."""
        self.run(Root.update(**changes).where(Root.id == root_id))

    def folder_id(self, root_id: int, path: bytes) -> int:
        """Give the id of a folder below a root, made if it is new."""
        key = (root_id, path)
        if key not in self._folders:
            self.sql("INSERT OR IGNORE INTO folder (root_id, path) VALUES (?, ?)", key)
            row = self.sql("SELECT id FROM folder WHERE root_id = ? AND path = ?", key).fetchone()
            if len(self._folders) > 50_000:
                self._folders.clear()
            self._folders[key] = row[0]
        return self._folders[key]

    def sample_paths(self, root_id: int) -> list[bytes]:
        """Give the paths of up to 20 files that should be below a root, spread over it: by them a root is recognised."""
        root = self.root_row(root_id).path.rstrip(b"/")
        folders = self.sql("SELECT id, path FROM folder WHERE root_id = ?", (root_id,)).fetchall()
        chosen = folders[:: max(1, len(folders) // _SAMPLE)]
        each = max(1, _SAMPLE // max(1, len(chosen)))
        found = []
        for folder_id, path in chosen:
            for (name,) in self.sql(_PRESENT, (folder_id, each)):
                found.append(b"/".join(part for part in (root, path, name) if part or part is root))
        return found[:_SAMPLE]

    def unsettled(self, root_ids: Sequence[int]) -> int:
        """Count the entries of these roots that are still to be looked at for the first time, or to be processed."""
        new = (FileEntry.integrity_status.in_(("unknown", "pending"))) | (
            (FileEntry.integrity_status == "complete") & (FileEntry.processed_status == "new")
        )
        query = (
            FileEntry.select().join(Folder).where(Folder.root.in_(root_ids), FileEntry.next_check_at_ms.is_null(False))
        )
        return int(query.where(new).count(self._db))
