"""The README says what is so: its commands, its pictures of the tables, its files."""

import re
import stat
from pathlib import Path

from typer.main import get_command

from watcher import cli
from watcher.rules import machine
from watcher.rules.statuses import IntegrityStatus, ProcessedStatus

HERE = Path(__file__).parent.parent
README = (HERE / "README.md").read_text()
CI = HERE / ".ci" / "run"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_pictures_of_the_tables_are_drawn_from_the_tables():
    """Both mermaid blocks are what `to_mermaid` gives."""
    assert blocks("mermaid") == [machine.to_mermaid(IntegrityStatus), machine.to_mermaid(ProcessedStatus)]


def test_there_are_two_commands_each_on_one_line_and_independent_of_the_other():
    """Each makes the virtual environment it uses; the first runs the main job, the second the tests."""
    (run,), (test,) = (block.splitlines() for block in blocks("sh"))
    assert all("python3 -m venv .venv && .venv/bin/pip install" in command for command in (run, test))
    assert ".venv/bin/watcher run " in run
    assert test.endswith(".venv/bin/python -m pytest")


def test_ci_ends_with_the_readmes_own_test_command():
    """What is promised to a person is what is run; and no package registry is named."""
    text = CI.read_text()
    assert text.splitlines()[-1] == blocks("sh")[1].strip()
    assert text.index("ruff check") < text.index("pytest")
    assert text.index("mypy") < text.index("pytest")
    assert CI.stat().st_mode & stat.S_IXUSR
    assert not re.search(r"pypi|https?://|--index-url|--extra-index-url", text)


def test_every_command_and_every_named_file_is_there():
    """The table of commands is complete, and links lead somewhere."""
    for command in get_command(cli.app).commands:
        assert f"`watcher {command}" in README
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (HERE / target).exists(), target
    for path in re.findall(r"`((?:watcher|tests|systemd)/[\w./]+)`", README):
        assert (HERE / path).exists(), path
