"""The files of the service for systemd: made from the templates in `systemd/` and from the settings. Nothing is written here.

See systemd.unit(5), systemd.exec(5) (ReadWritePaths=) and systemd-escape(1).
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import watcher
from watcher.commands.words import SERVICES_CONFIG
from watcher.errors import WatcherError
from watcher.rules import names
from watcher.watch import mounts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from watcher.config import StateConfig

UNIT = Path("/etc/systemd/system/watcher.service")
DROP_INS = Path("/etc/systemd/system/watcher.service.d")
CONFIG = SERVICES_CONFIG
STATE = Path("/var/lib/watcher")
SYSCTL = Path("/etc/sysctl.d/50-watcher.conf")
_PLAIN = {
    Path("/etc/sysusers.d/watcher.conf"): "sysusers.conf",
    Path("/etc/tmpfiles.d/watcher.conf"): "tmpfiles.conf",
    Path("/usr/local/lib/systemd/catalog/watcher.catalog"): "watcher.catalog",
}
_PATIENCE = DROP_INS / "50-patience.conf"
_FOLDERS = DROP_INS / "10-folders.conf"
_NETWORK = DROP_INS / "20-network.conf"
EVERY = (UNIT, _FOLDERS, _NETWORK, _PATIENCE, SYSCTL, *_PLAIN)
"""All that is ever written, but for the settings."""
_HOMES = ("/root", "/home", "/run/user")
_PATIENT_SINCE = 254


class NotInstallable(WatcherError):
    """The service cannot be installed as it is; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What the files depend on besides the settings."""

    program: str
    """The command `watcher`, absolute."""
    group: str
    systemd: int
    """Its version."""
    watches: int
    """The kernel's limit of inotify watches for a user."""
    mounted: tuple[bytes, ...]
    """Where file systems are mounted, or will be by fstab."""


def templates() -> Path:
    """Give the folder of the templates: in the package when it was installed, beside it in a clone."""
    package = Path(watcher.__file__).parent
    return next(each for each in (package / "systemd", package.parent / "systemd") if each.is_dir())


def example() -> str:
    """Give the example of the settings."""
    there = (templates() / "config.example.toml", templates().parent / "config.example.toml")
    return next(each for each in there if each.exists()).read_text()


def require_place(*paths: str) -> None:
    """Refuse a program below a home folder, which the sandbox (ProtectHome=yes) hides from it. Raises NotInstallable."""
    for path in (*paths, os.path.realpath(sys.executable), sys.prefix, os.path.dirname(watcher.__file__)):
        if path.startswith(tuple(f"{home}/" for home in _HOMES)):
            raise NotInstallable(
                f"{path} lies in a home folder, which the service may not look into: install the program elsewhere, as in\n"
                "  python3 -m venv /opt/watcher        (with the system's own Python: /usr/bin/python3)\n"
                "  /opt/watcher/bin/pip install .\n"
                "  /opt/watcher/bin/watcher install-unit"
            )


def files(config: StateConfig, machine: Machine) -> dict[Path, str]:
    """Give every file to write but the settings: its place and its text."""
    found = {path: (templates() / name).read_text() for path, name in _PLAIN.items()}
    unit = (templates() / "watcher.service").read_text()
    found[UNIT] = unit.replace("/opt/watcher/bin/watcher", machine.program).replace(
        "Group=media\n", f"Group={machine.group}\n"
    )
    sysusers = next(iter(_PLAIN))
    found[sysusers] = found[sysusers].replace("m watcher media", f"m watcher {machine.group}")
    if config.watch:
        found[_FOLDERS] = folders(config, machine.mounted)
    if config.metrics_listen and not config.metrics_listen.startswith("unix:"):
        text = (templates() / "20-network.conf").read_text()
        local = config.metrics_listen.rpartition(":")[0].strip("[]") in ("127.0.0.1", "::1", "localhost")
        found[_NETWORK] = text if local else text.replace("=localhost", "=any")
    if machine.systemd >= _PATIENT_SINCE:
        found[_PATIENCE] = (templates() / "50-patience.conf").read_text()
    wanted = (templates() / "sysctl.conf").read_text()
    if (number := re.search(r"max_user_watches = (\d+)", wanted)) and machine.watches < int(number[1]):
        found[SYSCTL] = wanted
    return found


def folders(config: StateConfig, mounted: Sequence[bytes]) -> str:
    """Give the drop-in that lets the service write where the settings say, and ties it to the disks it needs.

    It needs the disk of its database, and one on which all of its folders lie. Of several, one that goes stops only its
    own folder. Then the whole disk is named, and not the folder: a folder on it would be mounted once more in the
    sandbox, and keep the disk there when it is unmounted outside.
    """
    watched = {os.fsencode(item.path): _disk(os.fsencode(item.path), mounted) for item in config.watch}
    database = {_disk(os.fsencode(config.database_path()), mounted)} if config.storage_url else set()
    together = len(set(watched.values())) == 1
    needed = (database | (set(watched.values()) if together else set())) - {None}
    others = set(watched.values()) - needed - {None}
    lines = ["# Written by `watcher install-unit` from the settings; say it again when the folders change.", "[Unit]"]
    # The service stops when a disk that it needs goes, and starts when it is back: without WantedBy it would stay away.
    lines += [f"{key}={unit}" for unit in _units(needed) for key in ("BindsTo", "After")]
    lines += [f"{key}={unit}" for unit in _units(others) for key in ("Wants", "After")]
    own = _own_places(config)
    places = [*(disk if disk in others else path for path, disk in watched.items()), *own]
    # With a "-" one that is missing does not keep the service from starting, which says so in words of its own.
    lines += ["", "[Service]", *(f"ReadWritePaths={_quoted(b'-' + path)}" for path in dict.fromkeys(places) if path)]
    if any(
        os.path.realpath(path).startswith(tuple(os.fsencode(f"{home}/") for home in _HOMES))
        for path in [*watched, *own]
    ):
        lines += ["# Folders below /home are watched.", "ProtectHome=no"]
    if needed:
        lines += ["", "[Install]", *(f"WantedBy={unit}" for unit in _units(needed))]
    return "\n".join(lines) + "\n"


def _own_places(config: StateConfig) -> list[bytes]:
    """Give the folders of the database, its backups and the numbers, where they are not in the state folder."""
    named = [config.database_path().parent] if config.storage_url else []
    named += [config.backup_path()] if config.backup_dir else []
    files = (config.metrics_textfile, config.metrics_listen.partition("unix:")[2])
    named += [Path(file).parent for file in files if file]
    return [os.fsencode(place) for place in named if not place.is_relative_to(STATE)]


def _disk(path: bytes, mounted: Iterable[bytes]) -> bytes | None:
    """Give where the disk of a path is mounted; None for the system's own."""
    real = os.path.realpath(path)
    above = [point for point in mounted if point != b"/" and (real == point or real.startswith(point + b"/"))]
    return max(above, key=len, default=None)


def _units(points: Iterable[bytes | None]) -> list[str]:
    return sorted(unit_name(point) for point in points if point)


def unit_name(point: bytes) -> str:
    """Give the name of the unit of a mount point, as `systemd-escape --path --suffix=mount` does."""
    text = "".join(
        "-" if byte == 0x2F else chr(byte) if re.match(rb"[a-zA-Z0-9:_.]", bytes((byte,))) else f"\\x{byte:02x}"
        for byte in point.strip(b"/")
    )
    return (f"\\x2e{text[1:]}" if text.startswith(".") else text) + ".mount"


def _quoted(path: bytes) -> str:
    """Write a path as a word of a unit file, whatever its bytes."""
    text = path.decode("utf-8", "surrogateescape")
    escaped = "".join(
        "%%"
        if c == "%"
        else c
        if c.isprintable() and c not in '"\\'
        else "".join(f"\\x{b:02x}" for b in os.fsencode(c))
        for c in text
    )
    return f'"{escaped}"'


def settings_for(paths: Sequence[bytes]) -> str:
    """Give the example of the settings with these folders named at its end."""
    tables = []
    for path in paths:
        text, escaped = names.to_json(path)
        if escaped:
            raise NotInstallable(
                f"{names.readable(path)}: its name is no UTF-8, and cannot stand in a file of settings"
            )
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        tables.append(f'\n[[watch]]\npath = "{quoted}"\n')
    database = f'storage_url = "{STATE / "watcher.db"}"'  # or `watcher status` would look in the caller's own place
    return example().replace('storage_url = ""', database, 1) + "".join(tables)


def mounted_points() -> tuple[bytes, ...]:
    """Give where something is mounted now, and where fstab says that something will be."""
    return tuple(dict.fromkeys((*(mount.point for mount in mounts.current()), *mounts.in_fstab())))
