"""The settings: what they are (`model`), where they come from (`sources`), and whether what they name is there (`places`)."""

from watcher.config.model import PRESETS, StateConfig, WatchSettings, flat
from watcher.config.places import require_folder, require_folders, require_place
from watcher.config.sources import EXIT_BAD_SETTINGS, Loaded, load, read_file

__all__ = [
    "EXIT_BAD_SETTINGS",
    "PRESETS",
    "Loaded",
    "StateConfig",
    "WatchSettings",
    "flat",
    "load",
    "read_file",
    "require_folder",
    "require_folders",
    "require_place",
]
