"""A disk that does not answer stops only its own folder."""

import signal

import pytest
from films import film, kinds
from running import Service
from silent import silent


@pytest.fixture
def service(tmp_path):
    for name in ("away", "here"):
        (tmp_path / name).mkdir()
    service = Service(tmp_path, tmp_path / "away", tmp_path / "here", answer_within_sec=1)
    yield service
    if service._process is not None:
        service.stop(signal.SIGKILL)


def events(service):
    return [line["event"] for line in service.lines()]


def test_a_folder_whose_server_is_away_holds_up_no_other_and_is_taken_up_when_it_is_back(service, tmp_path):
    service.start()
    film(tmp_path / "away/known.mkv", **kinds["english_stereo"])
    service.reaches(tmp_path / "away/known.mkv", "COMPLETE", "SKIPPED_HAS_EN2")
    with silent(tmp_path / "away"):
        service.until(lambda: "root suspended" in events(service), "the folder is suspended")
        film(tmp_path / "here/film.mkv", **kinds["english_stereo"])
        service.reaches(tmp_path / "here/film.mkv", "COMPLETE", "SKIPPED_HAS_EN2", timeout=20)
    assert service.statuses(tmp_path / "away/known.mkv") is not None, "nothing is gone"
    service.until(lambda: "root is back" in events(service), "the folder is taken up again")
    film(tmp_path / "away/later.mkv", **kinds["english_stereo"])
    service.reaches(tmp_path / "away/later.mkv", "COMPLETE", "SKIPPED_HAS_EN2", timeout=20)
    assert "gone" not in service.moves(tmp_path / "away/known.mkv")
    assert service.stop() == 0


def test_a_start_and_a_stop_do_not_wait_for_a_server_that_is_away(service, tmp_path):
    film(tmp_path / "here/film.mkv", **kinds["english_stereo"])
    with silent(tmp_path / "away"):
        service.start()
        service.reaches(tmp_path / "here/film.mkv", "COMPLETE", "SKIPPED_HAS_EN2", timeout=20)
        assert service.stop() == 0
