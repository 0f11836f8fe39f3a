"""What each command does: settings and arguments in, an answer on standard output and an exit code out."""
