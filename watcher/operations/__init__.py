"""Pause and resume for any long job: what a script needs, whoever wrote it.

operation      what is to be done, and its identity
document       the state and its JSON          values   what a state file can hold
places, holds  where the file stands, how it is written, and who may
state          the manager of one operation's state
pause          wishes to pause and to leave    signals, children   where they come from, whom they stop
network        drives that go away for a while
integration    `with StateAwareOperation`      decorator   `@with_state_management`
finding        what can be resumed, what can be cleared away        arguments   the same for argparse
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
