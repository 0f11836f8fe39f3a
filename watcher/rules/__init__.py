"""The rules: pure functions and values. No clock, disk, database, thread or process; `now` is an argument."""
