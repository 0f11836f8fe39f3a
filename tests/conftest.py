"""Fixtures shared by all tests."""

import logging
import os
import shutil

import pytest
import structlog


@pytest.fixture
def bench(tmp_path):
    """An engine on a real database and a real folder, with a clock that stands still."""
    from helpers import Bench

    bench = Bench(tmp_path)
    yield bench
    bench.store.close()


@pytest.fixture
def bench_on():
    """Make benches with settings of their own: `bench_on(folder, stable_wait_sec=5)`."""
    from helpers import Bench

    made = []

    def make(folder, **settings):
        made.append(Bench(folder, **settings))
        return made[-1]

    yield make
    for bench in made:
        bench.store.close()


@pytest.fixture
def may_not():
    """What may not be read cannot be read, even where the tests run as root."""
    from mortal import mortal

    with mortal():
        yield


@pytest.fixture(scope="session", autouse=True)
def _ffmpeg_is_asked_once():
    """What the FFmpeg on PATH can do is found out once a process, as a service finds it out once a machine."""
    from watcher.media import tools

    known, ask, usual = {}, tools._try_out, (shutil.which("ffmpeg"), shutil.which("ffprobe"))

    async def ask_once(*pair):
        if pair != usual:
            return await ask(*pair)
        known[pair] = known.get(pair) or await ask(*pair)
        return known[pair]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tools, "_try_out", ask_once)
        yield


@pytest.fixture
async def ours():
    """The FFmpeg that the program finds."""
    from watcher.media import tools

    return await tools.find_tools()


@pytest.fixture
def convert(ours, tmp_path):
    """Convert a film; gives what it was, what the result is, and the proof."""
    from making import make

    async def run(film, decision=None, **options):
        return await make(ours, film, tmp_path / ".watcher-test.tmp", decision, **options)

    return run


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch):
    """Keep out what the person who runs the tests has set for a watcher of their own."""
    for name in os.environ:
        if name.upper().startswith(("WATCHER_", "STATE_")):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _own_log():
    """Take back how a test set the log up: its stream is closed with the test."""
    handlers = logging.root.handlers[:]
    yield
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers


@pytest.fixture
def call(capsys):
    """Run one command in this process: (exit code, standard output, standard error)."""

    from watcher import cli

    def call(*arguments):
        with pytest.raises(SystemExit) as left:
            cli.main([os.fsdecode(argument) for argument in arguments])
        said = capsys.readouterr()
        return left.value.code, said.out, said.err

    return call
