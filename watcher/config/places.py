"""Whether what the settings name is there: the folders to watch, and a place where the database can be written."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from watcher.errors import SettingsError
from watcher.rules import names

if TYPE_CHECKING:
    from pathlib import Path

    from watcher.config.sources import Loaded


def require_folders(loaded: Loaded) -> None:
    """Make sure that there is something to watch and that it is there. Raises SettingsError."""
    if not loaded.config.watch:
        raise SettingsError(
            'no folder to watch: name one, as in "watcher run FOLDER", or give [[watch]] path in the settings'
        )
    origin = loaded.origins.get("watch", "settings")
    wrong = [
        f"{origin}: watch.{number}.path = {names.readable(os.fsencode(item.path))!r}: "
        + ("it is not a folder" if item.path.exists() else "the folder does not exist")
        for number, item in enumerate(loaded.config.watch)
        if not item.path.is_dir()
    ]
    if wrong:
        raise SettingsError("\n".join(wrong))


def require_folder(path: bytes) -> None:
    """Make sure that a folder named on the command line is there. Raises SettingsError."""
    if not os.path.isdir(path):
        wrong = "it is not a folder" if os.path.lexists(path) else "the folder does not exist"
        raise SettingsError(f"command line: {names.readable(path)!r}: {wrong}")


def require_place(loaded: Loaded) -> None:
    """Make sure that the database can be written where it is wanted, making its folder. Raises SettingsError."""
    path = loaded.config.database_path()
    origin = loaded.origins.get("storage_url") or (
        "STATE_DIRECTORY" if os.environ.get("STATE_DIRECTORY") else "default"
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # access() also knows of read-only file systems, which stop root too.
        wrong = next((f"{place} cannot be written" for place in (path, path.parent) if _refuses_writing(place)), "")
        if path.is_dir():
            wrong = "it is a folder, and should be a file in one"
    except OSError as error:
        wrong = f"its folder cannot be made: {error.strerror}"
    if wrong:
        raise SettingsError(f"{origin}: storage_url = {str(path)!r}: {wrong}")


def _refuses_writing(place: Path) -> bool:
    return place.exists() and not os.access(place, os.W_OK)
