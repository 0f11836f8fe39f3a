"""Settings: read strictly, known by their source, and explained in full by the example file."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from watcher import config
from watcher.commands import common
from watcher.config import StateConfig, flat, load
from watcher.errors import SettingsError

EXAMPLE = Path(__file__).parent.parent / "config.example.toml"


@pytest.fixture
def write(tmp_path):
    def write(text, name="settings.toml"):
        file = tmp_path / name
        file.write_text(text)
        return file

    return write


def error_of(*arguments, **options):
    with pytest.raises(SettingsError) as caught:
        load(*arguments, **options)
    return str(caught.value)


def test_the_example_names_every_setting_with_its_default():
    """What stands in config.example.toml is the whole class, value by value, and loading it changes nothing."""
    data = tomllib.loads(EXAMPLE.read_text())
    written = {}
    for key, value in data.items():
        written.update({f"{key}.{inner}": v for inner, v in value.items()} if isinstance(value, dict) else {key: value})
    defaults = flat(StateConfig())
    assert written == {key: value for key, value in defaults.items() if key != "watch"}
    assert load(EXAMPLE).config == StateConfig()


def test_the_example_shows_a_watched_folder_that_can_be_read(tmp_path):
    """The commented [[watch]] table is right once its comment signs are gone."""
    text = EXAMPLE.read_text()
    table = text[text.index("# [[watch]]") :].replace("# ", "").replace("/srv/films", str(tmp_path))
    assert set(tomllib.loads(table)["watch"][0]) == set(config.WatchSettings.model_fields)


def test_later_sources_win_and_each_value_knows_its_source(write, monkeypatch):
    """defaults < preset < file < environment < command line."""
    file = write("stable_wait_sec = 7\nbatch_size = 7\nbackoff_step_sec = 7\n[audio]\nat_once = 7\nthreads = 7\n")
    monkeypatch.setenv("WATCHER_BATCH_SIZE", "8")
    monkeypatch.setenv("WATCHER_BACKOFF_STEP_SEC", "8")
    monkeypatch.setenv("WATCHER_AUDIO__AT_ONCE", "8")
    loaded = load(file, environment="development", overrides={"backoff_step_sec": 9})
    values = flat(loaded.config)
    found = {key: (values[key], loaded.origins.get(key)) for key in values if key in loaded.origins}
    assert found == {
        "stable_wait_sec": (7, str(file)),
        "batch_size": (8, "environment WATCHER_BATCH_SIZE"),
        "backoff_step_sec": (9, "command line"),
        "audio.at_once": (8, "environment WATCHER_AUDIO__AT_ONCE"),
        "audio.threads": (7, str(file)),
        "loop_interval_sec": (2, "preset development"),
        "log_level": ("debug", "preset development"),
    }


def test_toml_and_json_have_the_same_keys(write, tmp_path):
    """The same settings in either form give the same configuration."""
    toml = write('stable_wait_sec = 5\n[audio]\nbitrate_kbps = 256\n[[watch]]\npath = "."\nmode = "poll"\n')
    data = {"stable_wait_sec": 5, "audio": {"bitrate_kbps": 256}, "watch": [{"path": ".", "mode": "poll"}]}
    assert load(toml).config == load(write(json.dumps(data), "settings.json")).config
    assert load(toml).config.watch[0].path == tmp_path  # relative to the file, not to where the command was typed


def test_the_older_variable_names_work_and_the_newer_ones_win(monkeypatch):
    """STATE_DB_URL and STATE_LOG_LEVEL are aliases."""
    monkeypatch.setenv("STATE_DB_URL", "sqlite:////srv/a.db")
    monkeypatch.setenv("STATE_LOG_LEVEL", "WARNING")
    loaded = load()
    assert (str(loaded.config.database_path()), loaded.config.log_level) == ("/srv/a.db", "warning")
    assert loaded.origins["log_level"] == "environment STATE_LOG_LEVEL"
    monkeypatch.setenv("WATCHER_LOG_LEVEL", "debug")
    assert load().config.log_level == "debug"


def test_an_empty_variable_is_as_if_it_were_not_there(monkeypatch):
    """Shells, containers and units leave a variable out by making it empty."""
    monkeypatch.setenv("WATCHER_LOG_LEVEL", "")
    monkeypatch.setenv("STATE_DB_URL", "")
    assert load().origins == {}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("stable_wait_secs = 5", ["settings.toml", "'stable_wait_secs'", "did you mean 'stable_wait_sec'?"]),
        ("[audio]\nbitrate = 5", ["settings.toml", "'audio.bitrate'", "did you mean 'bitrate_kbps'?"]),
        ('stable_wait_sec = "soon"', ["settings.toml", "stable_wait_sec = 'soon'", "should be a number"]),
        ("stable_wait_sec = -1", ["settings.toml", "stable_wait_sec = -1", "greater than or equal to 0"]),
        ("stable_wait_sec = false", ["stable_wait_sec = False", "true and false are no values"]),
        ('audio = "loud"', ["settings.toml", "audio = 'loud'"]),
        ('[[watch]]\npath = "/"\nmode = "often"', ["watch.0.mode = 'often'", "'auto', 'events' or 'poll'"]),
        ('storage_url = "postgres://here"', ["storage_url = 'postgres://here'", "only SQLite"]),
        ('[audio]\nlanguages = ["dutsh"]', ["audio.languages", "dutsh: no language known here"]),
        ("[audio]\nlanguages = []", ["at least one language must be named"]),
        ('[audio]\nlanguages = "de"', ["settings.toml: audio.languages = 'de'", 'a list, such as ["one", "two"]']),
        ('[watch]\npath = "/"', ["settings.toml: watch = {'path': '/'}", "a table of its own: [[watch]]"]),
        ('[[watch]]\nmode = "poll"', ["settings.toml: watch.0 has no path"]),
        ("stable_wait_sec 5", ["settings.toml", "line 1"]),
    ],
)
def test_an_error_names_the_source_the_key_and_the_value(write, text, parts):
    """A person who wrote the file finds the line by the message."""
    message = error_of(write(text))
    assert all(part in message for part in parts), message


def test_all_errors_are_said_at_once(write):
    """Two wrong lines make two lines of message."""
    assert len(error_of(write("stable = 5\nbatch_size = 0")).splitlines()) == 2


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("WATCHER_STABLE", "5", "there is no setting 'stable'; did you mean 'stable_wait_sec'?"),
        ("WATCHER_AUDIO__BITRATE", "5", "there is no setting 'audio.bitrate'"),
        ("WATCHER_STABLE_WAIT_SEC__X", "5", "there is no setting 'stable_wait_sec.x'"),
        ("WATCHER_EXTENSIONS", ".mkv", "extensions = '.mkv': should be JSON"),
        ("WATCHER_FFMPEG", "/usr/bin/ffmpeg", "a variable of its own, such as WATCHER_FFMPEG__FFMPEG"),
        ("WATCHER_AUDIO__LANGUAGES", "de", "WATCHER_AUDIO__LANGUAGES: audio.languages = 'de': should be JSON"),
        ("WATCHER_AUDIO__AT_ONCE", "many", "audio.at_once = 'many'"),
        ("WATCHER_AUDIO", "3", "audio = 3"),
        ("STATE_LOG_LEVEL", "loud", "log_level = 'loud'"),
    ],
)
def test_a_wrong_variable_is_named(monkeypatch, name, value, part):
    """Variables are as strict as files."""
    monkeypatch.setenv(name, value)
    message = error_of()
    assert message.startswith(f"environment {name}: "), message
    assert part in message


def test_files_that_cannot_be_read_say_so(tmp_path, write):
    """Missing, not UTF-8, not a table: each with the file's name."""
    assert "No such file" in error_of(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'storage_url = "\xe9"')
    assert "latin.toml: is not UTF-8 text" in error_of(tmp_path / "latin.toml")
    assert "not a list" in error_of(write("[1]", "settings.json"))


def test_a_missing_folder_is_an_error_only_for_who_watches_it(write, tmp_path):
    """Loading succeeds, so that `status` answers while a disk is away; `require_folders` names source, key and value."""
    loaded = load(write('[[watch]]\npath = "nowhere"\n'))
    with pytest.raises(
        SettingsError, match=r"settings\.toml: watch\.0\.path = '.*/nowhere': the folder does not exist"
    ):
        config.require_folders(loaded)
    with pytest.raises(SettingsError, match="no folder to watch"):
        config.require_folders(load())
    config.require_folders(load(folders=[tmp_path]))


def test_folders_of_the_command_line_join_those_of_the_file(write, tmp_path):
    """One that is named twice is watched once, with the file's mode; a name of any bytes is kept."""
    file = write('[[watch]]\npath = "a"\nmode = "poll"\n')
    odd = Path(os.fsdecode(bytes(tmp_path) + b"/\xff"))
    loaded = load(file, folders=[tmp_path / "a", odd])
    assert [(item.path, item.mode) for item in loaded.config.watch] == [(tmp_path / "a", "poll"), (odd, "auto")]
    assert loaded.origins["watch"] == f"{file} and command line"
    assert flat(loaded.config)["watch"][1]["path"].endswith(r"\xff")


def test_the_database_lies_where_systemd_says_else_in_the_home(monkeypatch, tmp_path):
    """storage_url, else STATE_DIRECTORY, else the user's state folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert StateConfig().database_path() == tmp_path / "watcher" / "watcher.db"
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/watcher:/var/lib/other")
    assert StateConfig().database_path() == Path("/var/lib/watcher/watcher.db")
    assert StateConfig(storage_url="~/x.db").database_path() == Path.home() / "x.db"


def test_a_place_that_cannot_hold_the_database_is_named(tmp_path):
    """A folder, or a path through a file, is no place; a new folder is made."""
    (tmp_path / "file").touch()
    for place, why in ((tmp_path, "it is a folder"), (tmp_path / "file" / "x.db", "cannot be made")):
        with pytest.raises(SettingsError, match=rf"command line: storage_url = .*: .*{why}"):
            config.require_place(load(overrides={"storage_url": str(place)}))
    config.require_place(load(overrides={"storage_url": str(tmp_path / "new" / "x.db")}))
    assert (tmp_path / "new").is_dir()


def test_a_program_that_brings_its_own_values_is_checked_too():
    """StateConfig is as strict when it is built directly."""
    with pytest.raises(SettingsError) as found:
        StateConfig(stable_wait=5, audio={"codec": "mp3", "bitrate": 1})
    assert str(found.value).splitlines() == [
        "settings: audio.codec = 'mp3': input should be 'aac', 'ac3' or 'opus'",
        "settings: there is no setting 'audio.bitrate'; did you mean 'bitrate_kbps'?",
        "settings: there is no setting 'stable_wait'; did you mean 'stable_wait_sec'?",
    ]
    assert StateConfig(extensions=("MKV", ".mp4")).extensions == (".mkv", ".mp4")


@pytest.mark.parametrize("text", ["stabel_wait_sec = 5", "[[watch]]\npath = 'nowhere'"])
def test_a_wrong_setting_ends_the_program_with_78(write, text):
    """The unit does not restart on it; the error is one line without a traceback, and nothing was started."""
    file = write(text)
    database = file.parent / "watcher.db"
    done = subprocess.run(
        [sys.executable, "-m", "watcher", "run", "--config", file],
        env={**os.environ, "STATE_DB_URL": str(database)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (common.EXIT_BAD_SETTINGS, "")
    assert done.stderr.startswith(f"watcher: {file}: ")
    assert len(done.stderr.splitlines()) == 1
    assert not database.exists()
