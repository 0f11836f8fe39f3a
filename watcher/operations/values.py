"""What a state file can hold: the values of JSON, and what becomes one of them without losing its meaning."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import math
import os
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, Final
from uuid import UUID

from watcher.errors import NotStorable

_AS_TEXT = (dt.date, dt.time, Decimal, UUID)
_LONGEST_INTEGER: Final = 10**4000
"""Python reads none of more than 4300 digits (sys.int_info.default_max_str_digits)."""


def plain(value: object, where: str) -> Any:
    """Give a value as JSON has it; a copy that shares nothing with it.

    Paths (also as bytes) and dates become text, tuples and sets lists, dataclasses and mappings objects, numbers of
    other libraries numbers, an enum its value. `where` is the value's name for the message, as in "data.clips".
    Raises NotStorable for everything else, for what contains itself, and for numbers that are not finite; so that
    whatever this gives can be written, read and written again.
    """
    try:
        return _plain(value, where, frozenset())
    except RecursionError:
        raise NotStorable(f"{where} is nested too deeply for a state file") from None


def text(value: object, where: str) -> str:
    """Give a value that must be text, or an enum of text. Raises NotStorable for any other: it could not be read back."""
    made = plain(value, where)
    if not isinstance(made, str):
        raise NotStorable(f"{where} is a {type(value).__name__}, and must be text")
    return made


def _plain(value: object, where: str, inside: frozenset[int]) -> Any:
    if isinstance(value, enum.Enum):
        return _plain(value.value, where, inside)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str | bytes | os.PathLike):
        return _text(os.fsdecode(value), where)
    if isinstance(value, Real):
        return _number(value, where)
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    if isinstance(value, _AS_TEXT):
        return str(value)
    if id(value) in inside:
        raise NotStorable(f"{where} contains itself, which a state file cannot hold")
    return _container(value, where, inside | {id(value)})


def _text(value: str, where: str) -> str:
    try:
        os.fsencode(value)
    except UnicodeEncodeError:  # half a pair of UTF-16, which nothing could show or write
        raise NotStorable(f"{where} is {value!a}, which is no text") from None
    return value


def _number(value: Real, where: str) -> int | float:
    if isinstance(value, Integral):
        if abs(int(value)) > _LONGEST_INTEGER:
            raise NotStorable(f"{where} is a number of thousands of digits, which a state file cannot hold")
        return int(value)
    if not math.isfinite(value):
        raise NotStorable(f"{where} is {float(value)}, which a state file cannot hold")
    return float(value)


def _container(value: object, where: str, inside: frozenset[int]) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = (field.name for field in dataclasses.fields(value))
        return {name: _plain(getattr(value, name), f"{where}.{name}", inside) for name in names}
    if isinstance(value, Mapping):
        return _mapping(value, where, inside)
    if isinstance(value, AbstractSet):
        return sorted((_plain(item, f"{where}{{}}", inside) for item in value), key=repr)
    if isinstance(value, Sequence) and not isinstance(value, bytearray | memoryview):
        return [_plain(item, f"{where}[{number}]", inside) for number, item in enumerate(value)]
    raise NotStorable(f"{where} is a {type(value).__name__}, which a state file cannot hold")


def _mapping(value: Mapping[Any, object], where: str, inside: frozenset[int]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, item in value.items():
        text = _plain(key, f"a key of {where}", inside)
        if isinstance(text, list | dict):
            raise NotStorable(f"a key of {where} is a {type(key).__name__}, which a state file cannot hold")
        name = text if isinstance(text, str) else str(text)
        if name in made:
            raise NotStorable(f"{where} has two keys that are both written {name!r} in a state file")
        made[name] = _plain(item, f"{where}.{name}", inside)
    return made
