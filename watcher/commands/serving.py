"""How the commands are spelled that a person needs who runs it as a service."""

from pathlib import Path
from typing import Annotated

import typer

from watcher import commands
from watcher.commands.words import EXIT_CODES, ConfigFile, Json, leave, load

app = typer.Typer()


@app.command(epilog=EXIT_CODES)
def reload(config: ConfigFile = None) -> None:
    """Have the running service read its settings anew, and wait for its verdict.

    A file that is wrong is refused with its reason, and the service goes on with the settings it had (exit code 78).
    Folders, the database and FFmpeg are settings of the start: those that changed are named, for `systemctl restart`.

    Example: watcher reload --config /etc/watcher/config.toml
    """
    leave(commands.reloading.reload(load(config)))


@app.command(epilog=EXIT_CODES)
def pause(
    length: Annotated[
        str | None,
        typer.Option(
            "--for", metavar="TIME", help="30m, 2h, 1h30m, 3d; without it until `watcher resume`.", show_default=False
        ),
    ] = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Shown wherever the pause is.", show_default=False)] = "",
    config: ConfigFile = None,
) -> None:
    """Let the machine be: FFmpeg stands still where it is, and nothing is begun. Files are noticed all the same.

    The wish is stored: it outlives a restart, and can be made while no service runs. What stood still goes on where it
    was. Said again, it lasts as long as said last.

    Example: watcher pause --for 2h --reason "film night"
    """
    leave(commands.pausing.pause(load(config), length, reason))


@app.command(epilog=EXIT_CODES)
def resume(config: ConfigFile = None) -> None:
    """End a pause: what stood still goes on where it was.

    Example: watcher resume
    """
    leave(commands.pausing.resume(load(config)))


@app.command(epilog=EXIT_CODES)
def doctor(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FOLDER]...", help="Tried beside those of the settings.", show_default=False),
    ] = None,
    as_json: Json = False,
    config: ConfigFile = None,
) -> None:
    """Find out what would go wrong: settings, folders, inotify, FFmpeg, database, service, clock. Each is tried.

    Of each it says whether it is well, and what to do if not. As root it tries the folders as the service's user. Exit
    code 0: all is well. 1: a warning. 2: a problem.

    Example: watcher doctor ~/Films
    """
    leave(commands.doctoring.examine(config, folders or (), as_json=as_json))


@app.command(epilog=EXIT_CODES)
def tail(
    lines: Annotated[int, typer.Option("--lines", "-n", metavar="N", min=0, help="So many of the past first.")] = 10,
    follow: Annotated[bool, typer.Option(help="Go on with what happens, until interrupted.")] = True,
    as_json: Json = False,
    config: ConfigFile = None,
) -> None:
    """Show what happens to films as it happens, a line for each move.

    Example: watcher tail -n 50
    """
    leave(commands.following.tail(load(config), lines, follow=follow, as_json=as_json))


@app.command(epilog=EXIT_CODES)
def report(
    since: Annotated[str, typer.Option(metavar="TIME", help="Of the last hours, days or weeks: 12h, 7d, 4w.")] = "7d",
    as_csv: Annotated[bool, typer.Option("--csv", help="As a table for a spreadsheet.")] = False,
    as_json: Json = False,
    config: ConfigFile = None,
) -> None:
    """Show what came of each film lately: converted, skipped, failed, with sizes and times.

    Example: watcher report --since 4w --csv > films.csv
    """
    leave(commands.following.report(load(config), since, as_json=as_json, as_csv=as_csv))


@app.command(epilog=EXIT_CODES)
def simulate(
    places: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE|FOLDER]...", help="Without any, all watched folders.", show_default=False),
    ] = None,
    as_json: Json = False,
    config: ConfigFile = None,
) -> None:
    """Show what would be done to each film and why. Nothing is touched; each is checked quickly.

    Example: watcher simulate /srv/films
    """
    leave(commands.simulating.simulate(load(config), places or (), as_json=as_json))


@app.command("install-unit", epilog=EXIT_CODES)
def install_unit(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FOLDER]...", help="What to watch; named in new settings.", show_default=False),
    ] = None,
    group: Annotated[str, typer.Option(metavar="GROUP", help="The group that may write in those folders.")] = "media",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be written and run.")] = False,
    uninstall: Annotated[bool, typer.Option("--uninstall", help="Stop the service and take its files away.")] = False,
) -> None:
    """Make it a service of systemd: writes its unit and what belongs to it, and tells systemd.

    The settings are in /etc/watcher/config.toml. Say it again when the folders in them change: the service may write
    nowhere else.

    Example: watcher install-unit --group media /srv/films
    """
    if uninstall:
        leave(commands.installing.uninstall(dry_run=dry_run))
    leave(commands.installing.install(folders or (), group=group, dry_run=dry_run))
