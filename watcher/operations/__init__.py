"""Pause and resume for any long job: what a script needs, whoever wrote it.

- operation: what is to be done, and its identity; document: how far it is, and the JSON of that
- places, holds, record: where the file stands, who may write it, and how; values: what it can hold
- state: the manager of one operation; integration and decorator: a block, and a function, that use one
- pause: wishes to pause and to leave; signals, children: where they come from, and whom they stop
- network: drives that go away for a while
- finding: what can be resumed, and what can be cleared away; arguments: the same for argparse

A service with an event loop and signal handlers of its own uses the manager by hand: `PauseManager(signals=())` for all
its jobs, `state_file` beside the temporary file of each, `children.allow(process)` around a child that may be stopped,
and `asyncio.to_thread` around what saves.
"""

from watcher.operations.arguments import add_state_management_args, handle_state_cli, list_resumable_cli
from watcher.operations.decorator import with_state_management
from watcher.operations.finding import (
    cleanup_completed_states,
    find_resumable_operations,
    resume_operation_from_state,
)
from watcher.operations.integration import StateAwareOperation
from watcher.operations.network import Drive
from watcher.operations.operation import TranscodeOperation
from watcher.operations.pause import PauseManager, get_pause_manager
from watcher.operations.state import UniversalStateManager

__all__ = [
    "Drive",
    "PauseManager",
    "StateAwareOperation",
    "TranscodeOperation",
    "UniversalStateManager",
    "add_state_management_args",
    "cleanup_completed_states",
    "find_resumable_operations",
    "get_pause_manager",
    "handle_state_cli",
    "list_resumable_cli",
    "resume_operation_from_state",
    "with_state_management",
]
