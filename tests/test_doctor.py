"""`watcher doctor`: each fault is made for it, and it says what is wrong and what to do."""

import json
import os
import stat

import pytest
from helpers import small_disk

from watcher.commands import doctoring
from watcher.config import StateConfig, WatchSettings
from watcher.service import doctor
from watcher.service.doctor import Machine
from watcher.watch import mounts


@pytest.fixture
def machine(tmp_path):
    """A machine without systemd, whose limits and fstab are files of ours."""
    (tmp_path / "watches").write_text("100000\n")
    (tmp_path / "fstab").write_text("")
    return Machine(str(tmp_path / "fstab"), str(tmp_path / "watches"), str(tmp_path / "no systemd"))


@pytest.fixture
def films(tmp_path):
    folder = tmp_path / "films"
    folder.mkdir()
    return folder


def findings(machine, films, about, **settings):
    settings.setdefault("storage_url", str(films.parent / "watcher.db"))
    found = doctor.examine(StateConfig(watch=[WatchSettings(path=films)], **settings), machine)
    return [(finding.level, finding.text, finding.advice) for finding in found if finding.about == about]


def test_a_machine_that_is_well_gets_no_advice(machine, films):
    """Each line says what was found; nothing is left in the folder."""
    lines = [
        line
        for about in ("folders", "inotify", "ffmpeg", "database", "clock")
        for line in findings(machine, films, about)
    ]
    assert {(level, advice) for level, _, advice in lines} == {("ok", "")}
    assert any("files can be made, changed and renamed by" in text for _, text, _ in lines)
    assert any(text.startswith("FFmpeg ") for _, text, _ in lines)
    assert list(films.iterdir()) == []


@pytest.mark.usefixtures("may_not")
def test_a_read_only_folder(machine, films):
    films.chmod(stat.S_IRUSR | stat.S_IXUSR)
    level, text, advice = findings(machine, films, "folders")[1]
    assert (level, "cannot be written in" in text, "Permission denied" in text, "chgrp" in advice) == (
        "problem",
        True,
        True,
        True,
    )


def test_a_file_system_that_does_not_tell_holes(machine, films, monkeypatch):
    """As NFS before 4.2 and SMB: all of a file is data to them, up to its end."""
    assert not any("reserved" in text for _, text, _ in findings(machine, films, "folders"))
    monkeypatch.setattr(doctor.os, "lseek", lambda descriptor, *_: doctor.os.fstat(descriptor).st_size)
    level, text, _ = findings(machine, films, "folders")[2]
    assert (level, "whose space is only reserved is known by its zeros" in text) == ("ok", True)


def test_a_folder_that_is_not_there(machine, films):
    films.rmdir()
    assert findings(machine, films, "folders") == [("problem", f"{films} is not there", "mount its disk, or make it")]


def test_a_full_file_system_that_fstab_does_not_name(machine, films):
    """Two lines for the space, one for the mount; named in fstab it is well."""
    with small_disk(films / "disk", 64) as disk:
        (disk / "filler").write_bytes(bytes(60 * 1024))
        os.truncate(disk / "filler", 0)
        with open(disk / "filler", "wb") as file, pytest.raises(OSError, match="No space"):
            file.write(bytes(1 << 20))
            file.flush()
        levels = {
            text.partition(": ")[2].split(":")[0]: (level, advice)
            for level, text, advice in findings(machine, disk, "folders", storage_url=str(films.parent / "w.db"))
        }
        assert levels["a file cannot be written in it by root"] == ("problem", "free space on that disk")
        assert levels["only 0 MB are free"][0] == "problem"
        (warning,) = [value for text, value in levels.items() if "mounted now, and not by fstab" in text]
        assert (warning[0], str(disk) in warning[1]) == ("warning", True)
        with open(machine.fstab, "w") as table:
            table.write(f"tmpfs {disk} tmpfs size=64k 0 0\n")
        texts = [text for _, text, _ in findings(machine, disk, "folders", storage_url=str(films.parent / "w.db"))]
        assert any(text.endswith("stands in fstab") for text in texts)


def test_no_ffmpeg_and_an_old_one(machine, films, tmp_path):
    """Both name the package to install."""
    old = tmp_path / "ffmpeg"
    old.write_text('#!/bin/sh\necho "ffmpeg version 4.4.1 Copyright"\n')
    old.chmod(0o755)
    (tmp_path / "ffprobe").symlink_to(old)
    for program, words in ((tmp_path / "none", "not found"), (old, "is version 4.4.1, but 5.1 or newer is needed")):
        ((level, text, _),) = findings(machine, films, "ffmpeg", ffmpeg={"ffmpeg": str(program)})
        assert (level, words in text, "apt-get install ffmpeg" in text) == ("problem", True, True)


def test_a_low_limit_of_inotify(machine, films):
    """A problem where it is reached, a warning where more than half of it is."""
    for number in range(6):
        (films / f"season {number}").mkdir()
    (films / "@eaDir" / "junk").mkdir(parents=True)
    for limit, level in ((5, "problem"), (13, "warning"), (14, "ok")):
        with open(machine.watches, "w") as file:
            file.write(str(limit))
        ((found, text, advice),) = findings(machine, films, "inotify")
        assert (found, text) == (level, f"7 of {limit} watches are needed")
        assert ("fs.inotify.max_user_watches=524288" in advice) == (level != "ok")


def test_a_database_on_a_network_file_system(machine, films, monkeypatch):
    """Refused by the service, and so a problem; a warning for who takes the risk."""
    monkeypatch.setattr(mounts, "fs_type_at", lambda *_: "nfs4")
    (level, text, advice), _ = findings(machine, films, "database")
    assert (level, "network file system (nfs4)" in text, "local disk" in advice) == ("problem", True, True)
    assert findings(machine, films, "database", allow_network_database=True)[0][0] == "warning"


def test_a_damaged_database(machine, films):
    (films.parent / "watcher.db").write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    assert findings(machine, films, "database")[0][0] == "problem"


def test_the_answer_is_lines_or_json_and_the_exit_code_the_worst_of_it(machine, tmp_path, capsys):
    """A wrong setting is a finding too: 0 well, 1 a warning, 2 a problem."""
    file = tmp_path / "settings.toml"
    file.write_text("stable_wait_sec = -1\n")
    assert doctoring.examine(file, machine=machine, as_json=False) == 2
    out = capsys.readouterr().out
    assert out.startswith(f"problem settings  {file}: stable_wait_sec = -1")
    assert "\n                  -> put it right" in out
    (tmp_path / "films").mkdir()
    file.write_text(f'storage_url = "{tmp_path}/w.db"\n[[watch]]\npath = "films"\n')
    assert doctoring.examine(file, [tmp_path / "more"], machine, as_json=True) == 2
    answer = json.loads(capsys.readouterr().out)
    assert answer["status"] == "problem"
    assert [finding["text"] for finding in answer["findings"] if finding["level"] != "ok"] == [
        f"{tmp_path}/more is not there",
        f"no systemd runs here ({machine.systemd} is not there)",
    ]
