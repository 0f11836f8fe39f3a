"""The unit file, judged by systemd's own tools."""

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from watcher.commands import unit_files
from watcher.commands.unit_files import Machine
from watcher.config import StateConfig, WatchSettings, load
from watcher.watch import mounts

UNIT = Path(__file__).parent.parent / "systemd" / "watcher.service"

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")


@needs_systemd
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path):
    """`systemd-analyze verify` is silent; the program is replaced by one that is there on every machine."""
    lines = UNIT.read_text().splitlines()
    copy = tmp_path / "watcher.service"
    copy.write_text("\n".join(re.sub(r"^(Exec\w+=).*", r"\1/bin/true", line) for line in lines))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if "watcher" in line]
    assert (done.returncode, said) == (0, []), done.stderr


@needs_systemd
def test_the_service_is_locked_in(tmp_path):
    """Its exposure is at most 0.6 of 10."""
    alone = shutil.copy(UNIT, tmp_path)
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=6", alone]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-300:]


@needs_systemd
def test_the_drop_in_for_newer_systemds_is_understood_by_them_and_by_none_before(tmp_path):
    """Older ones than 254 pass over its two keys, with a complaint: so they are not given it."""
    said = subprocess.run(["systemctl", "--version"], capture_output=True, text=True, check=True).stdout
    knows = int(re.match(r"systemd (\d+)", said)[1]) >= 254
    there = tmp_path / "watcher.service.d"
    there.mkdir()
    shutil.copy(UNIT.with_name("50-patience.conf"), there)
    (tmp_path / "watcher.service").write_text(re.sub(r"(?m)^(Exec\w+=).*", r"\1/bin/true", UNIT.read_text()))
    command = ["systemd-analyze", "verify", "--man=no", tmp_path / "watcher.service"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    unknown = re.findall(r"50-patience.conf:\d+: Unknown key (?:name )?'(\w+)'", done.stderr)
    assert unknown == ([] if knows else ["RestartSteps", "RestartMaxDelaySec"])
    assert done.stderr.count("50-patience.conf") == len(unknown), done.stderr


def test_the_unit_and_the_program_agree():
    """It runs a command that exists, tells systemd of itself, and does not restart on a wrong setting."""
    lines = UNIT.read_text().splitlines()
    assert "ExecStart=/opt/watcher/bin/watcher run --config /etc/watcher/config.toml" in lines
    assert {"Type=notify", "StateDirectory=watcher", "RestartPreventExitStatus=78"} <= set(lines)


# --- what `watcher install-unit` makes of the settings

MACHINE = Machine("/opt/watcher/bin/watcher", "media", 252, 65536, (b"/", b"/srv/films", b"/mnt/my-disk"))


def settings(*paths, **more):
    return StateConfig(watch=[WatchSettings(path=path) for path in paths], **more)


def keys_of(text):
    return [line for line in text.splitlines() if "=" in line]


def test_the_service_may_write_in_its_folders_and_lives_with_the_disk_of_all():
    """BindsTo stops it, WantedBy starts it; folders on the system's own disk bind it to nothing."""
    assert keys_of(unit_files.folders(settings("/mnt/my-disk/x", "/mnt/my-disk/y"), MACHINE.mounted)) == [
        r"BindsTo=mnt-my\x2ddisk.mount",
        r"After=mnt-my\x2ddisk.mount",
        'ReadWritePaths="-/mnt/my-disk/x"',
        'ReadWritePaths="-/mnt/my-disk/y"',
        r"WantedBy=mnt-my\x2ddisk.mount",
    ]
    assert keys_of(unit_files.folders(settings("/data", "/more"), MACHINE.mounted)) == [
        'ReadWritePaths="-/data"',
        'ReadWritePaths="-/more"',
    ]


def test_of_several_disks_none_stops_what_lies_on_the_others():
    """Each is mounted first and may be missing; the whole disk is writable, since a folder of it would keep it mounted."""
    text = unit_files.folders(settings("/srv/films/new", "/data", "/mnt/my-disk/x"), MACHINE.mounted)
    assert keys_of(text) == [
        r"Wants=mnt-my\x2ddisk.mount",
        r"After=mnt-my\x2ddisk.mount",
        "Wants=srv-films.mount",
        "After=srv-films.mount",
        'ReadWritePaths="-/srv/films"',
        'ReadWritePaths="-/data"',
        'ReadWritePaths="-/mnt/my-disk"',
    ]


def test_the_database_and_its_backups_elsewhere_may_be_written_too():
    """In the state folder they may anyway; and films below /home are let in only where they are wanted."""
    text = unit_files.folders(settings("/home/me/films", storage_url="/data/db/w.db", backup_dir="/bak"), ())
    assert 'ReadWritePaths="-/data/db"\nReadWritePaths="-/bak"' in text
    assert "ProtectHome=no" in text
    assert "ProtectHome" not in unit_files.folders(settings("/data", storage_url="/var/lib/watcher/w.db"), ())


def test_without_the_disk_of_its_database_it_does_not_run():
    """Or it would begin a new database in the empty folder."""
    text = unit_files.folders(settings("/data", storage_url="/mnt/my-disk/w.db"), MACHINE.mounted)
    assert r"BindsTo=mnt-my\x2ddisk.mount" in text
    assert 'ReadWritePaths="-/data"\nReadWritePaths="-/mnt/my-disk"' in text


@needs_systemd
@pytest.mark.parametrize("name", ["srv/films", "mnt/my-disk", "a b/c%d", ".hidden/ä", "x/back\\slash", "caf\udce9"])
def test_names_are_escaped_as_systemd_does(name):
    """The name of a mount unit, for any bytes."""
    path = os.fsencode(f"/{name}")
    done = subprocess.run(
        ["systemd-escape", "--path", "--suffix=mount", path], capture_output=True, text=True, check=True
    )
    assert unit_files.unit_name(path) == done.stdout.strip()


@needs_systemd
def test_systemd_reads_back_any_folder(tmp_path):
    """Blanks, quotes, per cent, backslashes and bytes that are no UTF-8: verify finds nothing to say."""
    made = unit_files.files(settings('/srv/my "100 %" films\\', os.fsdecode(b"/srv/caf\xe9\n")), MACHINE)
    folder = tmp_path / "watcher.service.d"
    folder.mkdir()
    (folder / "10-folders.conf").write_text(made[unit_files.DROP_INS / "10-folders.conf"], errors="surrogateescape")
    (tmp_path / "watcher.service").write_text(re.sub(r"(?m)^(Exec\w+=).*", r"\1/bin/true", made[unit_files.UNIT]))
    command = ["systemd-analyze", "verify", "--man=no", tmp_path / "watcher.service"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert [line for line in done.stderr.splitlines() if "10-folders" in line or "watcher" in line] == []


def test_the_files_follow_the_machine():
    """Its program and group; more patience where systemd knows it, and a limit only where it is raised by that."""
    made = unit_files.files(settings("/srv"), replace(MACHINE, program="/x/bin/watcher", group="users", systemd=257))
    assert "ExecStart=/x/bin/watcher run" in made[unit_files.UNIT]
    assert "Group=users" in made[unit_files.UNIT]
    assert "m watcher users" in made[Path("/etc/sysusers.d/watcher.conf")]
    assert {unit_files.SYSCTL, unit_files.DROP_INS / "50-patience.conf"} <= made.keys() <= set(unit_files.EVERY)
    less = unit_files.files(settings(), replace(MACHINE, watches=1_000_000))
    assert (
        not {unit_files.SYSCTL, unit_files.DROP_INS / "50-patience.conf", unit_files.DROP_INS / "10-folders.conf"}
        & less.keys()
    )


def test_new_settings_name_the_folders_and_can_be_read(tmp_path):
    """Whatever their names; one that is no UTF-8 has no place in TOML."""
    file = tmp_path / "config.toml"
    file.write_text(unit_files.settings_for([b'/srv/a "b" \\c', b"/srv/d"]))
    assert [str(item.path) for item in load(file).config.watch] == ['/srv/a "b" \\c', "/srv/d"]
    assert load(file).config.database_path() == Path("/var/lib/watcher/watcher.db")
    with pytest.raises(unit_files.NotInstallable, match="no UTF-8"):
        unit_files.settings_for([b"/caf\xe9"])


def test_a_program_in_a_home_folder_is_refused_with_the_way_out():
    """The sandbox hides it from the service, which would die as 203/EXEC."""
    with pytest.raises(
        unit_files.NotInstallable, match=r"/home/me/w/bin/watcher lies in a home.*\n.*-m venv /opt/watcher"
    ):
        unit_files.require_place("/home/me/w/bin/watcher")


def test_fstab_is_read_as_it_is_written(tmp_path):
    """Comments, blanks as octal, swap and half lines."""
    table = tmp_path / "fstab"
    table.write_text("# UUID=1 /no ext4\nUUID=2 /srv/my\\040films ext4 nofail 0 0\nUUID=3 none swap sw\n\nbad\n")
    assert mounts.in_fstab(str(table)) == [b"/srv/my films"]
    assert mounts.in_fstab(str(tmp_path / "none")) == []


@needs_systemd
@pytest.mark.parametrize(("listen", "allowed"), [("127.0.0.1:9817", "localhost"), ("0.0.0.0:9817", "any")])
def test_a_port_opens_so_much_of_the_network_as_it_needs(tmp_path, listen, allowed):
    """The exposure is 1.5 of 10 at most then; a Unix socket opens none."""
    made = unit_files.files(settings("/srv", metrics_listen=listen), MACHINE)
    drop_in = made[unit_files.DROP_INS / "20-network.conf"]
    assert f"IPAddressAllow={allowed}" in drop_in
    there = tmp_path / "etc/systemd/system"
    (there / "watcher.service.d").mkdir(parents=True)
    shutil.copy(UNIT, there)
    (there / "watcher.service.d" / "20-network.conf").write_text(drop_in)
    command = [
        "systemd-analyze",
        "security",
        f"--root={tmp_path}",
        "--offline=true",
        "--threshold=15",
        "watcher.service",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-200:]
    quiet = unit_files.files(
        settings("/srv", metrics_listen="unix:/run/w/m.sock", metrics_textfile="/n/w.prom"), MACHINE
    )
    assert unit_files.DROP_INS / "20-network.conf" not in quiet
    assert 'ReadWritePaths="-/n"\nReadWritePaths="-/run/w"' in quiet[unit_files.DROP_INS / "10-folders.conf"]
