"""`watcher doctor`: what would go wrong in the first night, a line for each thing that was tried."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from watcher import views
from watcher.config import load
from watcher.errors import SettingsError
from watcher.service import doctor
from watcher.service.doctor import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_EXIT = {"ok": 0, "warning": 1, "problem": 2}
_COLOURS = {"ok": "green", "warning": "yellow", "problem": "bold red"}


def examine(
    config: Path | None, folders: Sequence[Path] = (), machine: doctor.Machine | None = None, *, as_json: bool
) -> int:
    """Show every finding, also about `folders`. Exit code 0 all is well, 1 a warning, 2 a problem."""
    try:
        loaded = load(config, folders=folders)
    except SettingsError as error:
        found = [Finding("settings", "problem", line, "put it right; config.example.toml explains every setting")
                 for line in str(error).splitlines()]  # fmt: skip
    else:
        where = str(config) if config else "the defaults, for no file was named"
        found = [Finding("settings", "ok", where), *doctor.examine(loaded.config, machine)]
    worst = max((finding.level for finding in found), key=lambda level: _EXIT[level])
    if as_json:
        views.json_line({"status": worst, "findings": [finding.to_dict() for finding in found]})
        return _EXIT[worst]
    console = views.out()
    for finding in found:
        level = Text(f"{finding.level:<8}", style=_COLOURS[finding.level])
        console.print(Text.assemble(level, (f"{finding.about:<10}", "dim"), finding.text, overflow="fold"))
        if finding.advice:
            console.print(Text(f"{'':18}-> {finding.advice}", style="dim", overflow="fold"))
    return _EXIT[worst]
