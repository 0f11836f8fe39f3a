"""`watcher config`: the settings in force, and where each came from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.text import Text

from watcher import views
from watcher.commands import common
from watcher.config import flat

if TYPE_CHECKING:
    from watcher.config import Loaded


def show(loaded: Loaded, *, as_json: bool) -> int:
    """Show every setting. Exit code 0."""
    values = flat(loaded.config)
    database = str(loaded.config.database_path())
    if as_json:
        settings = {key: {"value": value, "from": _origin(loaded, key)} for key, value in values.items()}
        views.json_line({"settings": settings, "database": database})
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
    return common.EXIT_OK


def _origin(loaded: Loaded, key: str) -> str:
    return loaded.origins.get(key, "default")


def _shown(value: Any) -> str:
    """Give a value as it would stand in the TOML file, but for the long lists, whose commas get no blank."""
    if isinstance(value, list) and value and isinstance(value[0], str):
        return " ".join(value)
    return json.dumps(value, ensure_ascii=False)
