"""Help for tests of programs that use this package: real films, seconds to make, and a manager on a database of its own."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from watcher.config import StateConfig
from watcher.service import log
from watcher.service.manager import StateManager
from watcher.testing.films import Audio, Subtitle, film, kinds, run_ffmpeg

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "DAMAGED_KINDS",
    "Audio",
    "Subtitle",
    "create_temp_videos",
    "create_test_manager",
    "film",
    "kinds",
    "run_ffmpeg",
]

DAMAGED_KINDS = ("truncated", "hole", "not_a_film", "empty")
"""Kinds that no check finds whole; those that are stand in `kinds`."""

_SHORT = {
    "stable_wait_sec": 0, "settle_sec": 0, "debounce_quiet_sec": 0.05, "debounce_at_most_sec": 0.5,
    "loop_interval_sec": 0.5, "backoff_step_sec": 60, "integrity_quick_mode": True,
}  # fmt: skip


def create_temp_videos(
    count: int = 5,
    directory: str | os.PathLike[str] | None = None,
    kind: str | Sequence[str] = ("english_51", "english_stereo", "german"),
    *,
    seconds: float = 1.0,
    extension: str = ".mkv",
) -> list[Path]:
    """Make `count` real films in a folder, of one kind or of several in turn, and give their paths.

    Kinds: english_51, english_stereo, german, untagged, silent, commentary_only, everything; and truncated, hole,
    not_a_film, empty, which are not whole. Without a folder a temporary one is made, which is the caller's to remove.
    Raises ValueError for a kind that is not known, ToolError when FFmpeg fails.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in create_temp_videos(2, folder, ["german", "truncated"])]
    ['video 1 german.mkv', 'video 2 truncated.mkv']
    """
    wanted = [kind] if isinstance(kind, str) else list(kind)
    if unknown := [each for each in wanted if each not in kinds and each not in DAMAGED_KINDS]:
        known = ", ".join((*kinds, *DAMAGED_KINDS))
        raise ValueError(f"{', '.join(unknown)}: no kind of film that can be made; there are {known}")
    folder = Path(directory or tempfile.mkdtemp(prefix="watcher-films-"))
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number in range(count):
        each = wanted[number % len(wanted)]
        made.append(_make(folder / f"video {number + 1} {each}{extension}", each, seconds))
    return made


def _make(path: Path, kind: str, seconds: float) -> Path:
    if kind in kinds:
        return film(path, seconds=seconds, **kinds[kind])
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "not_a_film":
        path.write_text("Dear diary, today I called a letter a film.\n" * 500)
    else:
        film(path, seconds=max(seconds, 2))
        size = path.stat().st_size
        if kind == "truncated":
            os.truncate(path, size // 2)
        else:
            _leave_out(path, size // 3, size // 3)
    return path


def _leave_out(path: Path, start: int, length: int) -> None:
    """Let a part of a file be as if it had never been written: a new file takes its place, with a hole there."""
    content = path.read_bytes()
    path.unlink()
    with path.open("wb") as file:
        file.write(content[:start])
        file.seek(start + length)
        file.write(content[start + length :])


class _TestManager(StateManager):
    """A manager whose database goes away with it."""

    def __init__(self, config: StateConfig, folder: tempfile.TemporaryDirectory[str]) -> None:
        super().__init__(config)
        self._folder = folder

    async def close(self) -> None:
        """Close, and remove the database."""
        await super().close()
        self._folder.cleanup()


async def create_test_manager(**settings: Any) -> StateManager:
    """Give an open manager on a temporary database of its own, with short waits and quick checks.

    `settings` are those of `StateConfig`. Close it, or use it in `async with`: its database is then removed. Raises
    ToolError without FFmpeg.

    >>> import asyncio
    >>> async def example():
    ...     async with await create_test_manager() as manager:
    ...         films = create_temp_videos(1, Path(manager.config.database_path()).parent / "films")
    ...         await manager.discover_directory(films[0].parent)
    ...         return [result["processed_status"] for result in await manager.process_pending()]
    >>> asyncio.run(example())
    ['converted']
    """
    folder = tempfile.TemporaryDirectory(prefix="watcher-test-")
    config = StateConfig(**{**_SHORT, "storage_url": os.path.join(folder.name, "watcher.db"), **settings})
    log.hand_over(config.log_level)
    manager = _TestManager(config, folder)
    try:
        await manager.ready()
    except BaseException:
        await manager.close()
        raise
    return manager
