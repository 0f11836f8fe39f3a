"""Temporary files: found by their folder, wherever somebody moves it while a result is made in it."""

from __future__ import annotations

import os

from watcher.media import scratch


class Temps:
    """Holds the folders in which results are made. Blocking calls, from any thread, one attempt's in order."""

    def __init__(self) -> None:
        self._folders: dict[str, int] = {}

    def hold(self, attempt_id: str, temp: bytes) -> None:
        """Keep hold of the folder that a temporary file is about to be made in. Raises OSError when there is none."""
        self._folders[attempt_id] = os.open(os.path.dirname(temp), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def remove(self, attempt_id: str, temp: bytes) -> None:
        """Remove an attempt's files if they are there, wherever their folder is now. Raises OSError when the disk refuses."""
        scratch.clear(temp, self._folders.get(attempt_id))

    def release(self, attempt_id: str) -> None:
        """Let go of an attempt's folder."""
        folder = self._folders.pop(attempt_id, None)
        if folder is not None:
            os.close(folder)
