"""A booted systemd with the service installed in it, and what is asked of both."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SOURCE = HERE.parent.parent
PYTHON = "/usr/bin/python3"
PROGRAM = "/opt/watcher/bin/watcher"
SETTINGS = {
    "stable_wait_sec": 1, "settle_sec": 0.3, "debounce_quiet_sec": 0.1, "debounce_at_most_sec": 1, "loop_interval_sec": 1,
    "backoff_step_sec": 1, "integrity_quick_mode": True,
}  # fmt: skip


class Box:
    """The booted system. `films` is a folder of ours that is seen inside as /srv/drop."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self.drop = state / "drop"
        self.drop.mkdir(parents=True)

    def up(self, *more_binds: str) -> None:
        version = subprocess.run(
            [PYTHON, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True, text=True, check=False
        )
        if version.stdout.strip() != str(sys.version_info[:2]):
            pytest.skip("the system's own Python is another one, and its packages with it")
        packages = sysconfig.get_path("purelib")
        binds = [f"{packages}:/opt/packages", f"{SOURCE}:/opt/source", f"{self.drop}:/srv/drop", *more_binds]
        done = subprocess.run([HERE / "sdbox", "up", self._state, *binds], capture_output=True, text=True, check=False)
        if done.returncode == 77:
            pytest.skip(done.stderr)
        assert done.returncode == 0, done.stderr

    def down(self) -> None:
        subprocess.run([HERE / "sdbox", "down", self._state], check=True)

    def run(
        self, *command: str | Path, check: bool = True, text: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside."""
        done = subprocess.run(
            [HERE / "sdbox", "exec", self._state, *command], capture_output=True, text=True, check=False, input=text, timeout=120,
            errors="backslashreplace",
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}\n{self.log()}"
        return done

    def sh(self, script: str, check: bool = True) -> str:
        """Run a line of shell inside; gives what it said."""
        return self.run("sh", "-ec", script, check=check).stdout.strip()

    def write(self, path: str, text: str) -> None:
        self.run("sh", "-c", f'mkdir -p "$(dirname {path})"; cat > {path}', text=text)

    def log(self) -> str:
        done = subprocess.run(
            [HERE / "sdbox", "exec", self._state, "journalctl", "-u", "watcher", "-n", "40", "--no-pager"],
            capture_output=True, text=True, check=False, errors="backslashreplace",
        )  # fmt: skip
        return done.stdout

    def entries(self, *matches: str) -> list[dict]:
        """Give the journal's entries of the service, as fields."""
        told = self.run("journalctl", "-u", "watcher", "-o", "json", "--all", "--no-pager", *matches)
        return [json.loads(line) for line in told.stdout.splitlines()]

    def until(self, true, what: str, timeout: float = 40) -> None:
        end = time.monotonic() + timeout
        while not true():
            assert time.monotonic() < end, f"not within {timeout} s: {what}\n{self.log()}"
            time.sleep(0.2)

    def is_in_state(self, state: str) -> bool:
        return self.run("systemctl", "is-active", "watcher", check=False).stdout.strip() == state

    def show(self, key: str) -> str:
        return self.run("systemctl", "show", "-P", key, "watcher").stdout.strip()

    def configure(self, **changes: object) -> None:
        """Write settings, with /srv/drop watched if nothing else is said."""
        lines = [
            f"{key} = {json.dumps(value)}"
            for key, value in {"storage_url": "/var/lib/watcher/watcher.db", **SETTINGS, **changes}.items()
            if key != "watch"
        ]
        folders = changes.get("watch", ["/srv/drop"])
        self.write(
            "/etc/watcher/config.toml", "\n".join([*lines, *(f'[[watch]]\npath = "{path}"' for path in folders)]) + "\n"
        )

    def install(self) -> None:
        """Put the program where a person would put it: a virtual environment of the system's own Python in /opt."""
        self.sh(
            f"{PYTHON} -m venv --without-pip /opt/watcher; cd /opt/watcher/lib/python3*/site-packages;"
            "printf '/opt/source\\n/opt/packages\\n' > watcher.pth;"
            f"printf '#!/opt/watcher/bin/python\\nfrom watcher.cli import main\\nmain()\\n' > {PROGRAM}; chmod +x {PROGRAM};"
            "groupadd -f media; chgrp media /srv/drop; chmod 2775 /srv/drop"
        )
        self.configure()
        self.run(PROGRAM, "install-unit")
