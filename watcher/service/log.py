"""The log: structlog, an event name and keys. The one place where names become text.

Where it goes decides its form: fields for the journal of systemd, lines for a terminal, JSON objects for all else. Names
of files and folders are logged as bytes: the journal keeps them byte for byte, and all else shows them as
`names.readable` writes them.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

import structlog

from watcher.rules import names
from watcher.service import journal, wording
from watcher.service.calm import Calm

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    Event = MutableMapping[str, Any]

_FIELDS = {
    "path": "FILE_PATH",
    "job": "WATCHER_JOB",
    "pathname": "CODE_FILE",
    "lineno": "CODE_LINE",
    "func_name": "CODE_FUNC",
}
_calm = Calm()


def set_up(level: str, form: str, stream: TextIO | None = None) -> None:
    """Send every log line of the program, and of the libraries it uses, to one stream in one form.

    `form` is "auto", "pretty", "json" or "journal"; auto is the journal where the stream leads to it, pretty on a
    terminal, else JSON. Pretty is the sentences of the journal; at "debug" it is every key.
    """
    stream = stream or sys.stderr
    if form == "journal" or (form == "auto" and journal.is_ours(stream)):
        _to_journal(level, journal.Journal())
        return
    pretty = form == "pretty" or (form == "auto" and stream.isatty())
    if pretty and level != "debug":
        _to_person(level, stream)
        return
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt=_TIME if pretty else "iso", utc=not pretty),
    ]
    last: Any = (
        structlog.dev.ConsoleRenderer(colors=_in_colour(stream), pad_event_to=20, sort_keys=False)
        if pretty
        else structlog.processors.JSONRenderer(ensure_ascii=True)
    )
    traces: list[Any] = [] if pretty else [structlog.processors.format_exc_info]
    _configure(level, [_calm, *shared, *traces, _as_text, _in_order, last], structlog.PrintLoggerFactory(stream))
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last]
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def hand_over(level: str) -> None:
    """Give every log line to the `watcher` logger of the standard library, where the program has not set structlog up.

    A library prints nothing by itself: who wants to see the lines configures `logging`. A record's message is the
    sentence of the journal; its `event_name` and what else is known of it are attributes of the record.
    """
    own = logging.getLogger("watcher")
    if not own.handlers:
        own.addHandler(logging.NullHandler())
    if not structlog.is_configured():
        processors = [
            _as_sentence,
            _as_text,
            structlog.processors.format_exc_info,
            structlog.stdlib.render_to_log_kwargs,
        ]
        _configure(level, processors, structlog.stdlib.LoggerFactory())


def say_the_rest(*, all_of_it: bool = False) -> None:
    """Say how much trouble was counted and not said, in windows of time that are over."""
    for event, reason, count in _calm.more(all_of_it=all_of_it):
        structlog.get_logger("watcher").warning("more of the same", what=event, reason=reason, count=count)


def _configure(level: str, processors: list[Any], factory: Any) -> None:
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=factory,
        cache_logger_on_first_use=False,
    )


def _as_text(_logger: Any, _name: str, event: Event) -> Event:
    for key, value in event.items():
        if isinstance(value, bytes):
            event[key] = names.readable(value)
    return event


def _as_sentence(_logger: Any, _name: str, event: Event) -> Event:
    return {**event, "event_name": event["event"], "event": wording.message(event)}


def _in_order(_logger: Any, _name: str, event: Event) -> Event:
    """Put first what a person reads first."""
    first: dict[str, Any] = {key: event.pop(key) for key in ("timestamp", "level", "event", "path") if key in event}
    return {**first, **event}


# --- a person at a terminal

_TIME = "%H:%M:%S"
_DIM, _GREEN, _YELLOW, _RED = "2", "32", "33", "1;31"
_COLOURS = {"warning": _YELLOW, "error": _RED, "exception": _RED, "critical": _RED}


def _to_person(level: str, stream: TextIO) -> None:
    time_and_rest = [structlog.processors.TimeStamper(fmt=_TIME, utc=False), structlog.processors.format_exc_info]
    _configure(level, [_calm, *time_and_rest, _Line(_in_colour(stream))], structlog.PrintLoggerFactory(stream))
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", _TIME))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def _in_colour(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR")  # see no-color.org


class _Line:
    """Makes a line of an event: the time, and what the journal says of it."""

    def __init__(self, in_colour: bool) -> None:
        self._in_colour = in_colour

    def __call__(self, _logger: Any, method: str, event: Event) -> str:
        when, trace = event.pop("timestamp"), event.pop("exception", "")
        saying = wording.SAYINGS.get(str(event["event"]))
        is_good_news = saying is not None and saying.priority == wording.NOTICE
        colour = _COLOURS.get(method, _GREEN if is_good_news else "")
        line = f"{self._in(_DIM, when)} {self._in(colour, wording.message(event))}"
        return f"{line}\n{trace}" if trace else line

    def _in(self, colour: str, text: str) -> str:
        return f"\033[{colour}m{text}\033[0m" if colour and self._in_colour else text


# --- the journal


class _Foreign(logging.Handler):
    """Takes the lines of the libraries to the journal."""

    def __init__(self, to: journal.Journal) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(message)s"))
        self._to = to

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        level = wording.PRIORITIES.get(record.levelname.lower(), wording.INFO)
        fields = {"MESSAGE": text.partition("\n")[0], "PRIORITY": level, "EVENT": record.name, "DETAIL": text}
        self._to.send({name: _value(value) for name, value in fields.items()})


class _Sender:
    """What structlog takes for a logger: any method of it sends the fields."""

    def __init__(self, to: journal.Journal) -> None:
        self._to = to

    def _send(self, **fields: bytes) -> None:
        self._to.send(fields)

    debug = info = warning = error = critical = _send


def _to_journal(level: str, to: journal.Journal) -> None:
    callsite = structlog.processors.CallsiteParameterAdder(
        {
            structlog.processors.CallsiteParameter.PATHNAME,
            structlog.processors.CallsiteParameter.LINENO,
            structlog.processors.CallsiteParameter.FUNC_NAME,
        }
    )
    processors = [_calm, structlog.processors.format_exc_info, _fields_of_event, callsite, _fields]
    _configure(level, processors, lambda *_: _Sender(to))
    logging.basicConfig(handlers=[_Foreign(to)], level=logging.WARNING, force=True)


def _fields_of_event(_logger: Any, method: str, event: Event) -> Event:
    """Add what the journal wants of its own: a sentence, a priority, and the id under which the catalog explains it."""
    saying = wording.SAYINGS.get(str(event["event"]))
    priority = wording.PRIORITIES.get(method, wording.INFO)
    if saying is not None and priority == wording.INFO:
        priority = saying.priority
    own: dict[str, Any] = {"MESSAGE": wording.message(event), "PRIORITY": priority}
    if saying is not None and saying.message_id:
        own["MESSAGE_ID"] = saying.message_id
    return {**own, "SYSLOG_IDENTIFIER": "watcher", **event}


def _fields(_logger: Any, _name: str, event: Event) -> dict[str, bytes]:
    return {_FIELDS.get(key, key.upper()): _value(value) for key, value in event.items()}


def _value(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text.encode("utf-8", "surrogateescape")
