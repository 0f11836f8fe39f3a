"""What the service tells systemd, heard on a real socket."""

import os
import socket

from running import Service


def test_systemd_hears_ready_status_watchdog_and_stopping(tmp_path):
    (tmp_path / "films").mkdir()
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        systemd.settimeout(10)
        service = Service(tmp_path, tmp_path / "films")
        service.start(env={"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"})
        heard = []
        while not (heard.count("WATCHDOG=1") >= 3 and "READY=1" in heard):
            heard.append(systemd.recv(4096).decode())
        service.stop()
        systemd.settimeout(0.5)
        try:
            while True:
                heard.append(systemd.recv(4096).decode())
        except TimeoutError:
            pass
    assert heard.index("READY=1") < heard.index("STOPPING=1")
    # A stop may take longer than the unit says, as long as it asks: systemd gives it half a minute from each time on.
    assert "EXTEND_TIMEOUT_USEC=30000000" in heard[heard.index("STOPPING=1") :]
    assert any(word.startswith("STATUS=") and "1 folder watched" in word for word in heard)


def test_the_state_directory_of_systemd_holds_the_database_when_no_other_place_is_set(tmp_path):
    (tmp_path / "films").mkdir()
    service = Service(tmp_path, tmp_path / "films", storage_url="")
    service.start(env={"STATE_DIRECTORY": str(tmp_path / "systemd")})
    service.stop()
    assert os.path.exists(tmp_path / "systemd" / "watcher.db")
