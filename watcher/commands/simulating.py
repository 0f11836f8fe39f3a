"""`watcher simulate`: what would be done to each film and why. Nothing is written, neither films nor the database."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

from rich.text import Text

from watcher import views
from watcher.commands import common
from watcher.errors import ConversionFailed, SettingsError, UsageError
from watcher.media import integrity, space, stereo, tools
from watcher.rules import audio, names
from watcher.rules.statuses import IntegrityStatus, Mode, Reason
from watcher.service.conversions import rules_of
from watcher.service.jobs import stereo_settings
from watcher.watch import writers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from watcher.config import Loaded, StateConfig
    from watcher.media.ffmpeg import Tools
    from watcher.media.probe import Probe

_COLOURS = {"convert": "green", "nothing": "dim", "ignore": "dim", "wait": "cyan", "refuse": "yellow", "error": "red"}


async def simulate(loaded: Loaded, places: Sequence[os.PathLike[str]], *, as_json: bool) -> int:
    """Show what would be done to each film of these files and folders, or of all that are watched. Exit code 0.

    Each is checked quickly. Raises ToolError without FFmpeg, SettingsError for a place that is not there,
    UsageError where no folder is named.
    """
    config = loaded.config
    paths = common.paths_of(places) or [os.fsencode(item.path) for item in config.watch]
    if not paths:
        raise UsageError(
            'no folder to look at: name one, as in "watcher simulate FOLDER", or give [[watch]] path in the settings'
        )
    _require(paths)
    writers.ignore_sigio()
    ffmpeg = await tools.find_tools(config.ffmpeg.ffmpeg, config.ffmpeg.ffprobe)
    console = views.out()
    counted: Counter[str] = Counter()
    for path, why_not in _films(paths, config):
        what, why = ("ignore", why_not) if why_not else await _of_film(ffmpeg, path, config)
        counted[what] += 1
        if as_json:
            views.json_line({**views.path_keys(path), "would": what, "why": why})
        else:
            console.print(Text.assemble((f"{what:<8}", _COLOURS[what]), "  ", views.path_text(path)))
            views.block(console, Text(why, overflow="fold"))
    if not as_json:
        said = ", ".join(f"{number:,} {what}" for what, number in counted.items())
        console.print(views.heading(said or "there are no films"))
    return common.EXIT_OK


def _require(paths: Sequence[bytes]) -> None:
    for path in paths:
        if not os.path.lexists(path):
            raise SettingsError(f"command line: {names.readable(path)}: it is not there")


def _films(paths: Sequence[bytes], config: StateConfig) -> Iterator[tuple[bytes, str]]:
    """Give each film, and of files that were named why one is none; in folders what is no film is passed over."""
    rules = config.name_rules()
    for path in paths:
        if not os.path.isdir(path):
            why_not = names.why_not(os.path.basename(path), rules)
            yield path, why_not or (common.NO_LINKS if os.path.islink(path) else "")
            continue
        for folder, folders, files in os.walk(path):
            folders[:] = sorted(name for name in folders if not names.skip_folder(name))
            for name in sorted(files):
                full = os.path.join(folder, name)
                relative = os.path.relpath(full, path)
                if not names.is_film(relative, rules) or os.path.islink(full):
                    continue
                if not names.too_small(os.lstat(full).st_size, rules):
                    yield full, ""


async def _of_film(ffmpeg: Tools, path: bytes, config: StateConfig) -> tuple[str, str]:
    try:
        writer = writers.writer_of(path)
    except OSError as error:
        return "error", f"it cannot be looked at: {error.strerror}"
    if writer.state == "busy":
        return "wait", f"somebody writes it ({writer.evidence})"
    settings = config.integrity
    result = await integrity.check(
        ffmpeg, path, Mode.QUICK, threads=settings.threads, tolerate_lines=settings.tolerate_lines
    )
    verdict = result.verdict
    if verdict.status is IntegrityStatus.ERROR:
        return "error", verdict.sentence()
    if verdict.reason is Reason.NOT_MEDIA:
        return "ignore", verdict.sentence()
    if verdict.status is not IntegrityStatus.COMPLETE or result.probe is None:
        return "wait", f"it is not whole, and looked at again: {verdict.sentence()}"
    return _of_whole(path, result.probe, config)


def _of_whole(path: bytes, probe: Probe, config: StateConfig) -> tuple[str, str]:
    decision = audio.decide(probe.streams, rules_of(config.audio))
    if decision.outcome != "make":
        return ("nothing" if decision.outcome == "has_stereo" else "ignore"), decision.sentence
    try:
        plan = stereo.plan(probe, decision, path, stereo_settings(config.audio))
        size = os.stat(path).st_size
        space.require_space(
            os.path.dirname(path), space.free_space_needed(size, probe.duration_sec, config.audio.bitrate_kbps)
        )
    except ConversionFailed as error:
        return "refuse", f"{decision.sentence}; but {error.detail or error.reason}"
    beside = "" if plan.target == path else f", in {names.readable(os.path.basename(plan.target))}"
    return "convert", f"{decision.sentence}{beside}"
