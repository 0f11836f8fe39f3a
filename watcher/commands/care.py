"""`watcher backup`, `maintenance`, `reset` and `migrate`: what is done to the database, not to films."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from rich.text import Text

from watcher import views
from watcher.commands import common
from watcher.config import require_folder, require_place
from watcher.errors import StoreError
from watcher.service import log
from watcher.service.manager import StateManager
from watcher.store import backup as copies
from watcher.store import connection, reports

if TYPE_CHECKING:
    import os

    from watcher.config import Loaded


def backup(loaded: Loaded) -> int:
    """Copy the database. Exit code 0. Raises StoreError."""
    with common.reading(loaded) as store:
        made = copies.take(store.path, loaded.config.backup_path(), keep=loaded.config.backup_keep)
    sys.stdout.write(f"{made}\n")
    return common.EXIT_OK


def _ready(loaded: Loaded) -> None:
    """Make sure that there is a database and that no service works on it. Raises StoreError, SettingsError."""
    require_place(loaded)
    common.reading(loaded).close()
    log.set_up(loaded.config.log_level if "log_level" in loaded.origins else "warning", loaded.config.log_format)


async def maintenance(loaded: Loaded, *, as_json: bool) -> int:
    """Delete what is out of date. Exit code 0. Raises StoreInUse while a service has the database."""
    _ready(loaded)
    if pid := connection.writer_pid(loaded.config.database_path()):
        raise StoreError(f"the service (process {pid}) has the database, and maintains it by itself every day")
    async with StateManager(loaded.config) as manager:
        counts = await manager.run_maintenance()
    _answer(counts, as_json=as_json)
    return common.EXIT_OK


def _answer(counts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        views.json_line(counts)
        return
    table = views.table("", "", header=False)
    table.columns[1].justify = "right"
    for key, number in counts.items():
        if isinstance(number, int | float):
            table.add_row(key.replace("_", " "), f"{number:,}")
    views.out().print(table)


async def reset(loaded: Loaded, *, yes: bool) -> int:
    """Forget everything after a backup. Exit code 0, or 1 when the person says no. Raises StoreError."""
    _ready(loaded)
    with common.reading(loaded) as store:
        counts, roots = reports.counts(store), reports.roots(store)
    console = views.out()
    decided = sum(number for status, number in counts.processed.items() if status.name != "NEW")
    console.print(
        f"{loaded.config.database_path()} would forget {counts.total + counts.gone:,} files ({decided:,} of them decided "
        f"about), with their history, in {len(roots)} folder{'' if len(roots) == 1 else 's'}:"
    )
    for root in roots:
        views.block(console, Text.assemble(views.path_text(root.path), f"  {root.files:,} files"))
    console.print("Films are not touched. Those that have their stereo track are found out by checking them again.")
    if not yes and not _agreed():
        console.print("nothing was done")
        return common.EXIT_NO
    async with StateManager(loaded.config) as manager:
        answer = await manager.reset(confirm=True)
    console.print(f"forgotten: {answer['files_forgotten']:,} files; as it was: {answer['backup']}", soft_wrap=True)
    return common.EXIT_OK


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise StoreError("reset asks first, and there is nobody to ask here: say --yes")
    return input("Forget all of it? [y/N] ").strip().lower() in {"y", "yes"}


async def migrate(loaded: Loaded, folder: os.PathLike[str], *, as_json: bool) -> int:
    """Take over the old tools' state files. Exit code 0, or 1 when something could not be made out."""
    (path,) = common.paths_of([folder])
    require_folder(path)
    require_place(loaded)
    log.set_up(loaded.config.log_level if "log_level" in loaded.origins else "warning", loaded.config.log_format)
    async with StateManager(loaded.config) as manager:
        outcome = await manager.migrate_legacy_state_files(path)
    _answer(outcome, as_json=as_json)
    if not as_json:
        for error in outcome["errors"]:
            views.err().print(Text(f"watcher: {error}", overflow="fold"))
    return common.EXIT_NO if outcome["errors"] else common.EXIT_OK
