"""A thousand files at once: each reaches its end, and the log has one line a move."""

import os
import shutil

import pytest
from films import film, kinds
from running import Service

from watcher.store.store import StateStore


@pytest.mark.timeout(600)
def test_a_thousand_files_dropped_at_once_all_reach_their_final_status(tmp_path):
    """Most are no films, cut or too German, so that the test is over before the coffee; one in fifty goes all the way."""
    (tmp_path / "films").mkdir()
    german = film(tmp_path / "german.mkv", **kinds["german"], seconds=1)
    stereo = film(tmp_path / "stereo.mkv", **kinds["english_stereo"], seconds=1)
    cut = german.read_bytes()[: german.stat().st_size // 2]
    with Service(tmp_path, tmp_path / "films", quarantine_threshold=1, integrity={"at_once": 2}) as service:
        for number in range(1000):
            target = tmp_path / "films" / f"{number // 100}" / f"{number}.mkv"
            target.parent.mkdir(exist_ok=True)
            if number % 50 == 0:
                shutil.copy(stereo, target)
            elif number % 50 == 1:
                shutil.copy(german, target)
            elif number % 2:
                target.write_bytes(cut)
            else:
                target.write_bytes(b"just text\n" * 100)
        ends = {
            ("complete", "skipped_has_en2"),
            ("complete", "ignored"),
            ("quarantined", "new"),
            ("incomplete", "ignored"),
        }

        def finished():
            found = service.all_statuses()
            return len(found) == 1000 and set(found) == ends

        service.until(finished, "all have ended", timeout=400)
        counts = {end: service.all_statuses().count(end) for end in ends}
        assert sorted(counts.values()) == [20, 20, 480, 480]
    with StateStore(service.database, read_only=True) as store:
        journal = store.sql("SELECT move, count(*) FROM journal GROUP BY move").fetchall()
    logged = {}
    for line in service.lines():
        if "from" in line and "to" in line:
            logged[line["event"]] = logged.get(line["event"], 0) + 1
    assert logged == dict(journal)
    assert os.path.getsize(service.log) < 2_000_000
