"""What is wrong with settings, as sentences: each names where the value came from, its key, and what was found there."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pydantic import ValidationError

    Known = Callable[[Sequence[str]], Sequence[str]]

_WORDS = {
    "string_type": "should be text in quotes",
    "path_type": "should be text in quotes",
    "bool_type": "should be true or false",
    "bool_parsing": "should be true or false",
    "tuple_type": 'should be a list, such as ["one", "two"]',
    "model_type": "should be a table",
    "model_attributes_type": "should be a table",
    "float_parsing": "should be a number",
    "int_parsing": "should be a whole number",
    "int_from_float": "should be a whole number",
}
"""pydantic's names of what may be wrong -> the words of whoever writes TOML."""

_SHAPES = {"tuple_type", "model_type", "model_attributes_type"}


def sentences(error: ValidationError, known: Known, origins: Mapping[str, str]) -> str:
    """Give one line for each thing wrong. `known` gives the keys of a table, `origins` where a key's value came from."""
    return "\n".join(_explain(item, known, origins) for item in error.errors())


def _explain(item: Any, known: Known, origins: Mapping[str, str]) -> str:
    location = [str(part) for part in item["loc"]]
    key = ".".join(location)
    below = (origin for name, origin in origins.items() if name.startswith(f"{key}."))
    origin = origins.get(key) or origins.get(location[0]) or next(below, "settings")
    if item["type"] == "extra_forbidden":
        return f"{origin}: there is no setting {key!r}{nearest(location[-1], known(location[:-1]))}"
    if item["type"] == "missing":
        return f"{origin}: {'.'.join(location[:-1])} has no {location[-1]}"
    message = _WORDS.get(item["type"], item["msg"].removeprefix("Value error, "))
    if location[0] == "watch" and item["type"] in _SHAPES:
        message = "every folder is a table of its own: [[watch]], and path = ... below it"
    return f"{origin}: {key} = {item['input']!r}: {message[0].lower()}{message[1:]}"


def nearest(key: str, known: Sequence[str]) -> str:
    """Give a question for the word that may have been meant, or nothing."""
    begun = [name for name in known if len(key) > 3 and name.startswith(key)]
    near = begun or difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""
