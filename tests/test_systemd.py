"""The unit file, judged by systemd's own tools."""

import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parent.parent / "systemd" / "watcher.service"

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")


@needs_systemd
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path):
    """`systemd-analyze verify` is silent; the program is replaced by one that is there on every machine."""
    lines = UNIT.read_text().splitlines()
    copy = tmp_path / "watcher.service"
    copy.write_text("\n".join("ExecStart=/bin/true" if line.startswith("ExecStart=") else line for line in lines))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if "watcher" in line]
    assert (done.returncode, said) == (0, []), done.stderr


@needs_systemd
def test_the_service_is_locked_in():
    """Its exposure is at most 2.0 of 10."""
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", UNIT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-300:]


def test_the_unit_and_the_program_agree():
    """It runs a command that exists, tells systemd of itself, and does not restart on a wrong setting."""
    lines = UNIT.read_text().splitlines()
    assert "ExecStart=/opt/watcher/bin/watcher run --config /etc/watcher/config.toml" in lines
    assert {"Type=notify", "StateDirectory=watcher", "RestartPreventExitStatus=78"} <= set(lines)
