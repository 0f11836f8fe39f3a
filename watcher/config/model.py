"""Every setting of the program, with its type, its limits and its default. Where values come from is `sources`' business."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from watcher.config import wrong
from watcher.errors import SettingsError
from watcher.rules import languages, names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


def _no_truth_for_numbers(value: object, info: ValidationInfo) -> object:
    # pydantic takes true for 1: "stable_wait_sec = false" would mean no waiting at all.
    if isinstance(value, bool) and info.field_name not in _TRUTHS:
        raise ValueError("true and false are no values for it")
    return value


_TRUTHS = frozenset(
    {
        "allow_network_database",
        "enable_metrics",
        "integrity_quick_mode",
        "untagged_is_english",
        "default_track",
        "keep_original",
        "remux",
        "allow_data_loss",
    }
)


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    _numbers = field_validator("*", mode="before")(_no_truth_for_numbers)


class WatchSettings(_Table):
    """One watched folder: a `[[watch]]` table."""

    path: Path
    mode: Literal["auto", "events", "poll"] = "auto"

    @field_validator("path")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return Path(os.path.abspath(path.expanduser()))  # not resolve(): the name the person gave is the one they know


class IntegritySettings(_Table):
    """How files are checked."""

    at_once: Count = 1
    threads: Count = 2
    tolerate_lines: Annotated[int, Field(ge=0)] = 2


class AudioSettings(_Table):
    """Which stereo track is made, and how."""

    at_once: Count = 1
    threads: Count = 2
    languages: tuple[str, ...] = ("eng",)
    untagged_is_english: bool = False
    bitrate_kbps: Annotated[int, Field(ge=64, le=512)] = 192
    codec: Literal["aac", "ac3", "opus"] = "aac"
    dialogue_boost_db: Annotated[float, Field(ge=0, le=12)] = 3.0
    default_track: bool = False
    loudness: Literal["keep", "ebu_r128"] = "keep"
    loudness_target_lufs: Annotated[float, Field(ge=-40, le=-10)] = -23.0
    position: Literal["last", "first"] = "last"
    keep_original: bool = False
    mtime: Literal["keep", "now"] = "keep"
    lost_attributes: Literal["note", "refuse"] = "note"
    output: Literal["add", "sidecar"] = "add"
    remux: bool = False
    allow_data_loss: bool = False

    @field_validator("languages")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("at least one language must be named")
        if unknown := [tag for tag in value if languages.of_tag(tag) is None]:
            raise ValueError(
                f"{', '.join(unknown)}: no language known here; a code of ISO 639 is wanted, such as deu or de"
            )
        return value


class FFmpegSettings(_Table):
    """Where FFmpeg is; "" looks in PATH, then in the bundled wheels."""

    ffmpeg: str = ""
    ffprobe: str = ""


class StateConfig(BaseSettings):
    """Every setting of the program. `config.example.toml` explains each with unit and reason.

    Built by `load` for the command line, or directly by a program that brings its own values. Raises SettingsError, one
    line for each thing wrong.

    >>> settings = StateConfig(stable_wait_sec=5, audio={"at_once": 2})
    >>> settings.stable_wait_sec, settings.audio.at_once, settings.batch_size
    (5.0, 2, 100)
    """

    model_config = SettingsConfigDict(extra="forbid", frozen=True, env_prefix="WATCHER_", env_nested_delimiter="__")

    storage_url: str = ""
    allow_network_database: bool = False
    backup_dir: str = ""
    backup_keep: Count = 5
    backup_interval_hours: Annotated[float, Field(gt=0)] = 24
    stable_wait_sec: Seconds = 60
    settle_sec: Seconds = 2
    debounce_quiet_sec: Seconds = 0.5
    debounce_at_most_sec: Seconds = 5
    backoff_step_sec: Annotated[float, Field(gt=0)] = 30
    backoff_max_sec: Annotated[float, Field(gt=0)] = 600
    quarantine_threshold: Count = 5
    batch_size: Count = 100
    loop_interval_sec: Annotated[float, Field(gt=0)] = 10
    answer_within_sec: Annotated[float, Field(gt=0)] = 20
    scan_interval_sec: Annotated[float, Field(gt=0)] = 3600
    poll_interval_sec: Annotated[float, Field(gt=0)] = 30
    max_scan_depth: Count = 32
    gone_at_once_percent: Annotated[float, Field(gt=0, le=100)] = 50
    integrity_quick_mode: bool = False
    duplicates: Literal["skip", "process"] = "skip"
    keep_processed_days: Annotated[float, Field(ge=0)] = 60
    max_state_entries: Count = 10_000
    enable_metrics: bool = True
    extensions: tuple[str, ...] = tuple(sorted(ext.decode() for ext in names.DEFAULT_EXTENSIONS))
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    min_size_bytes: Annotated[int, Field(ge=0)] = 0
    metrics_textfile: str = ""
    metrics_listen: str = ""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "pretty", "json"] = "auto"
    watch: tuple[WatchSettings, ...] = ()
    integrity: IntegritySettings = IntegritySettings()
    audio: AudioSettings = AudioSettings()
    ffmpeg: FFmpegSettings = FFmpegSettings()

    _numbers = field_validator("*", mode="before")(_no_truth_for_numbers)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise SettingsError(wrong.sentences(error, known_keys, {})) from error

    @classmethod
    def of(cls, values: dict[str, Any], origins: Mapping[str, str]) -> Self:
        """Give settings of these values, which came from `origins`, by key. Raises SettingsError that names them."""
        try:
            return cls(**values)
        except SettingsError as error:
            if not isinstance(error.__cause__, ValidationError):
                raise
            raise SettingsError(wrong.sentences(error.__cause__, known_keys, origins)) from None

    @field_validator("log_level", mode="before")
    @classmethod
    def _any_case(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("metrics_listen")
    @classmethod
    def _address(cls, value: str) -> str:
        _, _, port = value.rpartition(":")
        if value and not value.startswith("unix:/") and not (port.isdecimal() and int(port) < 65_536 and value != port):
            raise ValueError("should be HOST:PORT, as 127.0.0.1:9817, or unix:/absolute/path of a socket")
        return value

    @field_validator("metrics_textfile")
    @classmethod
    def _collected(cls, value: str) -> str:
        if value and not (value.startswith("/") and value.endswith(".prom")):
            raise ValueError("should be an absolute path that ends in .prom: the node exporter reads no other")
        return value

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
    def settings_customise_sources(  # type: ignore[override]  # the sources it does not name are those it does not want
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic-settings hands it in by this name
        init_settings: PydanticBaseSettingsSource,
        **_: Any,
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
            return Path(os.path.abspath(os.path.expanduser(self.storage_url.removeprefix("sqlite:///"))))
        folder = os.environ.get("STATE_DIRECTORY", "").split(":")[0] or platformdirs.user_state_dir("watcher")
        return Path(folder) / "watcher.db"

    def tools_path(self) -> Path:
        """Give the file that remembers what FFmpeg can do, beside the database."""
        return self.database_path().with_name("ffmpeg.json")

    def backup_path(self) -> Path:
        """Give the folder for backups: `backup_dir`, else "backups" beside the database."""
        if self.backup_dir:
            return Path(os.path.abspath(os.path.expanduser(self.backup_dir)))
        return self.database_path().parent / "backups"


TABLES: dict[str, type[BaseModel]] = {
    "watch": WatchSettings,
    "integrity": IntegritySettings,
    "audio": AudioSettings,
    "ffmpeg": FFmpegSettings,
}
"""The settings that are tables, `watch` being a list of them."""

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


def known_keys(location: Sequence[str]) -> list[str]:
    """Give the keys there are at the top (no location), or in a table."""
    return list((TABLES[location[0]] if location else StateConfig).model_fields)


def flat(config: StateConfig) -> dict[str, Any]:
    """Give every setting as `key` or `table.key` with its JSON-ready value, in the order of the class."""
    rows: dict[str, Any] = {}
    for key in type(config).model_fields:
        value = getattr(config, key)
        if isinstance(value, BaseModel):
            rows.update({f"{key}.{inner}": _plain(getattr(value, inner)) for inner in type(value).model_fields})
        elif key == "watch":
            # Not by pydantic: a folder's name may hold bytes that are no UTF-8, which its serialiser refuses.
            rows[key] = [{"path": names.to_json(os.fsencode(item.path))[0], "mode": item.mode} for item in value]
        else:
            rows[key] = _plain(value)
    return rows


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
