"""Metrics: true to the window, bounded, safe from any thread, and readable by Prometheus."""

import os
import threading

import pytest
from films import film
from helpers import Clock
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from watcher.config import StateConfig
from watcher.service import metrics as module
from watcher.service import upkeep
from watcher.service.manager import StateManager
from watcher.service.metrics import StateMetrics, get_metrics


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def metrics(clock):
    return StateMetrics(clock=clock, wall=clock)


def test_a_summary_speaks_of_its_window_and_of_nothing_before(metrics, clock):
    metrics.increment_counter("files", 5)
    metrics.record_timing("check", 100)
    metrics.record_gauge("queue", 9)
    clock.forward(3601)
    metrics.increment_counter("files", 2)
    clock.forward(10)
    summary = metrics.get_summary(since_hours=1)
    assert summary == {"since_hours": 1, "counters": {"files": 2}, "gauges": {}, "timings": {}}
    assert metrics.get_summary(since_hours=2)["counters"] == {"files": 7}
    assert metrics.get_summary(since_hours=9 / 3600)["counters"] == {}
    assert metrics.get_summary(since_hours=2)["gauges"] == {"queue": 9}


def test_timings_are_summed_up_and_a_gauge_is_its_last_value(metrics):
    for seconds in range(1, 101):
        metrics.record_timing("check", seconds)
        metrics.record_gauge("queue", seconds)
    summary = metrics.get_summary()
    assert summary["timings"]["check"] == {
        "count": 100, "sum": 5050, "avg": 50.5, "min": 1, "max": 100, "p50": 50, "p95": 95,
    }  # fmt: skip
    assert summary["gauges"] == {"queue": 100}


def test_a_timer_counts_also_what_fails(metrics):
    with pytest.raises(ZeroDivisionError), metrics.timer("work"):
        1 / 0  # noqa: B018
    with metrics.timer("work"):
        pass
    assert metrics.get_summary()["timings"]["work"]["count"] == 2


def test_tags_are_told_apart_and_summed(metrics):
    metrics.increment_counter("checks", tags={"verdict": "complete"})
    metrics.increment_counter("checks", 2, tags={"verdict": "error"})
    assert metrics.get_summary()["counters"] == {
        "checks": 3, "checks{verdict=complete}": 1, "checks{verdict=error}": 2,
    }  # fmt: skip


def test_memory_is_bounded_and_no_count_is_lost(metrics, clock):
    for _ in range(20_000):
        metrics.increment_counter("files")
        metrics.record_timing("check", 2)
        clock.forward(1)
    assert max(len(series.points) for series in metrics._series.values()) <= module.POINTS
    summary = metrics.get_summary(since_hours=24)
    assert summary["counters"] == {"files": 20_000}
    assert (summary["timings"]["check"]["count"], summary["timings"]["check"]["sum"]) == (20_000, 40_000)
    for window_sec in (10, 100, 1000, 3600, 10_000):
        found = metrics.get_summary(since_hours=(window_sec + 0.5) / 3600)["counters"]["files"]
        assert found == pytest.approx(window_sec, rel=1 / 30), window_sec


def test_names_and_tags_without_end_do_not_make_series_without_end(metrics):
    for number in range(1000):
        metrics.increment_counter("checks", tags={"file": f"film {number}"})
        metrics.increment_counter(f"name {number}")
    assert len(metrics._series) <= module.SERIES + 1
    assert metrics.get_summary()["counters"]["checks"] == 1000


def test_a_path_never_becomes_a_label(metrics):
    metrics.increment_counter("checks", tags={"file": "/films/secret.mkv"})
    metrics.increment_counter("checks", tags={"file": b"/films/secret.mkv"})
    assert "secret" not in metrics.to_openmetrics() + str(metrics.get_summary())


def test_threads_lose_nothing(metrics):
    def record():
        for _ in range(2000):
            metrics.increment_counter("files")
            metrics.record_timing("check", 1)

    threads = [threading.Thread(target=record) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    summary = metrics.get_summary()
    assert summary["counters"] == {"files": 8000}
    assert summary["timings"]["check"]["count"] == 8000


def test_a_wall_clock_set_back_an_hour_puts_nothing_saved_into_the_future(metrics, clock, tmp_path):
    metrics.increment_counter("files")
    metrics.save(tmp_path / "metrics.json")
    wall = Clock(clock.now - 3600)
    later = StateMetrics(clock=clock, wall=wall)
    later.load(tmp_path / "metrics.json")
    assert later.get_summary(since_hours=0.1)["counters"] == {"files": 1}
    clock.forward(1000)
    assert later.get_summary(since_hours=0.1)["counters"] == {}


def test_prometheus_reads_the_text(metrics):
    """Its own parser finds the families under the names of its conventions, with their labels."""
    metrics.increment_counter("checks", 3, tags={"verdict": "complete"})
    metrics.increment_counter("checks", tags={"verdict": "error"})
    metrics.increment_counter("odd name!")
    metrics.increment_counter("queue")
    metrics.record_gauge("queue", 7)
    metrics.record_timing("check", 1.5)
    metrics.record_timing("check", 2.5)
    text = metrics.to_openmetrics()
    assert text.endswith("# EOF\n")
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples == {
        ("watcher_checks_total", "complete"): 3, ("watcher_checks_total", "error"): 1,
        ("watcher_odd_name__total",): 1, ("watcher_queue_total",): 1, ("watcher_queue_now",): 7,
        ("watcher_check_seconds_count",): 2, ("watcher_check_seconds_sum",): 4.0,
    }  # fmt: skip


def test_what_was_saved_is_there_after_a_restart_and_a_broken_file_is_as_good_as_none(metrics, clock, tmp_path):
    metrics.increment_counter("checks", 3, tags={"verdict": "complete"})
    metrics.record_timing("check", 4)
    assert metrics.has_news()
    metrics.save(tmp_path / "metrics.json")
    assert not metrics.has_news()
    later = StateMetrics(clock=clock, wall=clock)
    later.increment_counter("checks", tags={"verdict": "complete"})
    later.load(tmp_path / "metrics.json")
    assert later.get_summary()["counters"] == {"checks": 4, "checks{verdict=complete}": 4}
    assert later.get_summary()["timings"]["check"]["max"] == 4
    assert 'verdict="complete"} 1.0' in later.to_openmetrics(), "Prometheus counts what this process did"
    for broken in ("", "{}", "[[1]]", '[["counter", "a", {}, [[1]]]]', "null"):
        (tmp_path / "metrics.json").write_text(broken)
        StateMetrics().load(tmp_path / "metrics.json")
    StateMetrics().load(tmp_path / "none.json")


def test_switched_off_it_records_nothing(clock):
    metrics = StateMetrics(enabled=False, clock=clock)
    metrics.increment_counter("files")
    with metrics.timer("work"):
        pass
    assert metrics.get_summary()["counters"] == {}
    assert metrics.to_openmetrics() == "# EOF\n"


def test_there_is_one_for_the_process():
    assert get_metrics() is get_metrics()


# --- what the service counts


@pytest.fixture
def counted(bench):
    bench.engine.metrics = StateMetrics()
    return bench.engine.metrics.get_summary


def test_a_move_is_counted_when_it_is_committed_and_not_when_it_is_taken_back(bench, counted):
    bench.write("film.mkv")
    bench.see("film.mkv")
    with bench.engine.turn():
        bench.engine.move(bench.entry("film.mkv"), "check_started", next_at=None)
        bench.engine.move(bench.entry("film.mkv"), "check_failed", reason="truncated", next_at=None)
        assert counted()["counters"] == {}
    assert counted()["counters"] == {"checks": 1, "checks{reason=truncated,verdict=incomplete}": 1}

    def make_and_fail():
        with bench.engine.turn():
            bench.engine.move(bench.entry("film.mkv"), "gave_up", next_at=None)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        make_and_fail()
    assert "quarantined" not in counted()["counters"]


async def test_the_service_counts_what_it_does_and_keeps_it_for_others_to_read(tmp_path, monkeypatch):
    """A film and a cut one, by one pass of the whole service: the file beside the database says so afterwards."""
    monkeypatch.setattr(module, "_of_this_process", StateMetrics())
    folder = tmp_path / "films"
    folder.mkdir()
    film(folder / "whole.mkv")
    cut = film(folder / "cut.mkv", seconds=3)
    os.truncate(cut, cut.stat().st_size // 2)
    config = StateConfig(storage_url=str(tmp_path / "watcher.db"), stable_wait_sec=0, settle_sec=0)
    async with StateManager(config) as manager:
        await manager.discover_directory(os.fsencode(folder))
        await manager.work_off()
    async with StateManager(config):
        pass  # opened again in the same process, nothing is counted twice
    read = StateMetrics()
    read.load(upkeep.metrics_file(tmp_path / "watcher.db"))
    found = read.get_summary()
    assert found == {**get_metrics().get_summary(), "gauges": found["gauges"]}
    assert found["counters"]["files_discovered"] == found["counters"]["files_found_by_scans"] == 2
    assert found["counters"]["checks{verdict=complete}"] == 1
    assert found["counters"]["checks{reason=truncated,verdict=incomplete}"] == 1
    assert found["counters"]["conversions{outcome=converted,reason=stereo_added}"] == 1
    assert found["counters"]["conversion_bytes"] > 10_000
    assert (found["timings"]["check"]["count"], found["timings"]["conversion"]["count"]) == (2, 1)
    assert found["timings"]["backoff"]["max"] >= 30
