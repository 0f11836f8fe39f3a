"""`watcher config`: the settings in force, where each came from, and what FFmpeg can do here."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.text import Text

from watcher import views
from watcher.commands import common
from watcher.config import flat
from watcher.media import tools

if TYPE_CHECKING:
    from watcher.config import Loaded

_STYLES = {"warning": "yellow", "problem": "red"}


def show(loaded: Loaded, *, as_json: bool) -> int:
    """Show every setting. Exit code 0."""
    values = flat(loaded.config)
    database = str(loaded.config.database_path())
    where = loaded.config.ffmpeg
    findings = asyncio.run(tools.examine(where.ffmpeg, where.ffprobe, remembered=loaded.config.tools_path()))
    if as_json:
        settings = {key: {"value": value, "from": _origin(loaded, key)} for key, value in values.items()}
        views.json_line({"settings": settings, "database": database, "ffmpeg": [asdict(found) for found in findings]})
        return common.EXIT_OK
    console = views.out()
    made = views.table("setting", "value", "from")
    made.columns[1].overflow = made.columns[2].overflow = "fold"
    for key, value in values.items():
        origin = _origin(loaded, key)
        style = "dim" if origin == "default" else ""
        made.add_row(Text(key, style=style), Text(_shown(value), style=style), Text(origin, style=style))
    console.print(made)
    console.print(Text.assemble("\n", views.heading("database  "), database))
    for found in findings:
        advice = f" ({found.advice})" if found.advice else ""
        style = _STYLES.get(found.level, "")
        console.print(Text.assemble(views.heading("ffmpeg    "), (f"{found.text}{advice}", style)))
    return common.EXIT_OK


def _origin(loaded: Loaded, key: str) -> str:
    return loaded.origins.get(key, "default")


def _shown(value: Any) -> str:
    """Give a value as it would stand in the TOML file, but for the long lists, whose commas get no blank."""
    if isinstance(value, list) and value and isinstance(value[0], str):
        return " ".join(value)
    return json.dumps(value, ensure_ascii=False)
