"""The settings: what they are (`model`), where they come from (`sources`), what is wrong with them (`wrong`), whether what they name is there (`places`), and
how a file of them is changed (`manager`).
"""

from watcher.config.manager import StateConfigManager, get_development_config, get_production_config
from watcher.config.model import PRESETS, StateConfig, WatchSettings, flat
from watcher.config.places import require_folder, require_folders, require_place
from watcher.config.sources import Loaded, load, read_file

__all__ = [
    "PRESETS",
    "Loaded",
    "StateConfig",
    "StateConfigManager",
    "WatchSettings",
    "flat",
    "get_development_config",
    "get_production_config",
    "load",
    "read_file",
    "require_folder",
    "require_folders",
    "require_place",
]
