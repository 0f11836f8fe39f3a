"""As a plain process in a container: PID 1, no systemd, and everything works."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
from films import film
from running import FAST

needs_namespaces = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None, reason="only root may make a PID namespace"
)


@needs_namespaces
def test_as_the_first_process_it_works_logs_json_and_stops_on_sigterm(tmp_path):
    """No NOTIFY_SOCKET, no JOURNAL_STREAM: a film is converted, each line is an object, and SIGTERM ends it with 0."""
    films = tmp_path / "films"
    films.mkdir()
    config = tmp_path / "config.json"
    watch = [{"path": str(films)}]
    config.write_text(json.dumps({**FAST, "storage_url": str(tmp_path / "watcher.db"), "watch": watch}))
    command = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, "-m", "watcher", "run"]
    environment = {key: value for key, value in os.environ.items() if key not in ("NOTIFY_SOCKET", "JOURNAL_STREAM")}
    with subprocess.Popen([*command, "--config", config], stderr=subprocess.PIPE, text=True, env=environment) as box:
        lines = []
        for text in box.stderr:
            lines.append(json.loads(text))
            if lines[-1]["event"] == "watching":
                film(films / "a.mkv")
            if lines[-1]["event"] == "converted":
                children = subprocess.run(["pgrep", "-P", str(box.pid)], capture_output=True, text=True, check=True)
                os.kill(int(children.stdout), signal.SIGTERM)
        assert box.wait(20) == 0
    assert [line["event"] for line in lines][-1] == "closed"
    assert next(line for line in lines if line["event"] == "converted")["path"] == str(films / "a.mkv")
