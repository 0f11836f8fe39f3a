"""A function over files as a resumable operation: `@with_state_management`.

One file is one operation. Several are a "batch", for which the function is called once a file, each an operation of its
own inside; a file that is finished is recorded in the batch, and not done again by the next run. The batch is known by
its folder and settings, and not by the list of its files: one more film in the folder is no reason to begin anew.

A generator says what to call; whoever drives it does so plainly, or awaits it. So the rules stand here once.
"""

from __future__ import annotations

import functools
import inspect
import logging
import os
from collections import OrderedDict
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from watcher.errors import NotStorable, OperationError
from watcher.operations import document
from watcher.operations.arguments import OPTIONS
from watcher.operations.integration import StateAwareOperation
from watcher.operations.network import Drive
from watcher.operations.operation import TranscodeOperation
from watcher.operations.state import StrPath, UniversalStateManager
from watcher.operations.values import plain
from watcher.rules.names import readable

if TYPE_CHECKING:
    from watcher.operations.pause import PauseManager

log = logging.getLogger("watcher.operations")

Function = TypeVar("Function", bound=Callable[..., Any])
Calls = Generator[inspect.BoundArguments, Any, Any]
"""Yields the arguments of each call, is sent its result, and returns the whole one."""

BATCH = "batch"
FILES = "files"
"""In a batch's data: {file: {"result": ..., "seen": its size and time when it was finished}}."""
_PATH = (str, bytes, os.PathLike)
_MANAGER = "state_manager"
_ENCODER = ("encoder", "encoder_type")
_ROLES = frozenset({"args", FILES, _MANAGER, "self", *_ENCODER})
_NOT_WHAT_TO_DO = OPTIONS | {"verbose", "quiet", "debug"}
"""Arguments of a program that change how it runs, and not what comes out."""
_FIELDS = {
    "output_file": ("output_file", "output"),
    "preset": ("preset",),
    "target_vmaf": ("target_vmaf", "vmaf_target"),
    "vmaf_tolerance": ("vmaf_tolerance", "vmaf_tol"),
    "target_qp": ("target_qp", "qp"),
    "quality_threshold": ("quality_threshold",),
    "preserve_hdr": ("preserve_hdr",),
    "dry_run": ("dry_run",),
}
"""The fields of an operation, and the names that programs have for them."""


def with_state_management(
    operation_type: str,
    resume_check: bool = True,
    *,
    state_dir: StrPath | None = None,
    pauses: PauseManager | None = None,
) -> Callable[[Function], Function]:
    """Make a function `f(args, encoder, encoder_type, files)` resumable; plain or async, it need not change.

    If it has a parameter `state_manager`, it is given the manager of the file it works on. `files` is one path or
    several. For one file the function's own result is returned; for several {file: result}, in their order. What is
    finished is not done again: its stored result is returned, as JSON holds it, as long as the file is the same and
    the output, if `args` names one, is there. A result that no state file can hold is returned, and not kept.
    With `resume_check` false everything begins anew, unless `args.resume` is set (`--resume`).
    Raises what the function raises, its state saved; OperationHeld; StateNotSaved.
    """

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function)
        if FILES not in signature.parameters:
            raise OperationError(f"{function.__qualname__} has no parameter `files`: which files is it about?")
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise OperationError(f"{function.__qualname__} is a generator: it has done nothing yet when it returns")
        job = _Job(function, signature, operation_type, resume_check, state_dir, pauses)

        @functools.wraps(function)
        def plainly(*args: Any, **kwargs: Any) -> Any:
            return _drive(job.calls(*args, **kwargs), function)

        @functools.wraps(function)
        async def awaiting(*args: Any, **kwargs: Any) -> Any:
            return await _drive_async(job.calls(*args, **kwargs), function)

        return awaiting if inspect.iscoroutinefunction(function) else plainly  # type: ignore[return-value]

    return decorate


def _drive(calls: Calls, function: Callable[..., Any]) -> Any:
    go_on: Callable[[], inspect.BoundArguments] = functools.partial(next, calls)
    while True:
        try:
            call = go_on()
        except StopIteration as end:
            return end.value
        try:
            go_on = functools.partial(calls.send, function(*call.args, **call.kwargs))
        except BaseException as error:  # noqa: BLE001  # the operation saves its state, and raises it again
            go_on = functools.partial(calls.throw, error)


async def _drive_async(calls: Calls, function: Callable[..., Any]) -> Any:
    go_on: Callable[[], inspect.BoundArguments] = functools.partial(next, calls)
    while True:
        try:
            call = go_on()
        except StopIteration as end:
            return end.value
        try:
            go_on = functools.partial(calls.send, await function(*call.args, **call.kwargs))
        except BaseException as error:  # noqa: BLE001  # as above; a cancelled task's too
            go_on = functools.partial(calls.throw, error)


@dataclass(frozen=True, slots=True)
class _Job:
    """A decorated function, and how it was decorated."""

    function: Callable[..., Any]
    signature: inspect.Signature
    operation_type: str
    resume: bool
    state_dir: StrPath | None
    pauses: PauseManager | None

    def calls(self, *args: Any, **kwargs: Any) -> Calls:
        if self._takes_manager and _MANAGER not in self.signature.bind_partial(*args, **kwargs).arguments:
            kwargs[_MANAGER] = None  # given later, and perhaps without a default
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments[FILES]
        files = _listed(given)
        if not isinstance(given, (*_PATH, list, tuple)):
            bound.arguments[FILES] = files  # what can be gone through only once has been
        if not files or bound.arguments.get(_MANAGER) is not None:  # nothing to remember, or somebody else does
            return (yield bound)
        if len(files) == 1:
            return (yield from self._one(bound, self._operation(bound, files[0]), bound.arguments[FILES]))
        return (yield from self._several(bound, files))

    def _one(self, bound: inspect.BoundArguments, operation: TranscodeOperation, files: Any) -> Calls:
        with self._open(bound, operation) as manager:
            if manager.state.completed:
                if operation.output_file is None or os.path.exists(operation.output_file):
                    return manager.state.best_result
                manager.begin_anew()
            result = yield self._call(bound, files, manager)
            if not manager.state.completed:
                _complete(manager, result)
            return result

    def _several(self, bound: inspect.BoundArguments, files: list[StrPath]) -> Calls:
        results: dict[StrPath, Any] = {}
        with self._open(bound, self._batch(bound, files)) as manager:
            if manager.state.completed:
                manager.reopen()
            for number, file in enumerate(files):
                manager.check_pause_point()
                path = os.path.abspath(os.fsdecode(file))
                done = manager.state.data.get(FILES, {})
                if path in done and not document.is_another(done[path]["seen"], _see(path)):
                    results[file] = done[path]["result"]
                    continue
                manager.update_step(path, 100 * number / len(files))
                operation = self._operation(bound, file)
                if self._takes_manager:
                    results[file] = yield from self._one(bound, operation, [file])
                else:
                    results[file] = yield self._call(bound, [file], None)
                entry = {"result": _kept(results[file], path), "seen": _see(path)}
                manager.update_step(path, 100 * (number + 1) / len(files), {FILES: {**done, path: entry}})
                UniversalStateManager(operation, state_dir=self.state_dir, pauses=self.pauses).cleanup_state()
        return results

    @property
    def _takes_manager(self) -> bool:
        return _MANAGER in self.signature.parameters

    def _open(self, bound: inspect.BoundArguments, operation: TranscodeOperation) -> StateAwareOperation:
        resume = self.resume or bool(_values(bound).get("resume"))
        return StateAwareOperation(operation, resume, state_dir=self.state_dir, pauses=self.pauses, keep_completed=True)

    def _call(
        self, bound: inspect.BoundArguments, files: Any, manager: UniversalStateManager | None
    ) -> inspect.BoundArguments:
        call = inspect.BoundArguments(self.signature, OrderedDict(bound.arguments))
        call.arguments[FILES] = files
        if self._takes_manager:
            call.arguments[_MANAGER] = manager
        return call

    def _batch(self, bound: inspect.BoundArguments, files: list[StrPath]) -> TranscodeOperation:
        folder = os.path.commonpath([os.path.dirname(os.path.abspath(os.fsdecode(file))) for file in files])
        fields, extra = _settings(bound, files)
        return TranscodeOperation(BATCH, folder, **fields, extra_args={**extra, "operation_type": self.operation_type})

    def _operation(self, bound: inspect.BoundArguments, file: StrPath) -> TranscodeOperation:
        fields, extra = _settings(bound, _listed(bound.arguments[FILES]))
        return TranscodeOperation(self.operation_type, file, **fields, extra_args=extra)


def _settings(bound: inspect.BoundArguments, files: list[StrPath]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give what decides about the result: the fields of an operation, and everything else the call was given."""
    values = _values(bound)
    fields = {
        field: _stable(values.pop(name))
        for field, names in _FIELDS.items()
        for name in names[:1] + tuple(name for name in names[1:] if names[0] not in values)
        if values.get(name) is not None
    }
    fields.update({name: _stable(bound.arguments.get(name)) for name in _ENCODER})
    rest = {**values, **{name: value for name, value in bound.arguments.items() if name not in _ROLES}}
    paths = {os.path.abspath(os.fsdecode(file)) for file in files}
    extra = {
        name: stable
        for name, value in rest.items()
        if not name.startswith("_")
        and name not in _NOT_WHAT_TO_DO
        and not _names_one(value, paths)  # which files, and not what is done to them
        and (stable := _stable(value)) is not None
    }
    return fields, extra


def _values(bound: inspect.BoundArguments) -> dict[str, Any]:
    args = bound.arguments.get("args")
    return dict(args) if isinstance(args, Mapping) else dict(getattr(args, "__dict__", {}))


def _stable(value: Any) -> Any:
    """Give a value so that it is the same in the next run; None for what cannot be compared then."""
    try:
        return plain(value, "an argument")
    except NotStorable:
        name = getattr(value, "__qualname__", None)
        return name and f"{getattr(value, '__module__', '')}.{name}"


def _names_one(value: Any, paths: set[str]) -> bool:
    if isinstance(value, _PATH):
        return os.path.abspath(os.fsdecode(value)) in paths
    return isinstance(value, list | tuple | set) and any(_names_one(item, paths) for item in value)


def _listed(files: Any) -> list[StrPath]:
    return [files] if isinstance(files, _PATH) else list(files)


def _see(path: str) -> dict[str, int] | None:
    raw = os.fsencode(path)
    return Drive(raw).retry(lambda: document.see(raw))


def _kept(result: Any, path: str) -> Any:
    try:
        return plain(result, "result")
    except NotStorable as error:
        log.warning("result not kept: %s: %s", readable(os.fsencode(path)), error)
        return None


def _complete(manager: UniversalStateManager, result: Any) -> None:
    try:
        manager.mark_completed(success=True, result=result)
    except NotStorable as error:
        log.warning("result not kept: %s: %s", readable(manager.operation.input_path), error)
        manager.auto_save = False  # without its result, a finished operation has nothing to answer with
        manager.mark_completed(success=True)
        manager.cleanup_state()
