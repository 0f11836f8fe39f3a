"""`watcher operations`: the resumable work in a folder, of this program's or of anybody's scripts."""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from rich.text import Text

from watcher import views
from watcher.commands import common
from watcher.errors import OperationError
from watcher.operations import TranscodeOperation, document, finding, operation, places
from watcher.rules import names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from watcher.operations.document import TranscodeState
    from watcher.operations.finding import Found

    StrPath = str | os.PathLike[str]


def listing(folder: StrPath, *, kind: str | None, recursive: bool, as_json: bool) -> int:
    """List what can be resumed, and what is broken. Exit code 0, also for an empty list."""
    found = [
        one
        for one in _in(folder, recursive=recursive)
        if one.is_resumable and (one.state is None or kind in (None, one.state.operation.operation_type))
    ]
    if as_json:
        for one in found:
            views.json_line(_as_json(one))
    elif not sys.stdout.isatty():
        for one in found:
            sys.stdout.write("\t".join(_cells(one)) + "\n")
    elif found:
        _on_terminal(found)
    else:
        views.out().print(Text.assemble("no interrupted work in ", views.path_text(os.fsencode(folder))))
    return common.EXIT_OK


def show(path: StrPath, *, as_json: bool) -> int:
    """Show all that is known of a state file, or of those of a film. Exit code 0."""
    for one in _named(path):
        if as_json:
            views.json_line({**_as_json(one), "state": one.state and document.to_dict(one.state)})
        else:
            _show(one)
    return common.EXIT_OK


def resume(path: StrPath, *, sure: bool) -> int:
    """Run the program that was interrupted again, in its folder; on success this does not return.

    Asks first, unless `sure`. Raises OperationError when the operation cannot be resumed, or must not be from here.
    """
    unfinished = [one for one in _named(path) if one.is_resumable]
    if len(unfinished) != 1:
        many = "\n".join(names.readable(one.path) for one in unfinished)
        raise OperationError(
            f"{_name(path)} has several interrupted operations; name one:\n{many}"
            if unfinished
            else f"{_name(path)} has no interrupted operation"
        )
    argv, cwd = _command(unfinished[0])
    line = f"cd {names.readable(os.fsencode(shlex.quote(cwd)))} && {names.readable(os.fsencode(shlex.join(argv)))}"
    if sure or _confirmed(line):
        _become(argv, cwd)
    return common.EXIT_NO


def cleanup(folder: StrPath, *, days: float, recursive: bool) -> int:
    """Remove the records of completed operations. Exit code 0."""
    _require_folder(folder)
    removed = finding.cleanup_completed_states(folder, days, recursive)
    sys.stdout.write(f"removed {removed} {'record' if removed == 1 else 'records'} of completed work\n")
    return common.EXIT_OK


def _in(folder: StrPath, *, recursive: bool) -> Iterator[Found]:
    _require_folder(folder)
    yield from finding.find(folder, recursive=recursive)


def _require_folder(folder: StrPath) -> None:
    if not os.path.isdir(folder):
        raise OperationError(f"{_name(folder)} is no folder")


def _named(path: StrPath) -> list[Found]:
    """Give the state file that was named, or those of the film that was. Raises OperationError when there is none."""
    raw = os.path.abspath(os.fsencode(path))
    if raw.endswith(places.SUFFIX):
        found = finding.look(raw)
        if found is None:
            raise OperationError(f"{_name(path)} is not there")
        return [found]
    folder = raw if os.path.isdir(raw) else os.path.dirname(raw)
    _require_folder(os.fsdecode(folder))
    states = [
        one
        for one in finding.find(os.fsdecode(folder))
        if one.state is not None and one.state.operation.input_path == raw
    ]
    if not states:
        raise OperationError(f"{_name(path)} has no stored operation; those of other state folders are named by file")
    return states


def _command(one: Found) -> tuple[list[str], str]:
    """Give the command line that goes on with it. Raises OperationError, saying why there is none to be run from here."""
    path = names.readable(one.path)
    if one.state is None:
        raise OperationError(f"{path} is broken and cannot be resumed: {one.broken}")
    if one.held_by is not None:
        raise OperationError(f"{path}: {one.held_by} works on it already")
    if names.attempt_of(os.path.basename(one.path)) is not None:
        raise OperationError(
            f"{path} is the service's own: it goes on by itself when the service runs (watcher status)"
        )
    known = one.state.command or {}
    argv, cwd = known.get("argv"), known.get("cwd")
    if not (isinstance(argv, list) and argv and all(isinstance(word, str) for word in argv) and isinstance(cwd, str)):
        raise OperationError(f"{path} does not say which program was at work; start that again by hand")
    if os.stat(one.path).st_uid not in (0, os.geteuid()):
        raise OperationError(f"{path} belongs to another user, whose commands are not run; start it again by hand")
    if not os.path.isdir(cwd):
        raise OperationError(f"{path}: {_name(cwd)}, where it was started, is not there any more")
    return argv, cwd


def _become(argv: list[str], cwd: str) -> NoReturn:
    """Let the program take this one's place, terminal and signals included."""
    os.chdir(cwd)
    sys.stdout.flush()
    try:
        os.execvp(argv[0], argv)  # noqa: S606  # shown, and agreed to
    except OSError as error:
        raise OperationError(f"{_name(argv[0])} cannot be started: {error.strerror}") from error


def _confirmed(line: str) -> bool:
    if not sys.stdin.isatty():
        raise OperationError(f"would run: {line}\nno terminal to ask whether that is right; --yes says so")
    sys.stderr.write(f"{line}\nrun this? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _name(path: StrPath) -> str:
    return names.readable(os.fsencode(path))


def _as_json(one: Found) -> dict[str, Any]:
    given = finding.as_dict(one)
    input_file = given.pop("input_file")
    started = given.pop("start_time")
    return {
        **({} if input_file is None else views.path_keys(os.fsencode(input_file))),
        **given,
        **{key.replace("path", "state_file"): value for key, value in views.path_keys(one.path).items()},
        "started_at": views.iso(None if started is None else int(started * 1000)),
    }


def _cells(one: Found) -> tuple[str, ...]:
    """Give the cells of a row, the path first; a broken file stands for itself."""
    if one.state is None:
        return (names.readable(one.path), "", "", "", f"broken: {one.broken}")
    state = one.state
    return (
        names.readable(state.operation.input_path),
        state.operation.operation_type,
        f"{state.progress_percent:.1f}",
        _words(state.current_step),
        _remark(one),
    )


def _remark(one: Found) -> str:
    if one.state is None:
        return f"broken: {one.broken}"
    if one.held_by is not None:
        return f"{one.held_by} works on it"
    return f"stopped by {_words(one.state.error_message)}" if one.state.error_message else ""


def _words(text: str) -> str:
    return names.readable(os.fsencode(text))


def _on_terminal(found: list[Found]) -> None:
    made = views.table("done", "step", "type", "begun", "file")
    made.columns[0].justify = made.columns[3].justify = "right"
    made.columns[4].overflow = "fold"
    for one in found:
        if one.state is None:
            made.add_row("", "", Text("broken", style="red"), "", _file(one.path, one.broken))
            continue
        state = one.state
        begun = views.when(int(state.start_time * 1000), views.now_ms())
        done = f"{state.progress_percent:.0f} %"
        made.add_row(
            done,
            Text(_words(state.current_step)),
            Text(_words(state.operation.operation_type)),
            begun,
            _file(state.operation.input_path, _remark(one)),
        )
    views.out().print(made)


def _file(path: bytes, remark: str) -> Text:
    return Text.assemble(views.path_text(path), (f"\n{remark}", "dim") if remark else "")


def _show(one: Found) -> None:
    console = views.out()
    if one.state is None:
        console.print(Text.assemble(views.path_text(one.path, "bold"), "\n  ", ("broken: ", "red"), one.broken))
        return
    state = one.state
    console.print(views.path_text(state.operation.input_path, "bold"))
    views.block(console, _facts(one, state))


def _facts(one: Found, state: TranscodeState) -> Table:
    made = views.table("", "", header=False)
    made.columns[1].overflow = "fold"
    given = operation.to_document(state.operation)
    usual = operation.to_document(TranscodeOperation(state.operation.operation_type, state.operation.input_file))
    settings = {key: value for key, value in given.items() if value != usual[key]}
    settings |= settings.pop("extra_args", {})
    command = state.command or {}
    facts = {
        "operation": state.operation.operation_type,
        "stands": _stands(one, state),
        "stopped by": state.error_message if one.held_by is None else None,
        "done": ", ".join(state.steps_completed),
        "begun": views.local(int(state.start_time * 1000)),
        "saved": state.saved_at and views.local(int(state.saved_at * 1000)),
        "with": ", ".join(f"{key} {value}" for key, value in settings.items()),
        "result": state.best_result,
        "data": state.data,
        "program": command.get("argv") and shlex.join(map(str, command["argv"])),
        "in": command.get("cwd"),
        "file": os.fsdecode(one.path),
    }
    for name, value in facts.items():
        if value not in (None, "", {}):
            made.add_row(Text(name, style="dim"), Text(_words(str(value)), overflow="fold"))
    return made


def _stands(one: Found, state: TranscodeState) -> str:
    if state.completed:
        ended = "completed" if state.success else "failed"
        return ended + (f", {views.local(int(state.end_time * 1000))}" if state.end_time else "")
    at = f"{state.progress_percent:.1f} %, at {state.current_step}"
    return f"{at}, {one.held_by} works on it" if one.held_by is not None else f"interrupted: {at}"
