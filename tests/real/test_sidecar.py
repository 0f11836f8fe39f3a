"""A container that cannot take the track well keeps its film as it was and gets a sidecar, or becomes Matroska."""

import os
import shutil

from films import Audio, film
from running import Service


def replace(source, target):
    """Move another film into place: one written into the old file looks like a writer that paused, who is waited for."""
    shutil.copy(source, target.with_name("arriving.tmp"))
    os.rename(target.with_name("arriving.tmp"), target)


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
        replace(better, drop / "Old Film.avi")
        service.until(lambda: service.moves(drop / "Old Film.avi").count("converted") == 2, "it is converted again")
        service.reaches(drop / "Old Film.stereo.mkv", "COMPLETE", "SKIPPED_HAS_EN2", "made by us")
        assert os.stat(drop / "Old Film.stereo.mkv").st_ino != made_once.st_ino
        # One that somebody has changed since is his, and never replaced.
        with open(drop / "Old Film.stereo.mkv", "ab") as sidecar:
            sidecar.write(b"x")
        his = os.stat(drop / "Old Film.stereo.mkv")
        replace(made, drop / "Old Film.avi")
        service.reaches(drop / "Old Film.avi", "COMPLETE", "CONVERT_FAILED", "sidecar_exists")
        assert os.stat(drop / "Old Film.stereo.mkv").st_ino == his.st_ino


def test_with_remux_a_film_becomes_matroska_in_its_own_place_and_keeps_its_history(tmp_path):
    """One film, one row; its new name is no news, and what it was before is kept where that is wanted."""
    drop = tmp_path / "films"
    drop.mkdir()
    made = film(tmp_path / "made.ts", audio=(Audio("eng", 6),))
    with Service(tmp_path, drop, audio={"remux": True, "keep_original": True}) as service:
        shutil.copy(made, drop / "Film.ts")
        service.reaches(drop / "Film.mkv", "COMPLETE", "CONVERTED", "other_container")
        assert sorted(os.listdir(drop)) == ["Film.mkv", "Film.ts.original"]
        assert (drop / "Film.ts.original").read_bytes() == made.read_bytes()
        assert service.moves(drop / "Film.mkv") == ["check_started", "check_passed", "moved", "converted"]
        # A name that is taken is refused, and both films stay.
        shutil.copy(made, drop / "Film.ts")
        service.reaches(drop / "Film.ts", "COMPLETE", "DUPLICATE")
        assert len(service.all_statuses()) == 2
