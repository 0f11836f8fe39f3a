"""A container that cannot take the track well keeps its film as it was and gets a sidecar."""

import os
import shutil

from films import Audio, film
from running import Service


def test_an_avi_gets_a_sidecar_once_and_is_itself_untouched(tmp_path):
    drop = tmp_path / "films"
    drop.mkdir()
    made = film(tmp_path / "made.avi", audio=(Audio("", 6),))
    with Service(tmp_path, drop, audio={"untagged_is_english": True}) as service:
        shutil.copy(made, drop / "Old Film.avi")
        before = os.stat(drop / "Old Film.avi")
        service.reaches(drop / "Old Film.avi", "COMPLETE", "CONVERTED", "sidecar")
        service.reaches(drop / "Old Film.stereo.mkv", "COMPLETE", "SKIPPED_HAS_EN2", "made by us")
        after = os.stat(drop / "Old Film.avi")
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
        assert (drop / "Old Film.avi").read_bytes() == made.read_bytes()
        made_once = os.stat(drop / "Old Film.stereo.mkv")
        service.stop()
        service.start()
        service.until(lambda: any(line["event"] == "watching" for line in service.lines_of_this_run()), "it watches")
        shutil.copy(made, drop / "Second.avi")
        service.reaches(drop / "Second.avi", "COMPLETE", "CONVERTED", "sidecar")
        assert os.stat(drop / "Old Film.stereo.mkv").st_ino == made_once.st_ino
        assert sorted(os.listdir(drop)) == ["Old Film.avi", "Old Film.stereo.mkv", "Second.avi", "Second.stereo.mkv"]
        # The same film replaced by a better one: its sidecar is ours, and is made anew.
        better = film(tmp_path / "better.avi", audio=(Audio("", 6),), seconds=3)
        shutil.copy(better, drop / "Old Film.avi")
        service.until(lambda: service.moves(drop / "Old Film.avi").count("converted") == 2, "it is converted again")
        service.reaches(drop / "Old Film.stereo.mkv", "COMPLETE", "SKIPPED_HAS_EN2", "made by us")
        assert os.stat(drop / "Old Film.stereo.mkv").st_ino != made_once.st_ino
        # One that somebody has changed since is his, and never replaced.
        with open(drop / "Old Film.stereo.mkv", "ab") as sidecar:
            sidecar.write(b"x")
        his = os.stat(drop / "Old Film.stereo.mkv")
        shutil.copy(made, drop / "Old Film.avi")
        service.reaches(drop / "Old Film.avi", "COMPLETE", "CONVERT_FAILED", "sidecar_exists")
        assert os.stat(drop / "Old Film.stereo.mkv").st_ino == his.st_ino
