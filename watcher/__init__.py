"""Watches drop folders, proves with FFmpeg that each film is whole, and gives it an English stereo track.

The map, top to bottom; imports only go down:

    cli            words to calls: what is said in commands/, each loaded when it is asked for; views draws tables
    testing/       films and a manager for tests of your own
    service/       library and manager (the public names); assembly (how a service is put together, once), lifecycle, bell,
                   loop (its turns), clock (its jumps), demand (work somebody waits for), shapes, health, legacy; the running thing: roots,
                   discovery, judging and scans, scanner, patience, hints, intake, dispatch, engine (the one place that
                   changes a status), checks, conversions, outcomes, landing and temps, pairs, second_thoughts, jobs,
                   executor, work with its steps and room, interrupted, recovery, wishes, pausing, upkeep, metrics,
                   counting, openmetrics, reloading, exposing, asking, doctor,
                   log (with calm, journal, telling, wording), notify
    media/         FFmpeg and films: tools, ffmpeg (with child and output), probe, structure, sparse, packets,
                   unwritten (holes, zeros, silence, framing), recording, reference, integrity (with decode,
                   decoders, complaints, judgement), stereo (with
                   track, sound, pieces, joined, runs, checkpoints; layout, remux, downmix, loudness, encoder, scratch),
                   proof (with passed), replace (with attributes, disk and space)
    store/         the database: models, migrations, connection, backup, rescue, care, store with its rows, reports, stories, following
    operations/    pause and resume for any long job; the service's conversions are such jobs
    watch/         the file system: roots, observers, scan, writers
    rules/         meets nothing: statuses, machine, signature, stability, planner, names, debounce, audio, languages, groups
    config         settings, checked
    errors         every exception, each a sentence

The public names stand below; each is loaded when it is first asked for, so that `import watcher` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from watcher.config import StateConfig, StateConfigManager, get_development_config, get_production_config
    from watcher.errors import IllegalMove, WatcherError
    from watcher.rules.statuses import IntegrityStatus, ProcessedStatus
    from watcher.service.library import AudioStateMachine, IntegrityAdapter, StatePlanner, create_state_manager
    from watcher.service.manager import StateManager
    from watcher.service.metrics import StateMetrics, get_metrics
    from watcher.store.models import FileEntry, GroupEntry
    from watcher.store.store import StateStore

__version__ = "0.1.0"

_HOMES = {
    "config": ("StateConfig", "StateConfigManager", "get_development_config", "get_production_config"),
    "errors": ("IllegalMove", "WatcherError"),
    "rules.statuses": ("IntegrityStatus", "ProcessedStatus"),
    "service.library": ("AudioStateMachine", "IntegrityAdapter", "StatePlanner", "create_state_manager"),
    "service.manager": ("StateManager",),
    "service.metrics": ("StateMetrics", "get_metrics"),
    "store.models": ("FileEntry", "GroupEntry"),
    "store.store": ("StateStore",),
}

__all__ = [
    "AudioStateMachine",
    "FileEntry",
    "GroupEntry",
    "IllegalMove",
    "IntegrityAdapter",
    "IntegrityStatus",
    "ProcessedStatus",
    "StateConfig",
    "StateConfigManager",
    "StateManager",
    "StateMetrics",
    "StatePlanner",
    "StateStore",
    "WatcherError",
    "create_state_manager",
    "get_development_config",
    "get_metrics",
    "get_production_config",
]


def __getattr__(name: str) -> Any:
    """Load a public name from where it lives."""
    home = next((home for home, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module 'watcher' has no attribute {name!r}")
    value = getattr(import_module(f"watcher.{home}"), name)
    globals()[name] = value
    return value
