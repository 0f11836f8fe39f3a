"""The README's section "Install it for good", its very lines, in a booted system that has never seen the program."""

import re
import shutil
import subprocess
import sys
import tomllib

import pytest
from box import SOURCE, Box
from films import film

README = (SOURCE / "README.md").read_text()
SECTION = README.partition("## Install it for good")[2].partition("\n## ")[0]


def block(number):
    """Give the lines of an indented block of the section."""
    return (
        re.findall(r"(?:^    .+\n)+", SECTION, re.MULTILINE)[number]
        .replace("    ", "", 1)
        .replace("\n    ", "\n")
        .splitlines()
    )


@pytest.fixture
def wheels(tmp_path):
    """What `pip install .` would fetch, fetched before: the booted system has no network."""
    described = tomllib.loads((SOURCE / "pyproject.toml").read_text())
    needed = [*described["build-system"]["requires"], *described["project"]["dependencies"]]
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--wheel-dir", tmp_path / "wheels", *needed]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"pip can fetch nothing here: {done.stderr[-200:]}")
    return tmp_path / "wheels"


@pytest.fixture
def clone(tmp_path):
    """The repository as a clone would have it, with what is not committed yet."""
    command = ["git", "-C", SOURCE, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    for name in filter(None, listed.split("\0")):
        if (SOURCE / name).exists():
            (tmp_path / "clone" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(SOURCE / name, tmp_path / "clone" / name)
    return tmp_path / "clone" if listed else SOURCE


@pytest.fixture
def box(tmp_path, wheels, clone):
    box = Box(tmp_path / "box")
    box.up(f"{wheels}:/opt/wheels", f"{clone}:/root/watcher")
    yield box
    box.down()


def test_from_a_clone_to_a_converted_film_with_the_readmes_own_lines(box):
    """On a machine with a group `media` and its folder of films, as whoever is root; `sudo` is no part of that."""
    box.sh("groupadd -f media; mkdir /srv/films; chgrp media /srv/films; chmod 2775 /srv/films")
    box.write("/usr/local/bin/sudo", '#!/bin/sh\nexec "$@"\n')
    *install, doctor = block(0)
    for line in install:
        box.sh(
            f"chmod +x /usr/local/bin/sudo; cd /root/watcher; export PIP_NO_INDEX=1 PIP_FIND_LINKS=/opt/wheels; {line}"
        )
    assert box.is_in_state("active")
    said = box.sh(doctor, check=False)
    assert "problem" not in said, said
    assert "the service is active" in said

    made = film(box.drop / "film.tmp", seconds=1, extra=["-f", "matroska"])
    box.sh("install -g media -m 664 /srv/drop/film.tmp /srv/films/Heat.mkv")
    box.until(lambda: box.entries("EVENT=converted"), "the film is converted")
    assert made.stat().st_size < int(box.sh("stat -c %s /srv/films/Heat.mkv"))

    follow, life, wrong, status = [line.partition("  ")[0] for line in block(1)]
    assert "stereo track added: /srv/films/Heat.mkv" in box.sh(follow.removesuffix(" -f"))
    assert [line.partition("]: ")[2].partition(":")[0] for line in box.sh(life).splitlines()] == [
        "found", "checking", "whole", "stereo track added",
    ]  # fmt: skip
    assert "No entries" in box.sh(wrong)
    assert '"0 running; 1 folder watched"' in box.sh(status, check=False)
    box.sh("useradd -M -G media anna")
    assert "running (process" in box.sh("cd /; su anna -c 'watcher status'")
    refused = box.run("su", "anna", "-c", "cd /; watcher retry /srv/films/Heat.mkv", check=False)
    assert (refused.returncode, refused.stderr.partition(",")[0]) == (
        1, "watcher: you may not write the database /var/lib/watcher/watcher.db",
    )  # fmt: skip
    (remove,) = re.findall(r"To take it away: `(.*?)`", SECTION)
    box.sh(remove)
    assert box.sh("ls /etc/watcher /var/lib/watcher", check=False).split()[:2] == ["/etc/watcher:", "config.toml"]
