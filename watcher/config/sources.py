"""Where settings come from: read strictly, and known by where each came from.

Order, later wins: defaults < environment preset < file < environment variables < command line. A preset never
overrides what a person wrote. Errors name the key, its source and the value that was found there.
"""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_origin

import pydantic_settings
from pydantic_settings import EnvSettingsSource

from watcher.config.model import PRESETS, TABLES, StateConfig
from watcher.config.wrong import nearest
from watcher.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings in force and where each came from."""

    config: StateConfig
    origins: dict[str, str] = field(default_factory=dict)
    """key, or table.key -> "default", "preset development", the file, "environment WATCHER_...", "command line"."""
    again: Callable[[], Loaded] | None = field(default=None, compare=False)
    """Reads the same sources once more; raises SettingsError."""


def load(
    file: Path | None = None,
    *,
    environment: str = "production",
    changes: dict[str, Any] | None = None,
    overrides: dict[str, Any] | None = None,
    folders: Sequence[Path] = (),
) -> Loaded:
    """Read all sources in their order and check the whole. Raises SettingsError, one line for each thing wrong.

    `changes` are values that are to be written into the file: they stand above it and below the environment.
    `folders` are those of the command line: they are watched beside those of the other sources. Whether folders and
    the database's place are there is not asked here but by `require_folders` and `require_place`: who only reads
    needs neither.
    """
    if environment not in PRESETS:
        raise SettingsError(f"environment: should be one of {', '.join(PRESETS)}, not {environment!r}")
    layers: list[tuple[str, dict[str, Any]]] = [(f"preset {environment}", PRESETS[environment])]
    if file is not None:
        layers.append((str(file), read_file(file)))
    layers.append(("changes", changes or {}))
    layers.extend(_from_environment())
    layers.append(("command line", overrides or {}))
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, layer in layers:
        for key, value in layer.items():
            if isinstance(value, dict):
                before = values.get(key)
                values[key] = {**(before if isinstance(before, dict) else {}), **value}
                origins.update({f"{key}.{inner}": origin for inner in value})
            else:
                values[key] = value
                origins[key] = origin
    _add_folders(folders, values, origins)
    config = StateConfig.of(values, origins)
    again = partial(load, file, environment=environment, overrides=overrides, folders=folders)
    return Loaded(config, origins, again)


def _add_folders(folders: Sequence[Path], values: dict[str, Any], origins: dict[str, str]) -> None:
    listed = values.get("watch", [])
    if not folders or not isinstance(listed, list | tuple):
        return
    known = {os.path.abspath(os.path.expanduser(str(t.get("path", "")))) for t in listed if isinstance(t, dict)}
    new = [folder for folder in dict.fromkeys(map(os.path.abspath, folders)) if folder not in known]
    values["watch"] = [*listed, *({"path": Path(folder)} for folder in new)]
    if new:
        origins["watch"] = f"{origins['watch']} and command line" if "watch" in origins else "command line"


def read_file(file: Path) -> dict[str, Any]:
    """Read a TOML or JSON file of settings, by its ending. Raises SettingsError naming the file and the line."""
    try:
        text = file.read_bytes().decode()
        data = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{file}: is not UTF-8 text (byte {error.start})") from None
    except (tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        raise SettingsError(f"{file}: {error}") from None
    if not isinstance(data, dict):
        raise SettingsError(f"{file}: should hold settings as keys and values, not a {type(data).__name__}")
    for table in data.get("watch", []) if isinstance(data.get("watch"), list) else []:
        if isinstance(table, dict) and isinstance(table.get("path"), str):
            table["path"] = str(file.parent / Path(table["path"]).expanduser())
    return data


_ALIASES = {"STATE_DB_URL": "storage_url", "STATE_LOG_LEVEL": "log_level"}


_NO_SETTINGS = frozenset({"WATCHER_CONFIG"})
"""Variables that are ours and name no setting: where the file of settings is."""


def _from_environment() -> list[tuple[str, dict[str, Any]]]:
    layers: list[tuple[str, dict[str, Any]]] = [
        (f"environment {name}", {key: os.environ[name]}) for name, key in _ALIASES.items() if os.environ.get(name)
    ]
    known = StateConfig.model_fields
    variables: dict[str, str] = {}
    for name in sorted(os.environ):
        if name.upper().startswith("WATCHER_") and name not in _NO_SETTINGS:
            key, *inner = name[len("WATCHER_") :].lower().split("__")
            if key not in known or (inner and key not in TABLES):
                wrong = ".".join((key, *inner))
                raise SettingsError(f"environment {name}: there is no setting {wrong!r}{nearest(key, list(known))}")
            variables[".".join((key, *inner))] = name
    try:
        # An empty variable is how shells, containers and units leave one out.
        found = EnvSettingsSource(StateConfig, env_ignore_empty=True)()
    except pydantic_settings.SettingsError as error:
        key, name = _unreadable(str(error).split('"')[1], variables)
        wanted = 'JSON, such as ["one", "two"]'
        if key in TABLES:
            wanted = f"a table in JSON; one of its settings has a variable of its own, such as {_one_of(key)}"
        raise SettingsError(f"environment {name}: {key} = {os.environ[name]!r}: should be {wanted}") from None
    for key, value in found.items():
        table: dict[str, Any] = value if isinstance(value, dict) else {}
        for part, inner_value in table.items():
            layers.append((_variable(variables, f"{key}.{part}", key), {key: {part: inner_value}}))
        if not table:
            layers.append((_variable(variables, key), {key: value}))
    return layers


def _one_of(table: str) -> str:
    return f"WATCHER_{table}__{next(iter(TABLES[table].model_fields))}".upper()


def _unreadable(field: str, variables: dict[str, str]) -> tuple[str, str]:
    """Give key and variable of what is no JSON; of a table only the field is known, and that it is one of its lists."""
    if field in variables:
        return field, variables[field]
    keys = (key for key, kind in TABLES[field].model_fields.items() if get_origin(kind.annotation) is tuple)
    return next((key, variables[key]) for key in (f"{field}.{key}" for key in keys) if key in variables)


def _variable(variables: dict[str, str], *keys: str) -> str:
    return "environment " + next(variables[key] for key in keys if key in variables)
