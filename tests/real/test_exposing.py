"""The numbers and the health of a running service, over HTTP and in a file."""

import http.client
import json
import socket

import pytest
from films import film
from running import Service

from watcher.config import StateConfig
from watcher.errors import SettingsError
from watcher.service.exposing import Exposed


class OverSocket(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


def get(connection, path):
    connection.request("GET", path)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, answer.headers["Content-Type"], text


def test_a_service_answers_and_writes_what_it_has_counted(tmp_path):
    """/metrics is what was counted, /healthz how it is; the file is whole; nothing is left after a stop."""
    (tmp_path / "films").mkdir()
    sock, file = tmp_path / "metrics.sock", tmp_path / "watcher.prom"
    with Service(tmp_path, tmp_path / "films", metrics_listen=f"unix:{sock}", metrics_textfile=str(file)) as service:
        path = film(tmp_path / "films" / "a.mkv", seconds=1)
        service.reaches(path, "COMPLETE", "CONVERTED")
        status, kind, text = get(OverSocket(sock), "/metrics")
        assert (status, kind.split(";")[0]) == (200, "application/openmetrics-text")
        assert 'watcher_conversions_total{outcome="converted",reason="stereo_added"} 1.0' in text
        assert text.endswith("# EOF\n")
        status, _, text = get(OverSocket(sock), "/healthz")
        assert (status, json.loads(text)["status"]) in ((200, "healthy"), (200, "degraded"))
        (tmp_path / "films").rename(tmp_path / "away")
        service.until(lambda: get(OverSocket(sock), "/healthz")[0] == 503, "a folder that is gone is unhealthy")
        (tmp_path / "away").rename(tmp_path / "films")
        assert get(OverSocket(sock), "/")[0] == 404
        assert service.stop() == 0
    assert not sock.exists()
    assert 'watcher_conversions_total{outcome="converted"' in file.read_text()
    assert not list(tmp_path.glob(".watcher*"))


def test_a_port_of_this_machine_is_answered_and_one_in_use_is_a_wrong_setting():
    """An idle client holds nobody up."""
    exposed = Exposed("127.0.0.1:0", lambda: "numbers\n# EOF\n", lambda: {"status": "unhealthy"})
    try:
        host, port = exposed.address
        with socket.create_connection((host, port)):
            assert get(http.client.HTTPConnection(host, port, timeout=20), "/metrics")[2] == "numbers\n# EOF\n"
            assert get(http.client.HTTPConnection(host, port, timeout=20), "/healthz")[0] == 503
        with pytest.raises(
            SettingsError, match=r"metrics_listen = '127.0.0.1:\d+': cannot be listened on: Address already"
        ):
            Exposed(f"127.0.0.1:{port}", str, dict)
    finally:
        exposed.close()


@pytest.mark.parametrize(
    ("key", "value"),
    [("metrics_listen", "9817"), ("metrics_listen", "localhost:x"), ("metrics_listen", "unix:here"), ("metrics_textfile", "/a")],
)  # fmt: skip
def test_an_address_or_a_file_that_cannot_be_meant_is_refused(key, value):
    """Before anything is begun."""
    with pytest.raises(SettingsError, match=f"{key} = .*should be"):
        StateConfig(**{key: value})
