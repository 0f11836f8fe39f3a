"""What each command does: settings and arguments in, an answer on standard output and an exit code out.

`commands.status` is loaded when it is first asked for: most commands are questions, and `watcher status` has not to wait
for what only `watcher run` needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from watcher.commands import (
        care,
        checking,
        common,
        completing,
        doctoring,
        following,
        installing,
        listing,
        live,
        operations,
        pausing,
        reloading,
        running,
        settings,
        simulating,
        status,
        wellbeing,
        why,
        wishes,
    )

__all__ = [
    "care",
    "checking",
    "common",
    "completing",
    "doctoring",
    "following",
    "installing",
    "listing",
    "live",
    "operations",
    "pausing",
    "reloading",
    "running",
    "settings",
    "simulating",
    "status",
    "wellbeing",
    "why",
    "wishes",
]


def __getattr__(name: str) -> Any:
    """Load a module of commands."""
    if name not in __all__:
        raise AttributeError(f"module 'watcher.commands' has no attribute {name!r}")
    return import_module(f"watcher.commands.{name}")
