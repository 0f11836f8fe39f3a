"""The numbers as OpenMetrics text, by prometheus_client: names by Prometheus' conventions, tags as labels.

A counter `checks` is `watcher_checks_total`, a timing `check` the summary `watcher_check_seconds`, a gauge
`queue_depth` is `watcher_queue_depth`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from prometheus_client import Metric

    from watcher.service.metrics import Kind, Labels

    Totals = Mapping[tuple[Kind, str, Labels], tuple[int, float]]

_KINDS = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "timing": SummaryMetricFamily}
_OURS = frozenset({"le", "quantile", "job", "instance"})
"""Labels that Prometheus itself gives a meaning to."""


def render(totals: Totals) -> str:
    """Give the text for (kind, name, tags) -> (count, sum)."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Totals(totals))
    text: bytes = generate_latest(registry)  # type: ignore[no-untyped-call]  # theirs
    return text.decode()


class _Totals(Collector):
    """What prometheus_client asks for metrics."""

    def __init__(self, totals: Totals) -> None:
        self._totals = totals

    def collect(self) -> Iterable[Metric]:
        """Give one family for each kind and name."""
        families: dict[tuple[Kind, str], dict[Labels, tuple[int, float]]] = {}
        for (kind, name, labels), total in sorted(self._totals.items()):
            families.setdefault((kind, name), {})[labels] = total
        taken: set[str] = set()
        for (kind, name), rows in families.items():
            family = _family_name(kind, name, taken)
            tags = sorted({tag for labels in rows for tag, _ in labels})
            made = _KINDS[kind](family, f"{kind} {name}", labels=[_label(tag) for tag in tags])
            for labels, (count, value) in rows.items():
                values = [dict(labels).get(tag, "") for tag in tags]
                if isinstance(made, SummaryMetricFamily):
                    made.add_metric(values, count_value=count, sum_value=value)
                else:
                    made.add_metric(values, value=value)
            yield made


def _family_name(kind: Kind, name: str, taken: set[str]) -> str:
    clean = "watcher_" + re.sub(r"[^a-zA-Z0-9_]", "_", name).removeprefix("watcher_")
    clean = re.sub(r"_(total|sec|seconds|created|count|sum|info)$", "", clean) + (
        "_seconds" if kind == "timing" else ""
    )
    while clean in taken:  # a counter and a gauge of one name
        clean += "_now" if kind == "gauge" else "_of_it"
    taken.add(clean)
    return clean


def _label(tag: str) -> str:
    clean = re.sub(r"[^a-zA-Z0-9_]", "_", tag)
    return f"tag_{clean}" if clean in _OURS or not clean or not clean[0].isalpha() else clean
