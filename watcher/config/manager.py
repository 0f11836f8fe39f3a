"""`StateConfigManager`: settings in a file, read, changed as a whole or not at all, and written back with their comments."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from watcher.config.sources import load
from watcher.errors import SettingsError

if TYPE_CHECKING:
    from watcher.config.model import StateConfig


def get_production_config() -> StateConfig:
    """Give the defaults, changed by what the environment says (`WATCHER_*`). Raises SettingsError.

    >>> get_production_config().stable_wait_sec >= 0
    True
    """
    return load().config


def get_development_config() -> StateConfig:
    """Give settings to look on with: a full log, small batches, short waits; the environment still overrides them.

    Raises SettingsError.

    >>> get_development_config().batch_size <= get_production_config().batch_size
    True
    """
    return load(environment="development").config


class StateConfigManager:
    r"""The settings of one file, TOML or JSON by its ending. What the environment says is in force, and never written.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "custom.toml"
    ...     _ = path.write_text("# patience\nstable_wait_sec = 30\n")
    ...     settings = StateConfigManager(path)
    ...     _ = settings.update_config({"batch_size": 7})
    ...     settings.save_config()
    ...     print(path.read_text(), settings.config.batch_size)
    # patience
    stable_wait_sec = 30
    batch_size = 7
     7
    """

    def __init__(self, path: str | os.PathLike[str], *, environment: str = "production") -> None:
        self.path = Path(path).expanduser()
        self._environment = environment
        self._changes: dict[str, Any] = {}
        self._config: StateConfig | None = None

    @property
    def config(self) -> StateConfig:
        """The settings in force. Read when first asked for: raises SettingsError."""
        return self._config or self.load_config()

    def load_config(self) -> StateConfig:
        """Read the file and give the settings in force; changes that were not saved are forgotten. Raises SettingsError.

        A file that is not there yet is as good as an empty one.
        """
        self._config = load(self._file(), environment=self._environment).config
        self._changes = {}
        return self._config

    def _file(self) -> Path | None:
        return self.path if self.path.exists() else None

    def update_config(self, changes: dict[str, Any]) -> StateConfig:
        """Take changes over, all or none, and give the new settings. Tables as dicts: {"audio": {"at_once": 2}}.

        Raises SettingsError, one line for each thing wrong; nothing is changed then. The file waits for `save_config`.
        """
        wanted = _merged(self._changes, changes)
        self._config = load(self._file(), environment=self._environment, changes=wanted).config
        self._changes = wanted
        return self._config

    def save_config(self) -> None:
        """Write the changes into the file, whole or not at all; a TOML file keeps its comments and its order.

        Only what was changed is written: what comes from defaults and the environment is not made permanent. Raises
        SettingsError when the file cannot be read or written.
        """
        try:
            self._write(self._text())
        except OSError as error:
            raise SettingsError(f"{self.path}: cannot be written: {error.strerror}") from None
        except (TOMLKitError, ValueError) as error:
            raise SettingsError(f"{self.path}: {error}") from None
        self._changes = {}

    def _text(self) -> str:
        there = self.path.read_text() if self.path.exists() else ""
        if self.path.suffix == ".json":
            return json.dumps(_merged(json.loads(there or "{}"), self._changes), indent=2, default=os.fspath) + "\n"
        document = tomlkit.parse(there)
        for key, value in self._changes.items():
            if isinstance(value, dict):
                document.setdefault(key, tomlkit.table()).update(_plain(value))
            else:
                document[key] = _plain(value)
        return tomlkit.dumps(document)

    def _write(self, text: str) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        mode = self.path.stat().st_mode & 0o777 if self.path.exists() else 0o644
        target = self.path.resolve()  # a link to the file stays one
        descriptor, temp = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
                file.flush()
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
            os.replace(temp, target)
        except BaseException:
            os.unlink(temp)
            raise


def _plain(value: Any) -> Any:
    """Give a value as TOML writes it."""
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Give both together, the other winning; tables key by key."""
    merged = dict(one)
    for key, value in other.items():
        before = merged.get(key)
        merged[key] = {**before, **value} if isinstance(before, dict) and isinstance(value, dict) else value
    return merged
