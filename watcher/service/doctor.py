"""The doctor: what would go wrong in the first night, found out before it. Everything is tried, not looked up.

Each finding says what is so and, where it is not well, what to do. The folders are tried as the user that the unit names,
where the doctor is root; else as whoever asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import grp
import os
import pwd
import secrets
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from watcher.media import ffmpeg, tools
from watcher.rules import names
from watcher.service import health, upkeep
from watcher.watch import mounts, roots

if TYPE_CHECKING:
    from collections.abc import Iterator

    from watcher.config import StateConfig

Level = Literal["ok", "warning", "problem"]

UNIT = "watcher.service"
_LIMIT_SEC = 20.0
_WALK_SEC = 20.0
"""For counting the folders of a library; what is not counted by then is "at least"."""
_NOT_IN_FSTAB = frozenset({"zfs", "autofs", "overlay"})
"""File systems that something else than fstab mounts."""
_FIRST_DAY = 1_735_689_600  # 2025-01-01: older than this program
_UNIT_KEYS = ("LoadState", "ActiveState", "UnitFileState", "Result", "User", "Group", "ReadWritePaths", "StatusText")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's."""

    about: str
    level: Level
    text: str
    advice: str = ""

    def to_dict(self) -> dict[str, str]:
        """Give the public shape."""
        return {"about": self.about, "level": self.level, "text": self.text, "advice": self.advice}


@dataclass(frozen=True, slots=True)
class Machine:
    """Where the machine says of itself what is asked."""

    fstab: str = "/etc/fstab"
    watches: str = "/proc/sys/fs/inotify/max_user_watches"
    systemd: str = "/run/systemd/system"
    """There where systemd runs."""


def examine(config: StateConfig, machine: Machine | None = None) -> list[Finding]:
    """Find out how everything is. Blocking, and raises nothing; a disk that does not answer is waited for."""
    machine = machine or Machine()
    unit = _unit(machine)
    found = [*_of_folders(config, machine, unit), *_of_watches(config, machine), *_of_ffmpeg(config)]
    return [*found, *_of_database(config), *_of_unit(config, machine, unit), *_of_clock(unit)]


# --- the folders


def _of_folders(config: StateConfig, machine: Machine, unit: dict[str, str]) -> Iterator[Finding]:
    if not config.watch:
        advice = "watcher doctor FOLDER tries one; for good, name it in the settings: [[watch]] path = ..."
        yield Finding("folders", "problem", "the settings name no folder to watch", advice)
    for item in config.watch:
        path = os.fsencode(item.path)
        shown = names.readable(path)
        if not os.path.isdir(path):
            yield Finding("folders", "problem", f"{shown} is not there", "mount its disk, or make it")
            continue
        kind = roots.file_system_type(path)
        mode = roots.choose_mode(item.mode, kind)
        how = "by events" if mode == "events" else f"by a scan every {config.poll_interval_sec:g} s"
        yield Finding("folders", "ok", f"{shown}: {kind or 'unknown file system'}, watched {how}")
        with _acting_as(unit) as who:
            yield from _of_writing(path, shown, who)
        yield from _of_space(path, shown)
        yield from _of_mount(path, shown, kind, machine)


def _of_writing(path: bytes, shown: str, who: str) -> Iterator[Finding]:
    """Do to a hidden file what is done to a film: write, chmod, rename, remove."""
    first, second = (b"%s/.watcher-doctor-%s" % (path, secrets.token_hex(6).encode()) for _ in range(2))
    doing, tells_holes = "written in", True
    try:
        os.listdir(path)
        descriptor = os.open(first, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, b"\0")
            doing = "given other permissions in"
            os.fchmod(descriptor, 0o664)
            tells_holes = _tells_holes(descriptor)
        finally:
            os.close(descriptor)
        doing = "renamed in"
        os.rename(first, second)
    except OSError as error:
        advice = (
            "free space on that disk"
            if error.errno in _FULL
            else "let the group of the service write there: see chgrp, and chmod g+ws"
        )
        yield Finding("folders", "problem", f"{shown}: a file cannot be {doing} it by {who}: {error.strerror}", advice)
    else:
        yield Finding("folders", "ok", f"{shown}: files can be made, changed and renamed by {who}")
        if not tells_holes:
            text = (
                "its file system does not tell what was never written: a film whose space is only reserved is known by"
            )
            yield Finding("folders", "ok", f"{shown}: {text} its zeros, which takes reading it")
    finally:
        for leftover in (first, second):
            with contextlib.suppress(OSError):
                os.unlink(leftover)


def _tells_holes(descriptor: int) -> bool:
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, _SPARSE_BYTES)
        return os.lseek(descriptor, 1, os.SEEK_HOLE) < _SPARSE_BYTES
    return False


_SPARSE_BYTES = 1 << 20
"""Of a file without content; NFS before 4.2 and SMB say that all of it is data, and so do some kinds of FUSE."""
_FULL = frozenset({28, 122})  # ENOSPC, EDQUOT


def _of_space(path: bytes, shown: str) -> Iterator[Finding]:
    free = shutil.disk_usage(path).free
    if free < health.FREE_BYTES:
        level: Level = "warning" if free > health.FREE_BYTES / 10 else "problem"
        advice = "a film is written anew beside itself: free at least the size of the largest one"
        yield Finding("folders", level, f"{shown}: only {free / 1e6:,.0f} MB are free", advice)
    else:
        yield Finding("folders", "ok", f"{shown}: {free / 1e9:,.0f} GB are free")


def _of_mount(path: bytes, shown: str, kind: str, machine: Machine) -> Iterator[Finding]:
    mount = mounts.covering(mounts.current(), os.path.realpath(path))
    if mount is None or mount.point == b"/" or kind in _NOT_IN_FSTAB:
        return
    point = names.readable(mount.point)
    if mount.point not in mounts.in_fstab(machine.fstab):
        advice = f"name {point} in {machine.fstab}, unless something else mounts it at every start"
        yield Finding("folders", "warning", f"{shown}: its disk ({point}) is mounted now, and not by fstab", advice)
    else:
        yield Finding("folders", "ok", f"{shown}: its disk ({point}) stands in fstab")


@contextlib.contextmanager
def _acting_as(unit: dict[str, str]) -> Iterator[str]:
    """Be the user of the unit for a while, where that is possible; gives the name of who acts."""
    me = os.geteuid()
    try:
        user = pwd.getpwnam(unit["User"])
        group = grp.getgrnam(unit["Group"]).gr_gid if unit.get("Group") else user.pw_gid
    except (KeyError, ValueError):
        user, group = None, -1
    if me != 0 or user is None:
        with contextlib.suppress(KeyError):
            yield pwd.getpwuid(me).pw_name
            return
        yield f"user {me}"
        return
    before = os.getgroups(), os.getegid()
    os.setgroups(os.getgrouplist(user.pw_name, group))
    os.setegid(group)
    os.seteuid(user.pw_uid)
    try:
        yield user.pw_name
    finally:
        os.seteuid(me)
        os.setegid(before[1])
        os.setgroups(before[0])


# --- the machine


def _of_watches(config: StateConfig, machine: Machine) -> Iterator[Finding]:
    by_events = [
        os.fsencode(item.path)
        for item in config.watch
        if os.path.isdir(item.path)
        and roots.choose_mode(item.mode, roots.file_system_type(os.fsencode(item.path))) == "events"
    ]
    try:
        with open(machine.watches) as file:
            limit = int(file.read())
    except (OSError, ValueError):
        if by_events:
            yield Finding("inotify", "problem", "the kernel has no inotify", 'watch the folders with mode = "poll"')
        return
    needed, all_of_it = _folders_in(by_events)
    least = "" if all_of_it else "at least "
    text = f"{least}{needed:,} of {limit:,} watches are needed"
    if needed > limit / 2:
        advice = f"echo fs.inotify.max_user_watches={max(524_288, 4 * needed)} > /etc/sysctl.d/60-watcher.conf; sysctl --system"
        yield Finding("inotify", "problem" if needed > limit else "warning", text, advice)
    else:
        yield Finding("inotify", "ok", text)


def _folders_in(paths: list[bytes]) -> tuple[int, bool]:
    until = time.monotonic() + _WALK_SEC
    count = 0
    for path in paths:
        for _, folders, _ in os.walk(path):
            count += 1
            folders[:] = [name for name in folders if not names.skip_folder(name)]
            if time.monotonic() > until:
                return count, False
    return count, True


def _of_ffmpeg(config: StateConfig) -> Iterator[Finding]:
    for found in asyncio.run(tools.examine(config.ffmpeg.ffmpeg, config.ffmpeg.ffprobe)):
        yield Finding("ffmpeg", found.level, found.text, found.advice)


def _of_database(config: StateConfig) -> Iterator[Finding]:
    path = config.database_path()
    kind = mounts.fs_type_at(os.fsencode(path))
    if upkeep.is_no_place_for_sqlite(kind):
        level: Level = "warning" if config.allow_network_database else "problem"
        yield Finding("database", level, f"{path} lies on a network file system ({kind})", "storage_url: a local disk")
    try:
        there = path.exists()
    except PermissionError:
        me = pwd.getpwuid(os.geteuid()).pw_name
        yield Finding("database", "warning", f"{path.parent} may not be looked into by {me}", "sudo watcher doctor")
        return
    if not there:
        yield Finding("database", "ok", f"{path} will be made by the first start")
        return
    issues = [issue for issue in health.check(config)["issues"] if issue["code"].startswith(("database", "backup"))]
    for issue in issues:
        yield Finding(
            "database", "problem" if issue["severity"] == "error" else "warning", issue["sentence"], issue["remedy"]
        )
    if not issues:
        yield Finding("database", "ok", f"{path}: {kind}, {path.stat().st_size / 1e6:,.1f} MB, nothing wrong")


# --- systemd


def _unit(machine: Machine) -> dict[str, str]:
    """Give what systemd knows of the unit; nothing where there is no systemd."""
    if not os.path.isdir(machine.systemd) or shutil.which("systemctl") is None:
        return {}
    command = ["systemctl", "show", UNIT, "--property", ",".join(_UNIT_KEYS)]
    done = asyncio.run(ffmpeg.run(command, time_limit_sec=_LIMIT_SEC, memory_limit_bytes=None))
    pairs = (line.partition("=") for line in done.stdout.decode("utf-8", "surrogateescape").splitlines())
    return {key: value for key, _, value in pairs}


def _of_unit(config: StateConfig, machine: Machine, unit: dict[str, str]) -> Iterator[Finding]:
    if not unit:
        missing = f"no systemd runs here ({machine.systemd} is not there)"
        yield Finding("service", "warning", missing, "let whatever starts your containers run `watcher run`")
        return
    if unit.get("LoadState") != "loaded":
        yield Finding("service", "warning", "it is not installed as a service", "sudo watcher install-unit FOLDER")
        return
    state = unit.get("ActiveState", "")
    if state == "failed":
        text = f"the service has failed ({unit.get('Result')})"
        yield Finding("service", "problem", text, "journalctl -u watcher -p warning -x")
    elif state != "active":
        yield Finding("service", "warning", f"the service is {state}", "systemctl enable --now watcher")
    else:
        yield Finding("service", "ok", f"the service is active: {unit.get('StatusText', '')}")
    if unit.get("UnitFileState") != "enabled":
        yield Finding("service", "warning", "it will not start with the machine", "systemctl enable watcher")
    allowed = [place.removeprefix("-") for place in unit.get("ReadWritePaths", "").split()]
    for item in config.watch:
        path = str(item.path)
        if not any(path == place or path.startswith(f"{place}/") for place in allowed) and " " not in path:
            shown = names.readable(os.fsencode(path))
            advice = "sudo watcher install-unit; systemctl restart watcher"
            yield Finding("service", "problem", f"its sandbox does not let it write in {shown}", advice)


def _of_clock(unit: dict[str, str]) -> Iterator[Finding]:
    advice = "timedatectl set-ntp true"
    if time.time() < _FIRST_DAY:
        yield Finding("clock", "problem", f"the clock says {time.strftime('%Y-%m-%d')}", advice)
        return
    if unit and shutil.which("timedatectl"):
        command = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
        done = asyncio.run(ffmpeg.run(command, time_limit_sec=_LIMIT_SEC, memory_limit_bytes=None))
        if done.stdout.strip() == b"no":
            yield Finding("clock", "warning", "the clock is not set by the network", advice)
            return
    yield Finding("clock", "ok", f"the clock says {time.strftime('%Y-%m-%d %H:%M')}")
