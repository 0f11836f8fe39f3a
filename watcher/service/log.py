"""The log: structlog, an event name and keys, to standard error. Pretty for a terminal, one JSON object a line otherwise."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, TextIO

import structlog

if TYPE_CHECKING:
    from collections.abc import MutableMapping


def set_up(level: str, form: str, stream: TextIO | None = None) -> None:
    """Send every log line of the program, and of the libraries it uses, to one stream in one form.

    `form` is "auto", "pretty" or "json"; auto is pretty when the stream is a terminal.
    """
    stream = stream or sys.stderr
    pretty = form == "pretty" or (form == "auto" and stream.isatty())
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if pretty else "iso", utc=not pretty),
    ]
    last: Any = (
        structlog.dev.ConsoleRenderer(colors=stream.isatty(), pad_event_to=20, sort_keys=False)
        if pretty
        else structlog.processors.JSONRenderer(ensure_ascii=True)
    )
    structlog.configure(
        processors=[*shared, _in_order, last]
        if pretty
        else [*shared, structlog.processors.format_exc_info, _in_order, last],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last]
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def _in_order(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put first what a person reads first."""
    first: dict[str, Any] = {key: event.pop(key) for key in ("timestamp", "level", "event", "path") if key in event}
    return {**first, **event}
