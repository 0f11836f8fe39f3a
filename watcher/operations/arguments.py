"""The options of a script that can be resumed, for argparse: they are the same in every script."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from watcher.operations import finding
from watcher.rules.names import readable

if TYPE_CHECKING:
    import argparse

    from watcher.operations.state import StrPath

OPTIONS = frozenset({"resume", "list_resumable", "cleanup_old_states"})
"""What `add_state_management_args` adds to the namespace: how to start, and not what to do."""


def add_state_management_args(parser: argparse.ArgumentParser) -> None:
    """Add `--resume`, `--list-resumable` and `--cleanup-old-states DAYS`."""
    group = parser.add_argument_group("interrupted work")
    group.add_argument("--resume", action="store_true", help="go on where the work was interrupted")
    group.add_argument("--list-resumable", action="store_true", help="list interrupted work, and do nothing else")
    group.add_argument(
        "--cleanup-old-states",
        type=_days,
        metavar="DAYS",
        help="remove the records of work completed more than DAYS ago (0: of all), and do nothing else",
    )


def handle_state_cli(args: argparse.Namespace, path: StrPath) -> bool:
    """Do what `--list-resumable` or `--cleanup-old-states` ask for; True when that was all there is to do.

    `path` is the folder of the films, or one of them.
    """
    if args.list_resumable:
        list_resumable_cli(path)
        return True
    if args.cleanup_old_states is not None:
        removed = finding.cleanup_completed_states(_folder(path), args.cleanup_old_states)
        sys.stdout.write(f"removed {removed} {'record' if removed == 1 else 'records'} of completed work\n")
        return True
    return False


def list_resumable_cli(path: StrPath) -> None:
    """Print the interrupted work of a folder, for people."""
    found = finding.find_resumable_operations(_folder(path))
    if not found:
        sys.stdout.write(f"no interrupted work in {readable(os.fsencode(_folder(path)))}\n")
    for one in found:
        state_file = readable(os.fsencode(one["state_file"]))
        if one["broken"]:
            sys.stdout.write(f"broken: {state_file}: {one['broken']}\n")
            continue
        hours = (time.time() - one["start_time"]) / 3600
        sys.stdout.write(
            f"{one['operation_type']}: {readable(os.fsencode(one['input_file']))}\n"
            f"    {one['progress_percent']:.1f} %, at {one['current_step']}, begun {hours:.1f} h ago"
            + (f", {one['held_by']} works on it" if one["held_by"] else "")
            + (f"\n    stopped by {one['error_message']}" if one["error_message"] else "")
            + f"\n    {state_file}\n"
        )


def _days(text: str) -> float:
    days = float(text)
    if not days >= 0:
        raise ValueError(text)
    return days


def _folder(path: StrPath) -> StrPath:
    return path if os.path.isdir(path) else os.path.dirname(path) or os.curdir
