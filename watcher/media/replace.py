"""The safe replace: a proved result takes its name, and at every instant a whole film stands under the film's.

| step | who | what stands | if we die here, the next start |
|---|---|---|---|
| 1 `rehearse`: the disk will let us do all of this | here | the film | deletes the temporary file |
| 2 write and prove the result as `.watcher-<attempt>.tmp` beside it | stereo | the film | deletes it |
| 3 `prepare`: film unchanged, nobody writes it; attributes copied; result on disk | here | the film | deletes it |
| 4 the intent, with the result's signature, in the database | service | the film | `settle`: goes on with 5, or deletes it |
| 5 `place`: look again; where the original is kept, a second name for it | here | the film, twice | goes on with 6 |
| 6 `place`: the result gets its name by one rename or link | here | the film, then the result | the result is known by its signature |
| 7 the folder on disk | here | the result | the same |
| 8 where it goes by another name than the film's: the film is removed | here | both, then the result | goes on with 8 |
| 9 the move and the new signature in the database | service | the result | nothing to do |

Everything is blocking and is run in a thread. What is deleted are the attempt's own files and, in step 8, a film whose
every stream is proved to be in the result. A hard link to the film keeps the old content: a rename gives the name, not
the inode, to the new one.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from watcher.errors import ConversionFailed, SourceChanged
from watcher.media import attributes, disk, refusals, scratch
from watcher.rules import names
from watcher.rules.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    WriterOf = Callable[[bytes], str | None]

KEPT_SUFFIX: Final = b".original"
NAME_LIMIT_BYTES: Final = 255
"""Of Linux file systems."""


@dataclass(frozen=True, slots=True)
class Swap:
    """One result and the name it takes: plain data, stored with the attempt, so that the next start can finish it."""

    film: bytes
    source: Signature
    """The content of the film that the result was made from."""
    temp: bytes
    target: bytes
    """The name the result takes: the film's own, or another one beside it."""
    replaces: Signature | None = None
    """What stands under `target` and may be replaced; None when nothing may stand there."""
    removes_film: bool = False
    """The result takes the film's place under another name (another container): the film goes in the end."""
    kept: bytes | None = None
    """The name under which the film's old content stays, where the owner wants that."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """What becomes of the film's attributes."""

    mtime: bool = True
    """The result has the film's modification time; else the time of the swap."""
    refuse_loss: bool = False
    """A film whose owner, ACL or other attribute cannot be kept stays as it is."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A result that is ready to take its name."""

    signature: Signature
    lost: tuple[str, ...]
    """Attributes of the film that it could not be given, each as `what: why`."""
    other_names: int = 0
    """So many hard links elsewhere keep the film's old content, and its room on the disk."""


def temp_path(source: bytes, attempt_id: str) -> bytes:
    """Give the temporary file of an attempt, beside the film."""
    return os.path.join(os.path.dirname(source), names.temporary(attempt_id))


def kept_path(film: bytes) -> bytes:
    """Give the first free name for a film's old content: `NAME.EXT.original`, which nobody takes for a film, `.original2`, ...

    Raises ConversionFailed("name_too_long").
    """
    number = 1
    while os.path.lexists(name := film + KEPT_SUFFIX + (b"%d" % number if number > 1 else b"")):
        number += 1
    if len(os.path.basename(name)) > NAME_LIMIT_BYTES:
        raise ConversionFailed("name_too_long", "the original cannot be kept: its name leaves no room for `.original`")
    return name


def rehearse(swap: Swap, keeping: Keeping) -> None:
    """Try with an empty file what the disk may refuse in the end, before hours are spent on the result.

    Raises ConversionFailed: `permission`, `read_only`, `immutable`, `attributes_lost`, `no_links`.
    """
    if swap.target == swap.film or swap.removes_film:
        locked = next((path for path in (swap.film, os.path.dirname(swap.film)) if attributes.is_immutable(path)), None)
        if locked is not None:
            raise ConversionFailed(
                "immutable", f"{os.fsdecode(locked)!r} is locked by chattr; `chattr -i -a` unlocks it"
            )
    trial = _trial(swap)
    scratch.make(trial)
    with _in_words("no file can be made beside the film"):
        try:
            _refuse_loss(attributes.copy(swap.film, trial), keeping)
            if swap.kept is not None and not swap.removes_film:
                disk.give_second_name(trial, swap.kept)
                os.unlink(swap.kept)
        finally:
            os.unlink(trial)


def prepare(swap: Swap, keeping: Keeping, writer_of: WriterOf) -> Prepared:
    """Make a proved result ready to take its name; its signature is the intent to be written down.

    Raises SourceChanged when the film is not the one it was made from or is written to, ConversionFailed when the disk
    refuses or, if so wanted, when an attribute would be lost.
    """
    _require_unchanged(swap.film, swap.source, writer_of)
    with _in_words("the result cannot be made ready"):
        lost = attributes.copy(swap.film, swap.temp, keep_mtime=keeping.mtime)
        _refuse_loss(lost, keeping)
        disk.sync(swap.temp)
        others = os.lstat(swap.film).st_nlink - 1 if swap.target == swap.film or swap.removes_film else 0
        return Prepared(Signature.of(os.lstat(swap.temp)), tuple(lost), others)


def place(swap: Swap, writer_of: WriterOf) -> Signature:
    """Let the prepared result take its name; gives the signature that stands there then.

    Raises SourceChanged and ConversionFailed; the film is then as it was.
    """
    _require_unchanged(swap.film, swap.source, writer_of)
    if swap.replaces is not None and swap.target != swap.film:
        _require_unchanged(swap.target, swap.replaces, writer_of)
    with _in_words("the result cannot take its name"):
        if swap.kept is not None:
            _keep(swap.film, swap.kept)
        if swap.replaces is not None:
            os.rename(swap.temp, swap.target)
        else:
            disk.take_free_name(swap.temp, swap.target)
        disk.sync_folder(swap.target)
        final = Signature.of(os.lstat(swap.target))
        if swap.removes_film:
            _remove_film(swap, final, writer_of)
        return final


def settle(swap: Swap, result: Signature | None, writer_of: WriterOf) -> Signature | None:
    """After a stop: finish what was intended if all still stands, else clear up. `result` is the intent, if there is one.

    Gives the signature that stands under `target` then, or None when the film is as it was and no trace is left.
    Raises OSError when the disk cannot be asked or does not let us clear up.
    """
    if result is not None:
        with contextlib.suppress(ConversionFailed):
            if disk.stands(swap.target, result):
                disk.sync_folder(swap.target)
                disk.unlink_if_there(swap.temp)  # a result that was linked to its name has both for an instant
                if swap.removes_film:
                    _remove_film(swap, result, writer_of)
                return disk.observe(swap.target)
            if disk.stands(swap.temp, result):
                return place(swap, writer_of)
    clear(swap, result)
    return None


def clear(swap: Swap, result: Signature | None) -> None:
    """Leave no trace of a swap that did not come about; the film stays. Raises OSError when the disk refuses even that."""
    if swap.kept is not None and disk.same_inode(_trial(swap), swap.kept):
        os.unlink(swap.kept)  # a rehearsal's
    scratch.clear(swap.temp)
    if disk.observe(swap.film) is None:
        return
    if result is not None and swap.target != swap.film and disk.stands(swap.target, result):
        os.unlink(swap.target)
    if swap.kept is not None and disk.same_inode(swap.film, swap.kept):
        os.unlink(swap.kept)


def _trial(swap: Swap) -> bytes:
    """Give the file of the rehearsal. Where a result is gone on with, its own stands already."""
    return names.beside(swap.temp, b"trial")


def _keep(film: bytes, kept: bytes) -> None:
    """Give the film's content a second name, which it keeps when the result takes the first."""
    if not disk.same_inode(film, kept):  # it has it already when a stop came between
        disk.give_second_name(film, kept)
        disk.sync_folder(kept)


def _remove_film(swap: Swap, result: Signature, writer_of: WriterOf) -> None:
    """Remove the film whose place the result has taken under another name; if that must not be, take the result away.

    Raises OSError where the disk refuses: both stand then, and whoever gives up clears up.
    """
    if disk.observe(swap.film) is None:
        return  # done before a stop, or by its owner
    try:
        _require_unchanged(swap.film, swap.source, writer_of)
    except SourceChanged:
        clear(swap, result)
        raise
    os.unlink(swap.film)
    disk.sync_folder(swap.film)


def _refuse_loss(lost: list[str], keeping: Keeping) -> None:
    if lost and keeping.refuse_loss:
        raise ConversionFailed("attributes_lost", f"the result could not be given everything: {'; '.join(lost)}")


def _require_unchanged(path: bytes, expected: Signature, writer_of: WriterOf) -> None:
    try:
        there = Signature.of(os.lstat(path))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SourceChanged("source_changed", f"the film is not there any more: {error.strerror}") from error
    except OSError as error:
        raise refusals.of_os_error(error, "the film cannot be looked at") from error
    if not there.same_content(expected):
        raise SourceChanged("source_changed", "the film changed while its track was made")
    if writer := writer_of(path):
        raise SourceChanged("source_changed", writer)


@contextlib.contextmanager
def _in_words(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise refusals.of_os_error(error, what) from error
