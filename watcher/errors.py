"""Every exception of the package, as one tree. Each is a sentence: what happened, to what, and what to do.

Sorted by consequence: a `SettingsError` or `StoreError` stops the start; a `FileError` stops that file;
a `ToolError` stops the work that needs the tool; an `OperationError` stops that operation.
"""

from __future__ import annotations


class WatcherError(Exception):
    """The base of all errors that are for a person to read: what happened, to which file, what to do.

    >>> from watcher import create_state_manager
    >>> try:
    ...     create_state_manager(config="/no/such/settings.toml")
    ... except WatcherError as error:
    ...     print(error)
    /no/such/settings.toml: cannot be read: No such file or directory
    """


class SettingsError(WatcherError):
    """A setting is wrong; the message names the key, the file and the value. Ends the program with exit code 78."""


class StoreError(WatcherError):
    """The database cannot be used."""


class NotOurDatabase(StoreError):
    """The file is no SQLite database, or another program's."""


class DamagedDatabase(StoreError):
    """The database's content is broken; the next start for writing sets it aside and restores the newest backup."""


class NotAllowed(StoreError):
    """Whoever asks may not use the database."""


class NewerDatabase(StoreError):
    """The database was written by a newer version of the program."""


class StoreInUse(StoreError):
    """Another process is the writer of this database."""


class IllegalMove(WatcherError):
    """A move that the table does not have: raised, and nothing is changed.

    >>> from watcher import AudioStateMachine, ProcessedStatus
    >>> try:
    ...     AudioStateMachine().after(ProcessedStatus.CONVERTED, "has_stereo", "Heat.mkv")
    ... except IllegalMove as error:
    ...     print(error)
    Heat.mkv: CONVERTED cannot take the move 'has_stereo'; legal from here: ...
    """


class LostRace(StoreError):
    """The row was no longer what the decision was made on: nothing was written."""


class ToolError(WatcherError):
    """FFmpeg cannot do its work here."""


class ToolMissing(ToolError):
    """ffmpeg or ffprobe cannot be found or started."""


class ToolTooOld(ToolError):
    """FFmpeg is older than what the commands need."""


class UsageError(WatcherError):
    """A command was spelled wrongly."""


class RootError(WatcherError):
    """A watched folder cannot be watched."""


class FileError(WatcherError):
    """Something about one file."""


class ProbeFailed(FileError):
    """ffprobe could not describe the file."""


class NoAnswer(ProbeFailed):
    """ffprobe ended well and described nothing: the program is not ffprobe."""


class ConversionFailed(FileError):
    """The stereo track could not be made or proved; the film is untouched."""

    def __init__(self, reason: str, detail: str = "", said: tuple[str, ...] = ()) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        """A short word for the journal: no_space, proof_failed, ffmpeg_failed, ..."""
        self.detail = detail
        self.said = said
        """The last lines of FFmpeg, where it was FFmpeg that failed."""


class SourceChanged(ConversionFailed):
    """The film changed, or somebody opened it for writing, while its track was made: nothing was replaced."""


class OperationError(WatcherError):
    """The state of a resumable operation cannot be used as it was asked for."""


class NotStorable(OperationError):
    """A value has no place in a state file; the message names where it stands. Nothing was written."""


class StateBroken(OperationError):
    """A state file cannot be understood: cut, not ours, or of a newer version."""


class StateNotSaved(OperationError):
    """The state could not be written; the one saved before it stands."""


class OperationHeld(OperationError):
    """Another process works on this operation; the message names it."""
