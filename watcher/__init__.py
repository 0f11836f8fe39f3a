"""Watches drop folders, proves with FFmpeg that each film is whole, and gives it an English stereo track.

The map, top to bottom; imports only go down:

    cli            words to calls
    service/       the running thing: manager (the loop), roots, judging and scans, patience, hints, intake, dispatch,
                   engine (the one place that changes a status), checks, conversions and landing, second_thoughts, jobs,
                   executor, work, recovery, wishes, upkeep, metrics, counting, openmetrics, log, notify
    media/         FFmpeg and films: tools, ffmpeg, probe, structure, sparse, packets,
                   unwritten (holes, zeros, framing), reference, integrity, stereo, proof, replace
    store/         the database: models, migrations, connection, backup, rescue, care, store, reports
    watch/         the file system: roots, observers, scan, writers
    rules/         meets nothing: statuses, machine, signature, stability, planner, names, debounce, audio, groups
    config         settings, checked
    errors         every exception, each a sentence
"""

__version__ = "0.1.0"
