"""The settings: parsed once, strictly, and known by where each came from.

Order, later wins: defaults < environment preset < file < environment variables < command line. A preset never
overrides what a person wrote. Errors name the key, its source and the value that was found there.
"""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from watcher.errors import SettingsError
from watcher.rules import names

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]

EXIT_BAD_SETTINGS = 78  # EX_CONFIG of sysexits.h; the unit does not restart on it


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WatchSettings(_Table):
    """One watched folder: a `[[watch]]` table."""

    path: Path
    mode: Literal["auto", "events", "poll"] = "auto"

    @field_validator("path")
    @classmethod
    def _folder_exists(cls, path: Path) -> Path:
        path = Path(os.path.abspath(path.expanduser()))  # not resolve(): the name the person gave is the one they know
        if not path.exists():
            raise ValueError(f"the folder {path} does not exist")
        if not path.is_dir():
            raise ValueError(f"{path} is not a folder")
        return path


class IntegritySettings(_Table):
    """How files are checked."""

    at_once: Count = 1
    threads: Count = 2
    tolerate_lines: Annotated[int, Field(ge=0)] = 2


class AudioSettings(_Table):
    """Which stereo track is made, and how."""

    at_once: Count = 1
    threads: Count = 2
    untagged_is_english: bool = False
    bitrate_kbps: Annotated[int, Field(ge=64, le=512)] = 192
    dialogue_boost_db: Annotated[float, Field(ge=0, le=12)] = 3.0
    default_track: bool = False


class FFmpegSettings(_Table):
    """Where FFmpeg is; "" looks in PATH, then in the bundled wheels."""

    ffmpeg: str = ""
    ffprobe: str = ""


class StateConfig(BaseSettings):
    """Every setting of the program. `config.example.toml` explains each with unit and reason.

    Built by `load` for the command line, or directly, `StateConfig(stable_wait_sec=5)`, by a program that brings its
    own values. Raises pydantic's ValidationError when built directly, SettingsError from `load`.
    """

    model_config = SettingsConfigDict(extra="forbid", frozen=True, env_prefix="WATCHER_", env_nested_delimiter="__")

    storage_url: str = ""
    stable_wait_sec: Seconds = 60
    settle_sec: Seconds = 2
    debounce_quiet_sec: Seconds = 0.5
    debounce_at_most_sec: Seconds = 5
    backoff_step_sec: Annotated[float, Field(gt=0)] = 30
    backoff_max_sec: Annotated[float, Field(gt=0)] = 600
    quarantine_threshold: Count = 5
    batch_size: Count = 100
    loop_interval_sec: Annotated[float, Field(gt=0)] = 10
    scan_interval_sec: Annotated[float, Field(gt=0)] = 3600
    poll_interval_sec: Annotated[float, Field(gt=0)] = 30
    max_scan_depth: Count = 32
    gone_at_once_percent: Annotated[float, Field(gt=0, le=100)] = 50
    integrity_quick_mode: bool = False
    duplicates: Literal["skip", "process"] = "skip"
    keep_processed_days: Annotated[float, Field(ge=0)] = 60
    max_state_entries: Count = 10_000
    extensions: tuple[str, ...] = tuple(sorted(ext.decode() for ext in names.DEFAULT_EXTENSIONS))
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    min_size_bytes: Annotated[int, Field(ge=0)] = 0
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "pretty", "json"] = "auto"
    watch: tuple[WatchSettings, ...] = ()
    integrity: IntegritySettings = IntegritySettings()
    audio: AudioSettings = AudioSettings()
    ffmpeg: FFmpegSettings = FFmpegSettings()

    @field_validator("log_level", mode="before")
    @classmethod
    def _any_case(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("extensions")
    @classmethod
    def _with_dot(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple("." + ext.lower().lstrip(".") for ext in value)

    @field_validator("storage_url")
    @classmethod
    def _sqlite(cls, value: str) -> str:
        if value and "://" in value and not value.startswith("sqlite:///"):
            raise ValueError("only SQLite is supported: a path, or sqlite:///relative.db or sqlite:////absolute.db")
        return value

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, **_: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from the constructor only: `load` reads the other sources, so that it can tell them apart."""
        return (init_settings,)

    def name_rules(self) -> names.NameRules:
        """Give the rules that decide which names are films."""
        return names.NameRules(
            extensions=frozenset(ext.encode() for ext in self.extensions),
            min_size_bytes=self.min_size_bytes,
            include=tuple(pattern.encode() for pattern in self.include),
            exclude=tuple(pattern.encode() for pattern in self.exclude),
        )

    def database_path(self) -> Path:
        """Give the database file: `storage_url`, else in STATE_DIRECTORY (systemd), else in the user's state folder."""
        if self.storage_url:
            return Path(os.path.abspath(self.storage_url.removeprefix("sqlite:///")))
        folder = os.environ.get("STATE_DIRECTORY", "").split(":")[0] or platformdirs.user_state_dir("watcher")
        return Path(folder) / "watcher.db"


PRESETS: dict[str, dict[str, Any]] = {
    "production": {},
    # Short waits and a full log, to see a file go all the way while one looks on.
    "development": {
        "stable_wait_sec": 5,
        "backoff_step_sec": 5,
        "loop_interval_sec": 2,
        "batch_size": 10,
        "log_level": "debug",
    },
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings in force and where each came from."""

    config: StateConfig
    origins: dict[str, str] = field(default_factory=dict)
    """key, or table.key -> "default", "preset development", the file, "environment WATCHER_...", "command line"."""


def load(
    file: Path | None = None, *, environment: str = "production", overrides: dict[str, Any] | None = None
) -> Loaded:
    """Read all sources in their order and check the whole. Raises SettingsError, one line for each thing wrong."""
    layers: list[tuple[str, dict[str, Any]]] = [(f"preset {environment}", PRESETS[environment])]
    if file is not None:
        layers.append((str(file), read_file(file)))
    layers.extend(_from_environment())
    layers.append(("command line", overrides or {}))
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, layer in layers:
        for key, value in layer.items():
            if isinstance(value, dict):
                values[key] = {**values.get(key, {}), **value}
                origins.update({f"{key}.{inner}": origin for inner in value})
            else:
                values[key] = value
                origins[key] = origin
    try:
        config = StateConfig(**values)
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(item, origins) for item in error.errors())) from None
    return Loaded(config, origins)


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


def _from_environment() -> list[tuple[str, dict[str, Any]]]:
    layers = [(f"environment {name}", {key: os.environ[name]}) for name, key in _ALIASES.items() if name in os.environ]
    known = StateConfig.model_fields
    for name in sorted(os.environ):
        if name.startswith("WATCHER_") and (key := name.removeprefix("WATCHER_").lower().split("__")[0]) not in known:
            raise SettingsError(f"environment {name}: there is no setting {key!r}{_nearest(key, list(known))}")
    for key, value in EnvSettingsSource(StateConfig)().items():
        layers.append((f"environment WATCHER_{key.upper()}", {key: value}))
    return layers


def _explain(item: Any, origins: dict[str, str]) -> str:
    location = [str(part) for part in item["loc"]]
    key = ".".join(location)
    origin = origins.get(key) or origins.get(location[0]) or "settings"
    if item["type"] == "extra_forbidden":
        return f"{origin}: there is no setting {key!r}{_nearest(location[-1], _known_keys(location[:-1]))}"
    message = item["msg"].removeprefix("Value error, ")
    return f"{origin}: {key} = {item['input']!r}: {message[0].lower()}{message[1:]}"


def _known_keys(location: list[str]) -> list[str]:
    tables: dict[str, type[BaseModel]] = {
        "watch": WatchSettings,
        "integrity": IntegritySettings,
        "audio": AudioSettings,
        "ffmpeg": FFmpegSettings,
    }
    return list((tables[location[0]] if location else StateConfig).model_fields)


def _nearest(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def flat(config: StateConfig) -> dict[str, Any]:
    """Give every setting as `key` or `table.key` with its JSON-ready value, in the order of the class."""
    rows: dict[str, Any] = {}
    for key, value in config.model_dump(mode="json").items():
        rows.update({f"{key}.{inner}": v for inner, v in value.items()} if isinstance(value, dict) else {key: value})
    return rows
