"""Draws the README's two pictures from the real commands, on a small library that FFmpeg makes. Not run by the tests.

    .venv/bin/python tests/pictures.py /srv/nas

The folder is made, used and removed; its name is what the pictures show. They are written to .github/images.
"""

import contextlib
import fcntl
import io
import os
import pty
import shutil
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

IMAGES = Path(__file__).parent.parent / ".github" / "images"
COLUMNS = 96
QUICK = {"WATCHER_STABLE_WAIT_SEC": "2", "WATCHER_SETTLE_SEC": "0.5", "WATCHER_AUDIO__THREADS": "1"}


def film(path: Path, *, language: str, channels: int, seconds: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", f"testsrc=d={seconds}:s=160x120:r=10"]
    command += ["-f", "lavfi", "-i", f"sine=d={seconds}", "-ac", str(channels), "-c:a", "ac3"]
    subprocess.run([*command, "-metadata:s:a", f"language={language}", path], check=True)


def library(films: Path) -> None:
    film(films / "Ocean Station (2019).mkv", language="eng", channels=6, seconds=20)
    film(films / "The Long Bridge (2021).mkv", language="eng", channels=2, seconds=5)
    film(films / "Der Hafen (2017).mkv", language="ger", channels=2, seconds=5)
    film(films / "Winter Road (2020).mkv", language="eng", channels=6, seconds=20)
    whole = films / "The Long Bridge (2021).mkv"
    (films / "Night Train (2018).mkv").write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    film(films / "New" / "Silver Lake (2022).mkv", language="eng", channels=6, seconds=3600)


def on_terminal(*words: str | Path) -> str:
    """Run a command on a terminal of its own and give what it printed, colours included."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    command = [sys.executable, "-m", "watcher", *words]
    with subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower, env=os.environ) as running:
        os.close(follower)
        said = b""
        with contextlib.suppress(OSError):  # the terminal's end of file
            while chunk := os.read(leader, 65536):
                said += chunk
        running.wait()
    os.close(leader)
    return said.decode().replace("\r\n", "\n")


def draw(name: str, said: str, title: str) -> None:
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(said.rstrip()))
    IMAGES.mkdir(parents=True, exist_ok=True)
    console.save_svg(str(IMAGES / name), title=title, theme=DIMMED_MONOKAI, unique_id=name.removesuffix(".svg"))


def main(folder: Path) -> None:
    films = folder / "films"
    os.environ.update(QUICK, STATE_DB_URL=str(folder / "watcher.db"), COLORTERM="truecolor", TERM="xterm-256color")
    library(films)
    service = subprocess.Popen([sys.executable, "-m", "watcher", "run", films], stderr=subprocess.DEVNULL)
    try:
        why = films / "Ocean Station (2019).mkv"
        while "converted" not in on_terminal("why", why) or "check" not in on_terminal("status"):
            time.sleep(1)
        time.sleep(6)  # progress is written down every few seconds
        draw("status.svg", on_terminal("status"), "watcher status")
        draw("why.svg", on_terminal("why", why), f'watcher why "{why.name}"')
    finally:
        service.terminate()
        service.wait()


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.mkdir()
    try:
        main(place)
    finally:
        shutil.rmtree(place)
