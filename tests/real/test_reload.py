"""`watcher reload`: the settings change while the service runs, and whoever asked hears the verdict."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from films import film
from running import Service

from watcher.config import StateConfig, WatchSettings
from watcher.service.reloading import AT_START, merge


@pytest.fixture
def service(tmp_path):
    (tmp_path / "films").mkdir()
    with Service(tmp_path, tmp_path / "films", exclude=["**/aside/**"]) as service:
        yield service


def reload(service, **changes):
    """Write the settings with changes and ask for them; gives the exit code and all that was said."""
    service.config.write_text(json.dumps({**json.loads(service.config.read_text()), **changes}))
    command = [sys.executable, "-m", "watcher", "reload", "--config", service.config]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout + done.stderr


def test_settings_change_while_it_runs_and_wrong_ones_change_nothing(service, tmp_path):
    """Given a running service; when its file changes; then what can change has changed, and the rest is named."""
    aside = tmp_path / "films" / "aside"
    aside.mkdir()
    film(aside / "a.mkv")
    film(tmp_path / "films" / "b.mkv")
    service.reaches(tmp_path / "films" / "b.mkv", "COMPLETE", "CONVERTED")
    assert service.statuses(aside / "a.mkv") is None

    code, said = reload(service, exclude=[], stable_wait_sec=2, answer_within_sec=19)
    assert code == 0
    assert said.splitlines() == [
        "reloaded: stable_wait_sec, exclude",
        "changed by the next start: answer_within_sec (systemctl restart watcher)",
    ]
    service.reaches(aside / "a.mkv", "COMPLETE", "CONVERTED")

    code, said = reload(service, stable_wait_sec=-5)
    assert code == 78
    assert f"{service.config}: stable_wait_sec = -5" in said
    os.kill(service.pid, signal.SIGHUP)
    service.until(lambda: any(line["event"] == "settings refused" for line in service.lines()), "it says so itself")
    code, said = reload(service, stable_wait_sec=2)
    assert (code, said.splitlines()[0]) == (0, "nothing has changed that can be reloaded")
    assert service.stop() == 0
    code, said = reload(service)
    assert (code, said.startswith("watcher: no service runs on ")) == (1, True)


def test_what_only_a_restart_changes_stays_as_it_is(tmp_path):
    """Also a single key of a table; every name in that list is a setting."""
    from watcher.config import flat

    now = StateConfig(watch=[WatchSettings(path=tmp_path)], audio={"output": "add", "bitrate_kbps": 128})
    wanted = StateConfig(backoff_step_sec=7, audio={"output": "sidecar", "bitrate_kbps": 256}, storage_url="/other.db")
    config, changed, kept = merge(now, wanted)
    assert (config.watch, config.storage_url, config.audio.output) == (now.watch, "", "add")
    assert (config.backoff_step_sec, config.audio.bitrate_kbps) == (7, 256)
    assert sorted(changed) == ["audio.bitrate_kbps", "backoff_step_sec"]
    assert sorted(kept) == ["audio.output", "storage_url", "watch"]
    assert set(flat(now)) >= AT_START


def test_the_example_of_the_settings_names_what_only_a_restart_changes():
    """Each by its key or its table."""
    head = (Path(__file__).parent.parent.parent / "config.example.toml").read_text().split("Later wins")[0]
    assert all(key.split(".")[0] in head for key in AT_START)
