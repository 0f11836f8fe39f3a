"""Settings in a file: changed as a whole or not at all, and written back as a person left them."""

import json
import os
import tomllib

import pytest

from watcher.config import StateConfig, StateConfigManager, get_development_config, get_production_config
from watcher.errors import SettingsError

TEXT = """# What I learned the hard way:
stable_wait_sec = 30 # the mover pauses

[audio]  # the point of it all
at_once = 2
"""


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "custom.toml"
    file.write_text(TEXT)
    return file


def test_presets_give_way_to_file_and_environment(file, monkeypatch):
    assert get_production_config() == StateConfig()
    assert get_development_config().log_level == "debug"
    assert get_development_config().stable_wait_sec < get_production_config().stable_wait_sec
    assert StateConfigManager(file, environment="development").config.stable_wait_sec == 30
    monkeypatch.setenv("WATCHER_STABLE_WAIT_SEC", "11")
    assert get_development_config().stable_wait_sec == StateConfigManager(file).load_config().stable_wait_sec == 11


def test_a_saved_change_leaves_comments_order_and_the_rest_as_they_were(file):
    settings = StateConfigManager(file)
    settings.update_config({"batch_size": 7, "audio": {"threads": 4}})
    settings.update_config({"stable_wait_sec": 45, "integrity": {"at_once": 3}})
    assert file.read_text() == TEXT, "nothing is written before it is asked for"
    settings.save_config()
    text = file.read_text()
    for line in (
        "# What I learned the hard way:",
        "stable_wait_sec = 45 # the mover pauses",
        "[audio]  # the point of it all",
    ):
        assert line in text
    assert tomllib.loads(text) == {
        "stable_wait_sec": 45, "batch_size": 7, "audio": {"at_once": 2, "threads": 4}, "integrity": {"at_once": 3},
    }  # fmt: skip
    assert StateConfigManager(file).config == settings.config


def test_one_wrong_value_and_nothing_of_the_change_is_taken(file):
    settings = StateConfigManager(file)
    before = settings.update_config({"batch_size": 7})
    with pytest.raises(SettingsError, match=r"no setting 'batch_sise'; did you mean 'batch_size'\?"):
        settings.update_config({"loop_interval_sec": 5, "batch_sise": 8})
    with pytest.raises(SettingsError, match="backoff_max_sec"):
        settings.update_config({"loop_interval_sec": 5, "backoff_max_sec": -1})
    assert settings.config == before
    settings.save_config()
    assert "loop_interval_sec" not in file.read_text()


def test_the_environment_stays_in_force_and_is_never_made_permanent(file, monkeypatch):
    monkeypatch.setenv("WATCHER_BATCH_SIZE", "99")
    settings = StateConfigManager(file)
    assert settings.update_config({"batch_size": 7, "log_level": "debug"}).batch_size == 99
    settings.save_config()
    assert "99" not in file.read_text()
    monkeypatch.delenv("WATCHER_BATCH_SIZE")
    assert settings.load_config().batch_size == 7


def test_json_and_a_file_that_is_not_there_yet(tmp_path):
    settings = StateConfigManager(tmp_path / "new" / "custom.json")
    settings.update_config({"batch_size": 7, "watch": [{"path": str(tmp_path)}]})
    settings.save_config()
    settings.update_config({"audio": {"at_once": 2}})
    settings.save_config()
    assert json.loads(settings.path.read_text()) == {
        "batch_size": 7, "watch": [{"path": str(tmp_path)}], "audio": {"at_once": 2},
    }  # fmt: skip
    made = StateConfigManager(tmp_path / "new.toml")
    made.update_config({"exclude": ["*.iso"]})
    made.save_config()
    assert StateConfigManager(tmp_path / "new.toml").config.exclude == ("*.iso",)


def test_a_file_that_cannot_be_written_is_as_it_was_and_nothing_is_left_beside_it(file, monkeypatch):
    settings = StateConfigManager(file)
    settings.update_config({"batch_size": 7})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SettingsError, match="cannot be written: No space left"):
        settings.save_config()
    assert file.read_text() == TEXT
    assert os.listdir(file.parent) == [file.name]


def test_a_link_to_the_file_stays_one_and_the_mode_is_kept(file, tmp_path):
    file.chmod(0o640)
    link = tmp_path / "link.toml"
    link.symlink_to(file)
    settings = StateConfigManager(link)
    settings.update_config({"batch_size": 7})
    settings.save_config()
    assert link.is_symlink()
    assert "batch_size = 7" in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_broken_file_is_one_sentence(file):
    file.write_text("stable_wait_sec = = 3\n")
    with pytest.raises(SettingsError, match="custom"):
        _ = StateConfigManager(file).config
