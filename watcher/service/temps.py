"""Temporary files: found by their folder, wherever somebody moves it while a result is made in it."""

from __future__ import annotations

import os

from watcher.media import disk


class Temps:
    """Holds the folders in which results are made. Blocking calls, from any thread, one attempt's in order."""

    def __init__(self) -> None:
        self._folders: dict[str, int] = {}

    def hold(self, attempt_id: str, temp: bytes) -> None:
        """Keep hold of the folder that a temporary file is about to be made in. Raises OSError when there is none."""
        self._folders[attempt_id] = os.open(os.path.dirname(temp), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def remove(self, attempt_id: str, temp: bytes) -> None:
        """Remove a temporary file if it is there, wherever its folder is now. Raises OSError when the disk refuses."""
        folder = self._folders.get(attempt_id)
        if folder is None:
            disk.unlink_if_there(temp)
        else:
            disk.unlink_if_there(os.path.basename(temp), folder)

    def release(self, attempt_id: str) -> None:
        """Let go of an attempt's folder."""
        folder = self._folders.pop(attempt_id, None)
        if folder is not None:
            os.close(folder)
