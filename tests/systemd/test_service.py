"""The service under a real systemd and its journal, from the installation on. One booted system serves all tests."""

import os
import re
import subprocess
import time

import pytest
from box import PROGRAM, SOURCE, Box
from films import film, kinds

README = (SOURCE / "README.md").read_text()


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    box = Box(tmp_path_factory.mktemp("box"))
    box.up()
    try:
        box.install()
        yield box
    finally:
        box.down()


@pytest.fixture
def running(box):
    """The service, started anew with its usual settings."""
    box.configure()
    box.run("systemctl", "reset-failed", "watcher", check=False)
    box.run("systemctl", "restart", "watcher")
    yield box
    box.run("systemctl", "stop", "watcher")


def add(box, name, **options):
    """Put a film into the drop folder as somebody of the group would."""
    path = film(box.drop / name, **options)
    box.sh(f"chgrp media '/srv/drop/{name}'; chmod 664 '/srv/drop/{name}'")
    return path


def events(box, name):
    return [entry["EVENT"] for entry in box.entries(f"FILE_PATH=/srv/drop/{name}")]


def test_a_film_is_converted_under_the_sandbox_and_its_life_is_in_the_journal(running):
    """Start returns when the folders are watched; the result belongs to the group; each line is fields and a sentence."""
    assert running.is_in_state("active")
    assert "watching" in [entry.get("EVENT") for entry in running.entries()]
    add(running, "a film.mkv")
    running.until(lambda: "converted" in events(running, "a film.mkv"), "it is converted")
    assert events(running, "a film.mkv") == ["found", "check_started", "check_passed", "converted"]
    (line,) = running.entries("FILE_PATH=/srv/drop/a film.mkv", "EVENT=converted")
    assert line["MESSAGE"].startswith("stereo track added: /srv/drop/a film.mkv")
    assert (line["PRIORITY"], line["FROM"], line["TO"], line["ROOT"]) == ("5", "NEW", "CONVERTED", "/srv/drop")
    assert len(line["WATCHER_JOB"]) == 12
    assert line["CODE_FILE"].endswith("telling.py")
    assert running.sh("stat -c '%U %G %a' '/srv/drop/a film.mkv'") == "watcher media 664"


def test_a_film_that_somebody_else_still_writes_is_waited_for(running):
    """The service owns neither the file nor the process, and is shown no other's: only a lease tells, which it may take."""
    whole = add(running, "whole.mkv", seconds=3).read_bytes()
    with open(running.drop / "arriving.mkv", "wb") as file:
        file.write(whole[:40_000])
        file.flush()
        running.until(lambda: "converted" in events(running, "whole.mkv"), "the other one is done")
        time.sleep(3)  # three times the wait that silence alone would take
        assert events(running, "arriving.mkv") == ["found"]
        file.write(whole[40_000:])
    running.sh("chgrp media /srv/drop/arriving.mkv; chmod 664 /srv/drop/arriving.mkv")
    running.until(lambda: "converted" in events(running, "arriving.mkv"), "and then this one")
    assert "check_failed" not in events(running, "arriving.mkv")


EVENING = {
    "Heat (1995)": {}, "Alien (1979)": kinds["english_stereo"], "Ran (1985)": kinds["german"], "Solaris (1972)": {},
    "Stalker (1979)": {}, "Brazil (1985)": {}, "Metropolis (1927)": {}, "Tampopo (1985)": {}, "Akira (1988)": {},
    "Amadeus (1984)": {},
}  # fmt: skip


def test_an_evening_with_ten_films_reads_as_the_readme_tells_it(box):
    """One has its stereo track already, one no English sound, one arrives slowly, one was cut and one never filled."""
    box.configure(backoff_step_sec=600)
    since = box.sh("systemctl stop watcher; rm -rf /var/lib/watcher/* /srv/drop/*; date +%s.%N")
    box.sh("systemctl reset-failed watcher || :; systemctl start watcher")
    box.until(lambda: box.entries("EVENT=backed up", f"--since=@{since}"), "it has looked around")
    made = {name: film(box.drop / f"{name}.tmp", extra=["-f", "matroska"], **kind) for name, kind in EVENING.items()}
    content = made["Solaris (1972)"].read_bytes()
    made["Solaris (1972)"].write_bytes(content[: len(content) * 6 // 10])
    made["Akira (1988)"].write_bytes(bytes(len(content)))
    box.sh("chgrp media /srv/drop/*; chmod 664 /srv/drop/*")
    slow = made.pop("Stalker (1979)").with_suffix(".mkv")
    for number, file in enumerate(made.values(), 1):  # more than a handful at once would be told of as a number
        file.rename(file.with_suffix(".mkv"))
        box.until(lambda number=number: len(box.entries("EVENT=found", f"--since=@{since}")) == number, "it is found")
    with slow.open("wb") as arriving:
        arriving.write(content[:30_000])
        arriving.flush()
        box.sh("chgrp media '/srv/drop/Stalker (1979).mkv'; chmod 664 '/srv/drop/Stalker (1979).mkv'")
        box.until(lambda: len(box.entries("EVENT=check_failed", f"--since=@{since}")) == 2, "two are not whole")
        arriving.write(content[30_000:])
    box.until(lambda: len(box.entries("EVENT=converted", f"--since=@{since}")) == 6, "six have their track")
    box.run("systemctl", "stop", "watcher")
    said = box.sh(f"journalctl -u watcher SYSLOG_IDENTIFIER=watcher -o cat --no-pager --since=@{since}")
    assert told(said.replace("/srv/drop", "/srv/films")) == told(
        "\n".join(re.findall(r"    \d\d:\d\d:\d\d (.*)", README))
    )


def told(text):
    """Give what is said of each film, and under "" of the service, in order; whatever the numbers are."""
    said = {}
    for line in text.splitlines():
        words, name, more = re.fullmatch(r"(.*?)(?:: /srv/films/(.*)\.mkv(.*))?", line).groups()
        why = re.sub(r"[\d.,]+", "N", more or "")
        said.setdefault(name or "", []).append((re.sub(r"ffmpeg [^)]*", "ffmpeg N", words), why))
    return said


def test_trouble_is_explained_by_the_catalog(running):
    """`journalctl -x` says what it means and what to do; the name is kept byte for byte."""
    cut = film(running.drop / "source.tmp", seconds=3, extra=["-f", "matroska"])
    with open(cut, "r+b") as file:
        file.truncate(40_000)
    os.rename(cut, bytes(running.drop) + b"/caf\xe9.mkv")

    def found():  # what is no UTF-8 is given as a list of numbers
        return [line for line in running.entries("EVENT=check_failed") if isinstance(line["FILE_PATH"], list)]

    running.until(found, "it is found to be cut")
    (line, *_) = found()
    assert bytes(line["FILE_PATH"]) == b"/srv/drop/caf\xe9.mkv"
    assert r"not whole: /srv/drop/caf\xe9.mkv (cut" in line["MESSAGE"]
    told = running.run("journalctl", "-u", "watcher", "-x", "EVENT=check_failed", "--no-pager").stdout
    assert "Subject: A film is not whole" in told
    assert "watcher retry FILE" in told


def test_the_doctor_tries_the_folders_as_the_services_user(running):
    """All is well as installed; where the group may not write, or the sandbox does not let it, that is a problem."""
    done = running.run(PROGRAM, "doctor", "--config", "/etc/watcher/config.toml", check=False)
    assert "/srv/drop: files can be made, changed and renamed by watcher" in done.stdout
    assert "the service is active" in done.stdout
    assert "problem" not in done.stdout
    running.sh("mkdir -p /srv/other; chmod 755 /srv/other")
    running.configure(watch=["/srv/drop", "/srv/other"])
    done = running.run(PROGRAM, "doctor", check=False)
    assert done.returncode == 2
    assert "/srv/other: a file cannot be written in it by watcher: Permission denied" in done.stdout
    assert "its sandbox does not let it write in /srv/other" in done.stdout


def test_a_reload_waits_for_its_verdict(running):
    """A wrong file makes `systemctl reload` fail, says why, and the service goes on with what it had."""
    running.configure(stable_wait_sec=2)
    running.run("systemctl", "reload", "watcher")
    assert any(entry.get("EVENT") == "settings reloaded" for entry in running.entries())
    running.configure(stable_wait_sec=-1)
    done = running.run("systemctl", "reload", "watcher", check=False)
    assert done.returncode != 0
    assert "stable_wait_sec = -1" in running.log()
    assert running.is_in_state("active")


def test_a_port_is_reached_only_where_the_settings_open_it(box):
    """The network drop-in is written by `install-unit` when a port is named, and taken away when none is."""
    ask = (
        "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9817/metrics', timeout=10).read().decode()[-6:])"
    )
    box.configure(metrics_listen="127.0.0.1:9817")
    assert box.run("systemctl", "restart", "watcher", check=False).returncode != 0
    assert "the sandbox of the unit has no network: say `watcher install-unit` again" in box.log()
    box.run(PROGRAM, "install-unit")
    box.sh("ip link set lo up || :; systemctl reset-failed watcher; systemctl restart watcher")
    assert box.run("python3", "-c", ask).stdout.strip() == "# EOF"
    box.configure()
    box.run(PROGRAM, "install-unit")
    assert "20-network" not in box.sh("systemctl cat watcher")
    box.run("systemctl", "restart", "watcher")


def test_a_wrong_setting_at_the_start_is_not_tried_again(box):
    """Exit code 78: one try, and the reason in the journal."""
    box.configure(backoff_step_sec=-1)
    assert box.run("systemctl", "restart", "watcher", check=False).returncode != 0
    assert (box.show("Result"), box.show("ExecMainStatus"), box.show("NRestarts")) == ("exit-code", "78", "0")
    assert "backoff_step_sec = -1" in box.log()


def test_a_crash_and_a_hung_loop_are_restarted(running):
    """The loop feeds the watchdog: a process that stands still is killed by systemd and begun anew."""
    running.write("/etc/systemd/system/watcher.service.d/99-test.conf", "[Service]\nRestartSec=100ms\nWatchdogSec=2s\n")
    running.sh("systemctl daemon-reload; systemctl restart watcher")
    for signal in ("KILL", "STOP"):
        before = running.show("MainPID")
        running.run("systemctl", "kill", "--kill-whom=main", "-s", signal, "watcher")
        running.until(lambda before=before: running.show("MainPID") not in ("0", before), f"restarted after {signal}")
        running.until(lambda: running.is_in_state("active"), f"active after {signal}")
    assert "Watchdog timeout" in running.sh("journalctl -u watcher --no-pager")
    running.sh("rm /etc/systemd/system/watcher.service.d/99-test.conf; systemctl daemon-reload")


def test_a_stop_in_the_middle_of_a_film_leaves_no_process_and_no_file_that_stays(running, tmp_path):
    """FFmpeg is ended by the service itself; the film is as it was; what is kept of the track is gone on with, or goes."""

    def hidden():
        return {name for name in running.sh("ls -A /srv/drop").split() if name.startswith(".")}

    short, looped, source = (
        film(tmp_path / "short.mkv", seconds=2),
        running.drop / "long.tmp",
        running.drop / "long.mkv",
    )
    subprocess.run(
        ["ffmpeg", "-v", "error", "-stream_loop", "900", "-i", short, "-map", "0", "-c", "copy", "-f", "matroska", looped],
        check=True,
    )  # fmt: skip
    size = looped.stat().st_size
    running.sh("chgrp media /srv/drop/long.tmp; chmod 664 /srv/drop/long.tmp")
    looped.rename(source)
    running.until(lambda: any(name.endswith(".state.json") for name in hidden()), "a track is made")
    running.run("systemctl", "stop", "watcher")
    assert running.show("Result") == "success"
    assert running.sh("pgrep -l 'ffmpeg|watcher'", check=False) == ""
    assert source.stat().st_size == size
    assert {name.split(".", 2)[2] for name in hidden()} <= {"track", "state.json"}
    running.run("systemctl", "start", "watcher")
    running.until(lambda: "conversion goes on" in events(running, "long.mkv"), "it goes on")
    running.run("systemctl", "stop", "watcher")
    source.unlink()
    running.run("systemctl", "start", "watcher")
    running.until(lambda: not hidden(), "nothing is kept for a film that is gone")


@pytest.fixture
def disks(box):
    """Two disks that fstab names, each with a folder of films; `mount` mounts them."""

    class Disks:
        folders = ("/srv/one/films", "/srv/two/films")

        def mount(self, *names):
            for name in names:
                box.sh(f"systemctl start srv-{name}.mount; mkdir /srv/{name}/films; touch /srv/{name}/films/there")
                box.sh(f"chgrp media /srv/{name}/films; chmod 2775 /srv/{name}/films")

    disks = Disks()
    for name in ("one", "two"):
        box.sh(f"mkdir -p /srv/{name}; echo '{name} /srv/{name} tmpfs noauto,size=200m 0 0' >> /etc/fstab")
    box.sh("systemctl daemon-reload")
    disks.mount("one", "two")
    yield disks
    box.sh("systemctl disable --now watcher; umount /srv/one /srv/two || :; : > /etc/fstab; systemctl daemon-reload")


def watch(box, *folders):
    box.configure(watch=folders)
    box.run(PROGRAM, "install-unit")
    box.sh("systemctl enable watcher; systemctl restart watcher")


def test_the_disk_goes_and_comes_back_and_the_service_with_it(box, disks):
    """BindsTo stops it with the mount, WantedBy starts it again; written by `install-unit` from the settings."""
    watch(box, "/srv/one/films")
    box.sh("umount -l /srv/one")
    box.until(lambda: box.is_in_state("inactive"), "it stops with its disk")
    disks.mount("one")
    box.until(lambda: box.is_in_state("active"), "it starts with its disk")


def test_of_two_disks_one_that_goes_stops_its_own_folder_alone(box, disks):
    """The sandbox keeps no hold of it; what is on the other is converted meanwhile, and what is on it when it is back."""
    watch(box, *disks.folders)
    process = box.show("MainPID")
    box.sh("umount /srv/two")
    box.until(lambda: box.entries("EVENT=root suspended"), "its folder is suspended")
    assert box.sh("grep -c ' /srv/two' /proc/$(systemctl show -P MainPID watcher)/mountinfo", check=False) == "0"
    film(box.drop / "film.tmp", seconds=1, extra=["-f", "matroska"])
    put = "install -g media -m 664 /srv/drop/film.tmp /srv/{0}/films/f.part; mv /srv/{0}/films/f.part /srv/{0}/films/f.mkv"
    box.sh(put.format("one"))
    box.until(lambda: box.entries("EVENT=converted", "FILE_PATH=/srv/one/films/f.mkv"), "the other one goes on")
    disks.mount("two")
    box.until(lambda: box.entries("EVENT=root is back"), "its folder is taken up")
    box.sh(put.format("two"))
    box.until(lambda: box.entries("EVENT=converted", "FILE_PATH=/srv/two/films/f.mkv"), "and written in")
    assert box.show("MainPID") == process


def test_it_is_taken_away_again_but_for_what_is_the_owners(box):
    """Settings and database stay."""
    box.sh("mkdir -p /var/lib/watcher")  # where the service has its database, if it has run in this system
    told = box.run(PROGRAM, "install-unit", "--uninstall", "--dry-run").stdout
    assert "would remove /etc/systemd/system/watcher.service" in told
    box.run(PROGRAM, "install-unit", "--uninstall")
    assert box.run("systemctl", "cat", "watcher", check=False).returncode != 0
    left = box.sh("find /etc /usr/local /var/lib -name '*watcher*' -not -path '*/python*' -not -path '*/journal/*'")
    assert {"/etc/watcher", "/var/lib/watcher"} <= set(left.split())
    assert not [path for path in left.split() if not path.startswith(("/etc/watcher", "/var/lib/watcher"))]
