"""`watcher check`: a verdict now. Nothing is written, neither the file nor the database.

What the service has found out about the same content, as deeply, is the answer where there is a database to read.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text

from watcher import views
from watcher.commands import common
from watcher.errors import StoreError, UsageError
from watcher.media import integrity, tools
from watcher.rules import names
from watcher.rules.signature import Signature
from watcher.rules.statuses import IntegrityStatus, Mode, Reason
from watcher.rules.verdict import Verdict
from watcher.store import stories

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import Console

    from watcher.config import Loaded, StateConfig
    from watcher.media.ffmpeg import Tools
    from watcher.rules.looks import Known

_COLOURS = {IntegrityStatus.COMPLETE: "green", IntegrityStatus.INCOMPLETE: "yellow"}


async def check(loaded: Loaded, files: Sequence[os.PathLike[str]], *, mode: Mode, force: bool, as_json: bool) -> int:
    """Check files one after another. Exit code 0 all whole, 1 one is not, 2 one has no verdict.

    With `force` each is looked at, whatever is known. Raises UsageError for a folder, ToolError when FFmpeg cannot be
    used at all.
    """
    settings = loaded.config
    if folder := next(filter(os.path.isdir, common.paths_of(files)), None):
        shown = names.readable(folder)
        raise UsageError(f"{shown} is a folder: name its films, as in {shown}/*.mkv; or say watcher simulate {shown}")
    ffmpeg = await tools.find_tools(settings.ffmpeg.ffmpeg, settings.ffmpeg.ffprobe, remembered=settings.tools_path())
    console = views.out()
    found = set()
    for path in common.paths_of(files):
        known = None if force else _known(loaded, path, mode)
        if known is not None:
            verdict = known.verdict
        else:
            verdict = _of_no_file(path, mode, ffmpeg.version) or await _check(ffmpeg, path, mode, settings)
        found.add(verdict.status)
        if as_json:
            views.json_line({**views.path_keys(path), **_as_json(verdict, known)})
        else:
            _show(console, path, verdict, known)
    if IntegrityStatus.ERROR in found:
        return common.EXIT_NO_VERDICT
    return common.EXIT_NO if IntegrityStatus.INCOMPLETE in found else common.EXIT_OK


def _known(loaded: Loaded, path: bytes, mode: Mode) -> Known | None:
    """Give the stored verdict, if one as deep speaks of what stands there now. Without a database nothing is known."""
    try:
        seen = Signature.of(os.stat(path, follow_symlinks=False))
        with common.reading(loaded) as store:
            known = stories.known(store, path) or stories.known(store, common.without_links(path))
    except (OSError, StoreError):
        return None
    return known if known is not None and known.answers(seen, mode) else None


def _of_no_file(path: bytes, mode: Mode, version: str) -> Verdict | None:
    """Give the verdict about a name that nothing stands under, in plainer words than the system's."""
    if os.path.lexists(path):
        return None
    evidence = ("there is no such file",)
    return Verdict(IntegrityStatus.ERROR, mode, Reason.IO_ERROR, 0.0, evidence=evidence, tool_version=version)


async def _check(ffmpeg: Tools, path: bytes, mode: Mode, settings: StateConfig) -> Verdict:
    with _progress(path) as report:
        result = await integrity.check(
            ffmpeg,
            path,
            mode,
            threads=settings.integrity.threads,
            tolerate_lines=settings.integrity.tolerate_lines,
            on_progress=report,
        )
    return result.verdict


def _as_json(verdict: Verdict, known: Known | None) -> dict[str, Any]:
    """Give the verdict's keys, those asked for most often first, and the sentence for a person."""
    keys = verdict.to_dict()
    first = {key: keys.pop(key) for key in ("status", "reason", "score", "notes")}
    return {**first, "sentence": verdict.sentence(), **keys, "known_since": views.iso(known.at_ms) if known else None}


@contextlib.contextmanager
def _progress(path: bytes) -> Iterator[Callable[[float], None]]:
    """Show on a terminal how far the check of a file is; the line goes away with its end."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn())
    console = views.err()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(names.readable(path.rpartition(b"/")[2]), total=1.0)
        yield lambda share: progress.update(task, completed=share)


def _show(console: Console, path: bytes, verdict: Verdict, known: Known | None) -> None:
    word = Text(f"{verdict.status.name:<10}", style=_COLOURS.get(verdict.status, "red"))
    console.print(Text.assemble(word, "  ", views.path_text(path)))
    when = f" of {views.local(known.at_ms)}, unchanged since; --force looks again" if known else ""
    views.block(console, Text(f"{verdict.sentence()} ({verdict.mode} check{when})", overflow="fold"))
