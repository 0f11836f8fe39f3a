"""The command line: words to calls. What the commands do is in `commands/`; here is how they are spelled and explained."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

import watcher
from watcher import commands
from watcher.commands import keeping, serving
from watcher.commands.words import EXIT_CODES, BatchSize, ConfigFile, Debug, Files, Json, leave, load, overrides
from watcher.errors import SettingsError, ToolError, UsageError, WatcherError
from watcher.rules.statuses import IntegrityStatus, Mode, ProcessedStatus

app = typer.Typer(
    name="watcher",
    help="Watches folders for films, proves with FFmpeg that each is whole, and gives it an English stereo track.\n\n"
    "Start with: watcher run FOLDER",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"watcher {watcher.__version__}")
        raise typer.Exit


app.add_typer(keeping.app)
app.add_typer(serving.app)


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    pass


@app.command(epilog=EXIT_CODES)
def run(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FOLDER]...", help="Watched beside those of the settings.", show_default=False),
    ] = None,
    debug: Debug = False,
    batch_size: BatchSize = None,
    config: ConfigFile = None,
) -> None:
    """Watch folders, check films and add stereo tracks, until stopped by Ctrl-C or SIGTERM.

    Says at the start which database and which folders it uses; logs to standard error.

    Example: watcher run ~/Films
    """
    leave(commands.running.run(load(config, folders=folders or (), overrides=overrides(debug, batch_size))))


@app.command(epilog=EXIT_CODES)
def scan(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder.", show_default=False)],
    process: Annotated[bool, typer.Option("--process", help="Also check and convert what was found.")] = False,
    debug: Debug = False,
    batch_size: BatchSize = None,
    config: ConfigFile = None,
) -> None:
    """Take in an existing library once, without watching it.

    Needs the database for itself: a running service finds files by its own scans.

    Example: watcher scan --process /srv/films
    """
    leave(commands.running.scan(load(config, overrides=overrides(debug, batch_size)), folder, process=process))


@app.command("status", epilog=EXIT_CODES)
def status_(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Draw it anew each second, until interrupted.")] = False,
    as_json: Json = False,
    config: ConfigFile = None,
) -> None:
    """Show how many files stand where, what runs, what is due next, and how the folders are.

    Example: watcher status --json | jq .by_processed_status
    """
    if watch:
        leave(commands.live.watch(load(config), as_json=as_json))
    leave(commands.status.status(load(config), as_json=as_json))


@app.command("list", epilog=EXIT_CODES)
def list_(
    integrity: Annotated[
        str | None,
        typer.Option(metavar="STATUS", help="Only these: " + ", ".join(one.name for one in IntegrityStatus) + "."),
    ] = None,
    processed: Annotated[
        str | None,
        typer.Option(metavar="STATUS", help="Only these: " + ", ".join(one.name for one in ProcessedStatus) + "."),
    ] = None,
    root: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Only those of this watched folder.")] = None,
    as_json: Json = False,
    config: ConfigFile = None,
) -> None:
    """List files: on a terminal as a table, through a pipe with tabs, or one JSON object a line.

    The columns of the pipe: path, integrity, processed, bytes, reason, next look (UTC).

    Example: watcher list --integrity incomplete
    """
    leave(commands.listing.listing(load(config), integrity=integrity, processed=processed, root=root, as_json=as_json))


@app.command("why", epilog=EXIT_CODES)
def why_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file.", show_default=False)],
    as_json: Json = False,
    config: ConfigFile = None,
) -> None:
    """Tell the whole story of one file: every move with time and reason, what it waits for and until when.

    Of a file that is not known it says why. Exit code 1 then.

    Example: watcher why "Some Film.mkv"
    """
    leave(commands.why.why(load(config), file, as_json=as_json))


@app.command(epilog=EXIT_CODES)
def check(
    files: Files,
    full: Annotated[
        bool, typer.Option("--full", help="Decode everything. Without it, only what proves the end, and samples.")
    ] = False,
    audio: Annotated[
        bool, typer.Option("--audio", help="Decode all of the sound and the key frames: a tenth of the cost of --full.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Look at the file even if the service has, and it has not changed since.")
    ] = False,
    as_json: Json = False,
    config: ConfigFile = None,
) -> None:
    """Say whether films are whole: a verdict now. What is already known of unchanged files is the answer.

    Exit code 0: all are whole. 1: one is not. 2: one could not be judged (this counts more than 1).

    Example: watcher check --full *.mkv
    """
    mode = Mode.FULL if full else Mode.AUDIO if audio else Mode.QUICK
    work = commands.checking.check(load(config), files, mode=mode, force=force, as_json=as_json)
    try:
        leave(work)
    except ToolError as error:
        _fail(error, commands.common.EXIT_NO_VERDICT)


@app.command(epilog=EXIT_CODES)
def retry(files: Files, config: ConfigFile = None) -> None:
    """Try again what failed, without waiting longer: a conversion, a check, a file in quarantine.

    The wish is stored; the service takes it up, or the next one does.

    Example: watcher retry "Some Film.mkv"
    """
    leave(commands.wishes.wish(load(config), "retry", files))


@app.command(epilog=EXIT_CODES)
def release(files: Files, config: ConfigFile = None) -> None:
    """Forget the verdict of a file and begin anew; or take a suspended folder as it is now.

    The wish is stored; the service takes it up, or the next one does.

    Example: watcher release /srv/films
    """
    leave(commands.wishes.wish(load(config), "release", files))


@app.command("config", epilog=EXIT_CODES)
def config_(as_json: Json = False, config: ConfigFile = None) -> None:
    """Show the settings in force and where each came from.

    Later wins: defaults, the file, the environment (WATCHER_STABLE_WAIT_SEC=30, WATCHER_AUDIO__AT_ONCE=2), the command
    line.

    Example: watcher config --config /etc/watcher/config.toml
    """
    leave(commands.settings.show(load(config), as_json=as_json))


work = typer.Typer(no_args_is_help=True, help="Interrupted work of any script that keeps its state with this library.")
app.add_typer(work, name="operations", epilog=EXIT_CODES)

Folder = Annotated[Path, typer.Argument(metavar="[FOLDER]", help="The folder of the films, or one of states.")]
Below = Annotated[bool, typer.Option("--recursive", "-r", help="The folders below, too.")]
StateOrFilm = Annotated[Path, typer.Argument(metavar="FILE", help="The state file, or the film.", show_default=False)]


@work.command("list", epilog=EXIT_CODES)
def operations_list(
    folder: Folder = Path(),
    recursive: Below = False,
    kind: Annotated[str | None, typer.Option("--type", metavar="TYPE", help="Only operations of this type.")] = None,
    as_json: Json = False,
) -> None:
    """List what was interrupted and can be resumed, and state files that are broken.

    The columns of a pipe: path, type, percent, step, remark.

    Example: watcher operations list -r /srv/films
    """
    leave(commands.operations.listing(folder, kind=kind, recursive=recursive, as_json=as_json))


@work.command("show", epilog=EXIT_CODES)
def operations_show(file: StateOrFilm, as_json: Json = False) -> None:
    """Show all that is known of an operation: where it stands, what is done, what stopped it, which program it was.

    Example: watcher operations show "Some Film.mkv"
    """
    leave(commands.operations.show(file, as_json=as_json))


@work.command("resume", epilog=EXIT_CODES)
def operations_resume(
    file: StateOrFilm,
    sure: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before running it.")] = False,
) -> None:
    """Run the program that was interrupted again, as it was called, after showing its command line.

    State files of other users are refused: they would run their commands as you.

    Example: watcher operations resume "Some Film.mkv"
    """
    leave(commands.operations.resume(file, sure=sure))


@work.command("cleanup", epilog=EXIT_CODES)
def operations_cleanup(
    folder: Folder = Path(),
    days: Annotated[
        float, typer.Option(min=0, metavar="DAYS", help="Only of work completed longer ago; 0: of all.")
    ] = 30,
    recursive: Below = False,
) -> None:
    """Remove the records of completed work. What was interrupted stays.

    Example: watcher operations cleanup --days 7 -r /srv/films
    """
    leave(commands.operations.cleanup(folder, days=days, recursive=recursive))


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and end the process with its exit code; an error of ours is one line, not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # both are text streams
    try:
        app(args=arguments, prog_name="watcher")
    except SettingsError as error:
        _fail(error, commands.common.EXIT_BAD_SETTINGS)
    except UsageError as error:
        _fail(error, commands.common.EXIT_USAGE)
    except WatcherError as error:
        _fail(error, commands.common.EXIT_NO)
    sys.exit(commands.common.EXIT_OK)


def _fail(error: WatcherError, code: int) -> NoReturn:
    for line in str(error).splitlines():
        sys.stderr.write(f"watcher: {line}\n")
    sys.exit(code)
