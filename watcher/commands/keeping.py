"""What keeps a watcher well: `health`, `metrics`, `next`, `backup`, `maintenance`, `reset`, `migrate`."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations when it runs
from typing import Annotated

import typer

from watcher import commands
from watcher.commands.words import EXIT_CODES, ConfigFile, Debug, Json, leave, load, overrides

app = typer.Typer()


@app.command(epilog=EXIT_CODES)
def health(as_json: Json = False, config: ConfigFile = None) -> None:
    """Say what is wrong with the whole, and what to do about it.

    Exit code 0: healthy. 1: degraded, something waits for a person. 2: unhealthy, work stands still or what is known
    may be lost.

    Example: watcher health || mail -s "watcher" me@example.org
    """
    leave(commands.wellbeing.health(load(config), as_json=as_json))


@app.command(epilog=EXIT_CODES)
def metrics(
    since: Annotated[float, typer.Option(metavar="HOURS", min=0, max=168, help="Of the last hours.")] = 24.0,
    openmetrics: Annotated[
        bool, typer.Option("--openmetrics", help="As text for Prometheus, counted since the service began.")
    ] = False,
    as_json: Json = False,
    config: ConfigFile = None,
) -> None:
    """Show what was counted and how long things took. The service writes it down every minute.

    Example: watcher metrics --openmetrics > /var/lib/prometheus/node-exporter/watcher.prom
    """
    leave(commands.wellbeing.metrics(load(config), since_hours=since, as_json=as_json, openmetrics=openmetrics))


@app.command("next", epilog=EXIT_CODES)
def next_(
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="So many at most.")] = 20,
    as_json: Json = False,
    config: ConfigFile = None,
) -> None:
    """Show what happens when, in order: the files that are looked at next, and what each waits for.

    Example: watcher next --limit 5
    """
    leave(commands.wellbeing.upcoming(load(config), limit=limit, as_json=as_json))


@app.command(epilog=EXIT_CODES)
def backup(config: ConfigFile = None) -> None:
    """Copy the database now, also beside a running service; prints the copy's path.

    To restore one: stop the service, put the copy in the database's place, start it.

    Example: watcher backup
    """
    leave(commands.care.backup(load(config)))


@app.command(epilog=EXIT_CODES)
def maintenance(as_json: Json = False, debug: Debug = False, config: ConfigFile = None) -> None:
    """Delete from the database what is out of date. A running service does so by itself, every day.

    Never an entry whose file exists, and never one in work.

    Example: watcher maintenance
    """
    leave(commands.care.maintenance(load(config, overrides=overrides(debug)), as_json=as_json))


@app.command(epilog=EXIT_CODES)
def reset(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    debug: Debug = False,
    config: ConfigFile = None,
) -> None:
    """Forget everything, after a backup and a question. Films are not touched.

    Example: watcher reset
    """
    leave(commands.care.reset(load(config, overrides=overrides(debug)), yes=yes))


@app.command(epilog=EXIT_CODES)
def migrate(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder.", show_default=False)],
    as_json: Json = False,
    debug: Debug = False,
    config: ConfigFile = None,
) -> None:
    """Take over what .audio_converter_state.json files in a folder and below it say. The files stay.

    Exit code 1: something in them could not be made out.

    Example: watcher migrate /srv/films
    """
    leave(commands.care.migrate(load(config, overrides=overrides(debug)), folder, as_json=as_json))
