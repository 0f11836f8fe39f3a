"""The shape of the house: imports go one way, modules are small, one place starts processes."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "watcher"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "migrations" not in path.parts)

MAY_IMPORT = {
    "rules": {"rules", "errors"},
    "watch": {"watch", "rules", "errors"},
    "store": {"store", "rules", "errors"},
    "media": {"media", "rules", "errors"},
    "service": {"service", "watch", "store", "media", "operations", "rules", "errors", "config"},
    "operations": {"operations", "rules", "errors"},
    "config": {"config", "rules", "errors"},
    "errors": set(),
}
NO_WORLD = {"os", "time", "asyncio", "threading", "subprocess", "sqlite3", "peewee", "watchdog", "random", "pathlib"}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            if node.module == "watcher":
                yield from (f"watcher.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def layer(path):
    parts = path.relative_to(PACKAGE).parts
    return parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_what_lies_below_it(path):
    allowed = MAY_IMPORT.get(layer(path))
    if allowed is None:
        return
    for name in imports(path):
        if name.startswith("watcher."):
            assert name.split(".")[1] in allowed, f"{path} imports {name}"


def test_a_module_fits_a_head():
    """Of 60 to 300 lines; 320 is the wall."""
    assert not [path for path in MODULES if len(path.read_text().splitlines()) > 320]


def test_the_rules_meet_nothing():
    for path in MODULES:
        if layer(path) == "rules":
            assert not {name.split(".")[0] for name in imports(path)} & NO_WORLD, path


def test_only_the_child_module_starts_processes_and_only_the_store_knows_peewee():
    for path in MODULES:
        names = {name.split(".")[0] for name in imports(path)}
        if layer(path) != "media":
            assert "subprocess" not in names, path
        if layer(path) != "store":
            assert not names & {"peewee", "playhouse"}, path


def test_every_layer_is_known_to_this_test():
    above = {"cli", "__init__", "views", "commands", "testing", "__main__"}
    assert {layer(path) for path in MODULES} <= MAY_IMPORT.keys() | above


def test_a_question_does_not_load_what_only_the_service_needs():
    """`watcher status` answers in half the time of the whole package's loading, on a small machine in seconds less."""
    asked = "from watcher import cli, commands; commands.status, commands.listing, commands.why; import sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout.split()
    assert "watcher.commands.status" in loaded
    assert not {"watcher.service.manager", "watcher.media.integrity", "watchdog", "transitions", "structlog"} & set(
        loaded
    )
