"""How options are spelled that several commands have."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from watcher import commands

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from watcher.config import Loaded

EXIT_CODES = (
    "Exit codes: 0 yes, or done; 1 no, or it could not be done (one line on standard error says why); 2 no verdict, or "
    "the command was spelled wrongly; 78 a setting is wrong; 130 interrupted."
)

SERVICES_CONFIG = Path("/etc/watcher/config.toml")
"""The settings of the service that `install-unit` has installed."""


def _or_the_services(named: Path | None) -> Path | None:
    return named or (SERVICES_CONFIG if SERVICES_CONFIG.exists() else None)


ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        envvar="WATCHER_CONFIG",
        callback=_or_the_services,
        help="Settings, as TOML or JSON. Without it /etc/watcher/config.toml, where that is there; else the defaults.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Answer with JSON, for programs.")]
Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="The files.", show_default=False)]
Debug = Annotated[bool, typer.Option("--debug", help="Log everything.")]
BatchSize = Annotated[
    int | None, typer.Option("--batch-size", metavar="N", min=1, help="Due files taken at a time.", show_default=False)
]


def overrides(debug: bool = False, batch_size: int | None = None) -> dict[str, Any]:
    """Give the settings that options of the command line stand for."""
    chosen = {"log_level": "debug" if debug else None, "batch_size": batch_size}
    return {key: value for key, value in chosen.items() if value is not None}


def load(named: Path | None, *, folders: Sequence[Path] = (), overrides: dict[str, Any] | None = None) -> Loaded:
    """Give the settings in force. Raises SettingsError.

    What reads them is loaded only now: to complete a word, or to explain itself, a command needs no settings.
    """
    loaded: Loaded = import_module("watcher.config").load(named, folders=folders, overrides=overrides)
    return loaded


def leave(answer: int | Coroutine[Any, Any, int]) -> None:
    """End the command with an exit code, or with that of some work, which Ctrl-C and SIGTERM cancel."""
    raise typer.Exit(answer if isinstance(answer, int) else commands.completing.complete(answer))
