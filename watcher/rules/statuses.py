"""The two statuses of a file and the words for what is wrong with it.

A file has one integrity status (is it whole?) and one processed status (what have we done with it?). Both are stored
as their lower-case values; the names are public.
"""

from __future__ import annotations

from enum import StrEnum


class IntegrityStatus(StrEnum):
    """Whether the content of a file is whole.

    >>> IntegrityStatus("complete").name, [status.name for status in IntegrityStatus][:3]
    ('COMPLETE', ['UNKNOWN', 'PENDING', 'COMPLETE'])
    """

    UNKNOWN = "unknown"
    """Not checked."""
    PENDING = "pending"
    """A check is scheduled or running."""
    COMPLETE = "complete"
    """Whole, perhaps with notes."""
    INCOMPLETE = "incomplete"
    """The content is not whole: cut, pre-allocated, damaged."""
    ERROR = "error"
    """No verdict: the tool is missing, a time limit, an I/O error. Says nothing about the file."""
    QUARANTINED = "quarantined"
    """Given up; a person or a changed file brings it back."""


class ProcessedStatus(StrEnum):
    """What has been done about a file's English stereo track.

    >>> ProcessedStatus.SKIPPED_HAS_EN2.value
    'skipped_has_en2'
    """

    NEW = "new"
    SKIPPED_HAS_EN2 = "skipped_has_en2"
    CONVERTED = "converted"
    CONVERT_FAILED = "convert_failed"
    GROUP_PENDING_PAIR = "group_pending_pair"
    GROUP_PROCESSED = "group_processed"
    IGNORED = "ignored"
    DUPLICATE = "duplicate"


Status = IntegrityStatus | ProcessedStatus


class Reason(StrEnum):
    """Why a verdict is what it is. The first group speaks of the content, the second of the machine."""

    TRUNCATED = "truncated"
    HOLE = "hole"
    ZEROS = "zeros"
    DAMAGED = "damaged"
    NO_STREAMS = "no_streams"
    NOT_MEDIA = "not_media"
    UNDECODABLE = "undecodable"
    EMPTY = "empty"

    CHANGED_WHILE_CHECKING = "changed_while_checking"
    TOOL_MISSING = "tool_missing"
    TIMEOUT = "timeout"
    STALLED = "stalled"
    KILLED = "killed"
    OUT_OF_MEMORY = "out_of_memory"
    IO_ERROR = "io_error"
    PERMISSION = "permission"
    ROOT_SUSPENDED = "root_suspended"


class Mode(StrEnum):
    """How deep a check looks. Ordered: a deeper verdict answers for a shallower question."""

    QUICK = "quick"
    """What proves the end, and samples: the cost does not grow with the film's length."""
    AUDIO = "audio"
    """All of the sound and the key frames: a tenth of the cost of everything."""
    FULL = "full"
    """Everything."""

    def at_least(self, other: Mode) -> bool:
        """Tell whether a verdict of this mode answers a question of the other."""
        depths = list(Mode)
        return depths.index(self) >= depths.index(other)
