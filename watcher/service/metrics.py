"""Metrics: counters, gauges and timings, true to the window that is asked for, in bounded memory, from any thread.

Each series (a name with its tags) is a row of points in time. When it has more than `POINTS`, neighbours that lie close
together for their age become one that stands for both. So counts and sums stay exact for ever, and so is every window
of a series with few points; of a busy one a window's far edge is blurred by a thirtieth of its length at most. Windows are
measured on the monotonic clock; the wall clock is asked only for what goes to disk.
"""

from __future__ import annotations

import json
import threading
import time
from bisect import bisect_left
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

POINTS = 1500
FINE = 64
"""Two points become one when they are not further apart than this part of their age: less than 900 are left of a week."""
CLOSE_SEC = 0.01
"""And always when they are as close as this."""
KEPT_SEC = 8 * 86_400.0
"""Nothing older is kept: a week, and what belongs to its edge."""
SERIES = 300
VALUES_OF_A_TAG = 20
"""So many values of one tag are told apart; the rest is "other". A label of Prometheus is a series each."""

Kind = Literal["counter", "gauge", "timing"]
Labels = tuple[tuple[str, str], ...]


class Point(NamedTuple):
    """What was recorded at one time, or at several that lie close together."""

    at: float
    """Seconds of the monotonic clock; of several, the last."""
    times: int
    sum: float
    least: float
    most: float

    def with_(self, other: Point) -> Point:
        """Give one point for both."""
        least, most = min(self.least, other.least), max(self.most, other.most)
        return Point(max(self.at, other.at), self.times + other.times, self.sum + other.sum, least, most)


@dataclass(slots=True)
class Series:
    """The points of one name and its tags, in the order of time."""

    points: list[Point] = field(default_factory=list)
    count: int = 0
    """Since this process began, as Prometheus wants it."""
    sum: float = 0.0

    def add(self, point: Point) -> None:
        """Take a point in."""
        self.count += point.times
        self.sum += point.sum
        self.points.append(point)
        if len(self.points) > POINTS:
            self._thin_out(point.at)

    def _thin_out(self, now: float) -> None:
        kept: list[Point] = []
        for point in reversed(self.points):
            age = now - point.at
            if age > KEPT_SEC:
                break
            if kept and kept[-1].at - point.at <= max(age / FINE, CLOSE_SEC):
                kept[-1] = kept[-1].with_(point)
            else:
                kept.append(point)
        self.points = kept[::-1]

    def since(self, at: float) -> list[Point]:
        """Give the points from a time on."""
        return self.points[bisect_left(self.points, at, key=lambda point: point.at) :]


class StateMetrics:
    """Counters, gauges and timings of one process. Every method is safe from any thread, and none of them raises.

    >>> metrics = StateMetrics()
    >>> metrics.increment_counter("checks", tags={"verdict": "complete"})
    >>> metrics.record_timing("check", 1.5)
    >>> summary = metrics.get_summary(since_hours=1)
    >>> summary["counters"]["checks"], summary["timings"]["check"]["avg"]
    (1, 1.5)
    """

    def __init__(
        self,
        *,
        enabled: bool = True,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._enabled = enabled
        self._clock = clock
        self._wall = wall
        self._lock = threading.Lock()
        self._series: dict[tuple[Kind, str, Labels], Series] = {}
        self._values: dict[tuple[str, str], set[str]] = {}
        self._news = False
        self._in_memory: set[Path] = set()
        """Files whose content is here: reading one again would count it twice."""

    def increment_counter(self, name: str, value: float = 1, tags: Mapping[str, object] | None = None) -> None:
        """Count something that happened, `value` times."""
        self._record("counter", name, value, tags)
        self._news = True

    def record_timing(self, name: str, seconds: float, tags: Mapping[str, object] | None = None) -> None:
        """Note how long something took."""
        self._record("timing", name, seconds, tags)

    def record_gauge(self, name: str, value: float, tags: Mapping[str, object] | None = None) -> None:
        """Note how much of something there is now."""
        self._record("gauge", name, value, tags)

    @contextmanager
    def timer(self, name: str, tags: Mapping[str, object] | None = None) -> Iterator[None]:
        """Note how long the block took, also when it ended by an exception."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.record_timing(name, time.perf_counter() - began, tags)

    def _record(self, kind: Kind, name: str, value: float, tags: Mapping[str, object] | None) -> None:
        if not self._enabled:
            return
        with self._lock:
            key = (kind, name, self._bounded(name, tags or {}))
            if key not in self._series and len(self._series) >= SERIES:
                key = (kind, "other", ())
            point = Point(self._clock(), 1, value, value, value)
            self._series.setdefault(key, Series()).add(point)

    def _bounded(self, name: str, tags: Mapping[str, object]) -> Labels:
        """Give the tags with values that stay few: a path is never one."""
        found = []
        for tag, value in sorted(tags.items()):
            text = "other" if isinstance(value, bytes) else str(value)
            seen = self._values.setdefault((name, tag), set())
            if "/" in text or len(text) > 64 or (text not in seen and len(seen) >= VALUES_OF_A_TAG):
                text = "other"
            seen.add(text)
            found.append((tag, text))
        return tuple(found)

    def get_summary(self, since_hours: float = 1.0) -> dict[str, Any]:
        """Sum up what was recorded in the last `since_hours` hours.

        Gives {"since_hours", "counters": {name: number}, "gauges": {name: last}, "timings": {name: {"count", "sum",
        "avg", "min", "max", "p50", "p95"}}}, times in seconds. Names stand for all their tags together; those with tags
        are also there one by one, as `checks{verdict=complete}`. What was not recorded in the window is left out.
        """
        start = self._clock() - since_hours * 3600
        grouped: dict[Kind, dict[str, list[Point]]] = {"counter": {}, "gauge": {}, "timing": {}}
        with self._lock:
            for (kind, name, labels), series in self._series.items():
                for shown in (name, _shown(name, labels)) if labels else (name,):
                    if points := series.since(start):
                        grouped[kind].setdefault(shown, []).extend(points)
        return {
            "since_hours": since_hours,
            "counters": {name: _whole(sum(p.sum for p in points)) for name, points in _in_order(grouped["counter"])},
            "gauges": {name: _last(max(points)) for name, points in _in_order(grouped["gauge"])},
            "timings": {name: _timing(points) for name, points in _in_order(grouped["timing"])},
        }

    def to_openmetrics(self) -> str:
        """Give the numbers since this process began as OpenMetrics text (https://prometheus.io/docs/specs/om/)."""
        from watcher.service import openmetrics  # noqa: PLC0415 - a tenth of a second that only who asks for it pays

        with self._lock:
            return openmetrics.render({key: _total(key[0], series) for key, series in self._series.items()})

    def save_text(self, path: Path) -> None:
        """Write the same numbers for the node exporter's textfile collector, whole or not at all. Raises OSError."""
        temp = path.with_name(f".{path.name}.tmp")  # the collector takes *.prom alone
        temp.write_text(self.to_openmetrics())
        temp.replace(path)

    # --- on disk, so that another process can ask, and a restart forgets nothing

    def has_news(self) -> bool:
        """Tell whether something was counted since the last `save`. Gauges and timings alone are no news."""
        return self._news

    def save(self, path: Path) -> None:
        """Write everything to a file, whole or not at all. Raises OSError."""
        self._news = False
        self._in_memory.add(path)
        ahead = self._wall() - self._clock()
        with self._lock:
            rows = [
                [
                    *key[:2],
                    dict(key[2]),
                    [point._replace(at=point.at + ahead) for point in series.points],
                    (series.count, series.sum),
                ]
                for key, series in self._series.items()
            ]
        temp = path.with_name(f"{path.name}.tmp")
        temp.write_text(json.dumps(rows, separators=(",", ":")))
        temp.replace(path)

    def load(self, path: Path, *, with_totals: bool = False) -> None:
        """Take in what `save` wrote, as things of the past, once; a file that is missing or broken is as good as none.

        `with_totals`: as if this were the process that wrote it, for who only reads what the service counts.
        """
        if path in self._in_memory:
            return
        self._in_memory.add(path)
        now, ahead = self._clock(), self._wall() - self._clock()
        try:
            found = {
                (kind, name, tuple(sorted(tags.items()))): Series(
                    [Point(min(at - ahead, now), *point) for at, *point in points if at - ahead > now - KEPT_SEC],
                    *(totals if with_totals else ()),
                )
                for kind, name, tags, points, totals in json.loads(path.read_text())
            }
        except (OSError, ValueError, TypeError, AttributeError):
            return
        with self._lock:
            for key, then in list(found.items())[:SERIES]:
                series = self._series.setdefault(key, Series())
                series.points = sorted(then.points + series.points)
                series.count, series.sum = series.count + then.count, series.sum + then.sum


def _shown(name: str, labels: Labels) -> str:
    return f"{name}{{{','.join(f'{tag}={value}' for tag, value in labels)}}}"


def _last(point: Point) -> float:
    return point.sum / point.times


def _in_order(points: dict[str, list[Point]]) -> list[tuple[str, list[Point]]]:
    return sorted(points.items())


def _whole(number: float) -> float:
    return int(number) if float(number).is_integer() else number


def _total(kind: Kind, series: Series) -> tuple[int, float]:
    # Of a gauge that was only read from disk long ago nothing is known now.
    return (1, _last(series.points[-1]) if series.points else 0.0) if kind == "gauge" else (series.count, series.sum)


def _timing(points: list[Point]) -> dict[str, float]:
    count, total = sum(point.times for point in points), sum(point.sum for point in points)
    ranked = sorted((_last(point), point.times) for point in points)
    return {
        "count": count,
        "sum": total,
        "avg": total / count,
        "min": min(point.least for point in points),
        "max": max(point.most for point in points),
        "p50": _percentile(ranked, count * 0.5),
        "p95": _percentile(ranked, count * 0.95),
    }


def _percentile(ranked: list[tuple[float, int]], rank: float) -> float:
    passed = 0
    for value, count in ranked:
        passed += count
        if passed >= rank:
            return value
    return ranked[-1][0]


_of_this_process = StateMetrics()


def get_metrics() -> StateMetrics:
    """Give the metrics of this process: what the service records into, and what a program may add its own to.

    >>> get_metrics() is get_metrics()
    True
    """
    return _of_this_process
