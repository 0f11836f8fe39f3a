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
from typing import Any
from uuid import UUID

from watcher.errors import NotStorable

_AS_TEXT = (dt.date, dt.time, Decimal, UUID)


def plain(value: object, where: str) -> Any:
    """Give a value as JSON has it; a copy that shares nothing with it.

    Paths (also as bytes) and dates become text, tuples and sets lists, dataclasses and mappings objects, numbers of
    other libraries numbers, an enum its value. `where` is the value's name for the message, as in "data.clips".
    Raises NotStorable for everything else, for what contains itself, and for numbers that are not finite.
    """
    return _plain(value, where, frozenset())


def _plain(value: object, where: str, inside: frozenset[int]) -> Any:
    if value is None or (isinstance(value, bool | str) and not isinstance(value, enum.Enum)):
        return value
    if isinstance(value, enum.Enum):
        return _plain(value.value, where, inside)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        if not math.isfinite(value):
            raise NotStorable(f"{where} is {float(value)}, which a state file cannot hold")
        return float(value)
    if isinstance(value, bytes | os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    if isinstance(value, _AS_TEXT):
        return str(value)
    if id(value) in inside:
        raise NotStorable(f"{where} contains itself, which a state file cannot hold")
    return _container(value, where, inside | {id(value)})


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
