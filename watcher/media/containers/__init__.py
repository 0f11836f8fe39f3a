"""One module a container: how its own headers say where the file must end. Each reads a few kilobytes and jumps."""
