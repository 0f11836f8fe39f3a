"""What is to be done, as a value: the same job has the same identity, and any change of it is another job."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import Any

from watcher.errors import OperationError, StateBroken
from watcher.operations.values import plain, text

TYPE_BYTES = 64
"""An operation's type is part of a file name, which may have 255."""


@dataclass(frozen=True, slots=True)
class TranscodeOperation:
    """A job: which file, and with what. Two that are equal are one job, which the second resumes."""

    operation_type: str
    """What kind of job: "vbr", "qp", "auto", "batch", "custom", or a word of your own."""
    input_file: str | bytes | os.PathLike[str]
    """Kept as text; bytes that are no text as Python writes them in file names (surrogates)."""
    output_file: str | bytes | os.PathLike[str] | None = None
    encoder: str | None = None
    encoder_type: str | None = None
    preset: str | int | None = None
    target_vmaf: float | None = None
    vmaf_tolerance: float | None = None
    target_qp: float | None = None
    quality_threshold: float | None = None
    preserve_hdr: bool = True
    dry_run: bool = False
    extra_args: dict[str, Any] = field(default_factory=dict, hash=False)
    """Whatever else decides about the result. Kept as a state file holds it: paths as text, tuples as lists."""

    def __post_init__(self) -> None:
        """Bring the values into the form of a state file. Raises NotStorable, or OperationError for a bad type."""
        for one in dataclasses.fields(self):
            value = plain(getattr(self, one.name), one.name)
            object.__setattr__(self, one.name, _default(one) if value is None else value)
        name = text(self.operation_type, "operation_type")
        for path in ("input_file", "output_file"):
            _require_path(getattr(self, path), path)
        if not name or "/" in name or "\0" in name or len(os.fsencode(name)) > TYPE_BYTES:
            raise OperationError(
                f"{name!r} is no type of an operation: it becomes part of a file name, "
                f"so it needs 1 to {TYPE_BYTES} bytes without a slash"
            )
        if not isinstance(self.extra_args, dict):
            raise OperationError(f"extra_args is a {type(self.extra_args).__name__}, and must be a dict")

    @property
    def input_path(self) -> bytes:
        """The input file, absolute."""
        return os.path.abspath(os.fsencode(self.input_file))

    @property
    def operation_id(self) -> str:
        """The same for the same job, in every process; any changed field makes it another."""
        words = json.dumps(to_document(absolute(self)), sort_keys=True)
        return f"{self.operation_type}-{hashlib.sha256(words.encode()).hexdigest()[:16]}"


def _default(of: dataclasses.Field[Any]) -> Any:
    """Give what stands for None: an option that was not given, as a state file has it too."""
    if of.default_factory is not dataclasses.MISSING:
        return of.default_factory()
    return None if of.default is dataclasses.MISSING else of.default


def _require_path(value: object, where: str) -> None:
    if where == "output_file" and value is None:
        return
    path = text(value, where)
    if not path or "\0" in path:
        raise OperationError(f"{where} is {path!r}, which is no path")


def absolute(operation: TranscodeOperation) -> TranscodeOperation:
    """Give the operation with absolute paths: what is stored must not depend on the folder a program was started in."""
    output = operation.output_file
    return dataclasses.replace(
        operation,
        input_file=os.fsdecode(operation.input_path),
        output_file=None if output is None else os.path.abspath(output),
    )


def to_document(operation: TranscodeOperation) -> dict[str, Any]:
    """Give the operation as a JSON object."""
    return {one.name: getattr(operation, one.name) for one in dataclasses.fields(operation)}


def from_document(document: object) -> tuple[TranscodeOperation, dict[str, Any]]:
    """Read an operation back, with the fields that are not ours. Raises StateBroken.

    The older shape writes null for every option that was not given.
    """
    if not isinstance(document, dict):
        raise StateBroken("operation is no object")
    known = {one.name for one in dataclasses.fields(TranscodeOperation)}
    ours = {key: value for key, value in document.items() if key in known}
    for key in ("operation_type", "input_file"):
        if ours.get(key) is None:
            raise StateBroken(f"operation.{key} is missing")
    try:
        operation = TranscodeOperation(**ours)
    except OperationError as error:
        raise StateBroken(str(error)) from None
    return operation, {key: value for key, value in document.items() if key not in known}


def is_same_job(older: TranscodeOperation, operation: TranscodeOperation) -> bool:
    """Tell whether an operation of the older shape is this one.

    It has no identity to compare, and kept every argument of its program in `extra_args`: those do not count here.
    """
    mine, theirs = (dataclasses.replace(absolute(one), extra_args={}) for one in (operation, older))
    return dataclasses.replace(theirs, output_file=mine.output_file) == mine and theirs.output_file in {
        None,
        mine.output_file,
    }
