"""`watcher install-unit`: the service for systemd, written, told to systemd, and taken away again."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from watcher import views
from watcher.commands import common, unit_files
from watcher.commands.unit_files import CONFIG, DROP_INS, STATE, UNIT, Machine, NotInstallable
from watcher.config import load, require_folder
from watcher.errors import ToolError
from watcher.media import ffmpeg
from watcher.rules import names

if TYPE_CHECKING:
    from collections.abc import Sequence

_LIMIT_SEC = 120.0
_WATCHES = "/proc/sys/fs/inotify/max_user_watches"


def install(paths: Sequence[os.PathLike[str]], *, group: str, dry_run: bool) -> int:
    """Write the files and tell systemd. Exit code 0. Raises NotInstallable, SettingsError, ToolError.

    `paths` go into a new file of settings; one that is there is never changed.
    """
    wanted = common.paths_of(paths)
    for path in wanted:
        require_folder(path)
    if CONFIG.exists() and wanted:
        raise NotInstallable(f"{CONFIG} is there already: name the folders in it, and leave them out here")
    settings = None if CONFIG.exists() else unit_files.settings_for(wanted)
    config = load(CONFIG if settings is None else None, folders=[Path(os.fsdecode(path)) for path in wanted]).config
    machine = _machine(group)
    unit_files.require_place(machine.program)
    files = unit_files.files(config, machine)
    commands: list[list[str]] = [["systemd-sysusers"], ["systemd-tmpfiles", "--create"], ["systemctl", "daemon-reload"]]
    commands.append(["journalctl", "--update-catalog"])
    if dry_run:
        _show({**files, **({CONFIG: settings} if settings else {})}, commands)
        return common.EXIT_OK
    _require_root()
    for place in set(unit_files.EVERY) - set(files):
        place.unlink(missing_ok=True)  # of an earlier time, when the settings were others
    for place, text in {**files, **({CONFIG: settings} if settings else {})}.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8", errors="surrogateescape")
        views.out().print(f"written   {place}")
    for command in commands:
        _run(command)
        views.out().print(f"done      {' '.join(command)}")
    _say_next(bool(config.watch), [os.fsencode(item.path) for item in config.watch], group)
    return common.EXIT_OK


def uninstall(*, dry_run: bool) -> int:
    """Stop the service and take its files away; settings, database and user stay. Exit code 0. Raises NotInstallable."""
    there = [path for path in unit_files.EVERY if path.exists()]
    if not there:
        views.out().print("it is not installed as a service: nothing to do")
        return common.EXIT_OK
    if dry_run:
        for path in there:
            views.out().print(f"would remove {path}")
        return common.EXIT_OK
    _require_root()
    if UNIT.exists():
        _run(["systemctl", "disable", "--now", UNIT.name])
    for path in there:
        path.unlink()
        views.out().print(f"removed   {path}")
    if DROP_INS.is_dir() and not any(DROP_INS.iterdir()):
        DROP_INS.rmdir()
    _run(["systemctl", "daemon-reload"])
    views.out().print(f"left      {CONFIG}, {STATE} (the database) and the user watcher")
    return common.EXIT_OK


def _machine(group: str) -> Machine:
    # Not realpath(): a virtual environment's program is a link or a script beside its interpreter.
    program = os.path.join(os.path.dirname(os.path.abspath(sys.executable)), "watcher")
    if not os.access(program, os.X_OK):
        raise NotInstallable(f"{program} is not there: run the command of the installation that is to be the service")
    if shutil.which("systemctl") is None:
        raise NotInstallable("there is no systemd here; as a plain process, `watcher run` is all that is needed")
    version = re.match(r"systemd (\d+)", _run(["systemctl", "--version"]))
    watches = int(Path(_WATCHES).read_text()) if os.path.exists(_WATCHES) else 0
    return Machine(program, group, int(version[1]) if version else 0, watches, unit_files.mounted_points())


def _run(command: list[str]) -> str:
    done = asyncio.run(ffmpeg.run(command, time_limit_sec=_LIMIT_SEC, memory_limit_bytes=None))
    if done.returncode != 0:
        said = "; ".join(done.stderr_lines) or f"code {done.returncode}"
        raise ToolError(f"{' '.join(command)} did not work: {said}")
    return done.stdout.decode("utf-8", "replace")


def _require_root() -> None:
    if os.geteuid() != 0:
        raise NotInstallable("only root may install a service: say it again with sudo, or look at it with --dry-run")


def _show(files: dict[Path, str], commands: list[list[str]]) -> None:
    for path, text in files.items():
        sys.stdout.write(f"# {path}\n{text}\n")
    for command in commands:
        sys.stdout.write(f"# would run: {' '.join(command)}\n")


def _say_next(watched: bool, paths: list[bytes], group: str) -> None:
    out = views.out()
    for path in paths:
        if not _may_write(path, group):
            shown = names.readable(path)
            out.print(
                Text(f"note      {shown}: the group {group} may not write there: chgrp {group} and chmod g+ws it")
            )
    if not watched:
        out.print(f"next      name your folders in {CONFIG}, then: {sys.argv[0]} install-unit")
    else:
        out.print("next      systemctl enable --now watcher; then: watcher doctor")


def _may_write(path: bytes, group: str) -> bool:
    import grp  # noqa: PLC0415 - asked here alone, and not everywhere to be had

    found = os.stat(path)
    return bool(found.st_mode & 0o002) or (bool(found.st_mode & 0o020) and found.st_gid == grp.getgrnam(group).gr_gid)
