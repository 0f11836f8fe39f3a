"""What lies under a film's name and points elsewhere: it is refused, and nothing it points to is opened."""

import asyncio
import os
import select
import socket
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import clips
import pytest

from watcher.errors import ProbeFailed
from watcher.media import integrity, probe, tools
from watcher.rules.statuses import IntegrityStatus, Mode, Reason
from watcher.watch.inotify import Inotify

OPEN = 0x00000020
URL, FILE, NEAR = b"{url}", b"{file}", b"{near}"
"""In the traps: a listening socket, another film's absolute path, and its path from the trap."""


def box(kind, *content):
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def boxes(data):
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], data[at + 8 : at + size]
        at += size


def with_reference(entry):
    """Give a MOV whose tracks have their samples where `entry`, of a data reference box, says."""

    def changed(kind, content):
        if kind == b"dref":
            return box(kind, content[:8], entry)
        if kind in {b"moov", b"trak", b"mdia", b"minf", b"dinf"}:
            return box(kind, *(changed(*inner) for inner in boxes(content)))
        return box(kind, content)

    return b"".join(changed(*top) for top in boxes(clips.content("mov")))


def alias(path):
    """Give the entry of an alias as QuickTime writes it, with a path from the root and the levels to it."""
    name = path.rpartition(b"/")[2]
    head = bytes(10) + b"\x04disk" + bytes(23) + bytes(12) + bytes([len(name)]) + name.ljust(63, b"\0")
    place = struct.pack(">HH", 1, 1) + bytes(16) + struct.pack(">hH", 2, len(path)) + path + b"\0" * (len(path) % 2)
    return box(b"alis", bytes(4), head, bytes(16), place, struct.pack(">hH", -1, 0))


def linked():
    """Give a Matroska whose segment names the one that is to be played next."""
    with_name = clips.path("mkv").with_name("linked.mkv")
    clips.ffmpeg("-i", str(clips.path("mkv")), "-c", "copy", "-write_crc32", "0", str(with_name))
    content = with_name.read_bytes()
    at = content.index(b"\x57\x41", content.index(b"\x4d\x80"))  # WritingApp makes room for NextFilename
    length = content[at + 2] & 0x7F
    name = b"./next.mkv".ljust(length - 1, b"\0")
    return content[:at] + b"\x3e\x83\xbb" + bytes([0x80 | len(name)]) + name + content[at + 3 + length :]


M3U8 = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n%s\n#EXT-X-ENDLIST\n"
TRAPS = {
    "hls of a file": M3U8 % (b"file://" + FILE),
    "hls near by": M3U8 % NEAR,
    "hls of a server": M3U8 % URL,
    "hls through concat": M3U8 % (b"concat:" + URL + b"|" + FILE),
    "hls with a key": M3U8.replace(b"#EXTINF", b'#EXT-X-KEY:METHOD=AES-128,URI="' + URL + b'"\n#EXTINF') % NEAR,
    "hls behind a mark": b"\xef\xbb\xbf" + M3U8 % FILE,
    "hls before junk": M3U8 % (b"file://" + FILE) + bytes(range(256)) * 40,
    "a list of songs": b"#EXTM3U\n" + FILE + b"\n" + URL + b"\n",
    "pls": b"[playlist]\nFile1=" + URL + b"\nNumberOfEntries=1\n",
    "concat script": b"ffconcat version 1.0\nfile '" + FILE + b"'\n",
    "concat script near by": b"file " + NEAR + b"\n",
    "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "dash": b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
    b'<Representation id="1" bandwidth="1"><BaseURL>'
    + URL
    + b"</BaseURL></Representation></AdaptationSet></Period></MPD>",
    "asx": b'<asx version="3.0"><entry><ref href="' + URL + b'"/></entry></asx>',
    "asf reference": b"[Reference]\r\nRef1=" + URL + b"\r\n",
    "rtsp redirect": b"RTSPtext\n" + URL + b"\n",
    "smil": b'<smil><body><video src="' + URL + b'"/></body></smil>',
    "svg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><image href="file://' + FILE + b'"/></svg>',
    "html": b"<!DOCTYPE html><html><video src='" + URL + b"'></video></html>",
    "json": b'{"url": "' + URL + b'", "file": "' + FILE + b'"}',
    "subtitles": b"1\n00:00:01,000 --> 00:00:02,000\n<img src='" + URL + b"'>\n",
    "vobsub": b"# VobSub index file, v7\nid: en, index: 0\ntimestamp: 00:00:01:000, filepos: 000000000\n",
    "zip": b"PK\x03\x04" + FILE + bytes(range(256)) * 8,
    "exe": b"MZ\x90\0" + URL + bytes(range(256)) * 8,
    "torrent": b"d8:announce22:" + URL + b"e",
    "mov with a url": lambda url, *_: with_reference(box(b"url ", bytes(4), url, b"\0")),
    "mov with an alias": lambda _, file, __: with_reference(alias(file)),
    "mov with an alias near by": lambda *_: with_reference(alias(b"next.mkv")),
    "mov that is a reference": lambda url, *_: (
        box(b"ftyp", b"qt  ", bytes(4), b"qt  ")
        + box(b"moov", box(b"rmra", box(b"rmda", box(b"rdrf", bytes(4), b"url ", struct.pack(">I", len(url)), url))))
    ),
}


class Canary:
    """A film and a server that nobody may touch; says who did."""

    def __init__(self, folder: Path) -> None:
        (folder / "elsewhere").mkdir()
        (folder / "films").mkdir()
        self.film = folder / "elsewhere" / "canary.ts"
        self.film.write_bytes(clips.content("ts"))
        self.films = folder / "films"
        os.link(self.film, self.films / "next.mkv")
        self._server = socket.create_server(("127.0.0.1", 0))
        self._inotify = Inotify()
        self._inotify.watch(os.fsencode(self.film), OPEN)

    def lay(self, name: str, trap: bytes | Callable[..., bytes]) -> bytes:
        places = self.url.encode(), os.fsencode(self.film), b"../elsewhere/canary.ts"
        path = self.films / name
        if callable(trap):
            trap = trap(*places)
        for place, there in zip((URL, FILE, NEAR), places, strict=True):
            trap = trap.replace(place, there)
        path.write_bytes(trap)
        return os.fsencode(path)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.getsockname()[1]}/film.ts"

    def touched(self) -> list[str]:
        found = ["film"] * bool(list(self._inotify.read(0)))
        while select.select([self._server], [], [], 0)[0]:
            self._server.accept()[0].close()
            found.append("server")
        return found

    def close(self) -> None:
        self._server.close()
        self._inotify.close()


@pytest.fixture
def canary(tmp_path):
    canary = Canary(tmp_path)
    yield canary
    canary.close()


@pytest.fixture(scope="module")
def ours():
    return asyncio.run(tools.find_tools())


def test_the_canaries_sing(canary):
    """Asked to, ffprobe opens the film that a script or a data reference names, and the server."""
    script = canary.lay("list.ffconcat", b"ffconcat version 1.0\nfile '" + FILE + b"'\n")
    subprocess.run(["ffprobe", "-v", "quiet", "-safe", "0", "-f", "concat", script], check=True)
    assert canary.touched() == ["film"]
    trap = canary.lay("trap.mov", TRAPS["mov with an alias near by"])
    subprocess.run(["ffprobe", "-v", "quiet", "-enable_drefs", "1", trap], check=False)
    assert canary.touched() == ["film"]
    with subprocess.Popen(["ffprobe", "-v", "quiet", canary.url]) as plain:
        assert select.select([canary._server], [], [], 20)[0]
        plain.kill()
    assert canary.touched() == ["server"]


@pytest.mark.parametrize("trap", TRAPS)
async def test_what_points_elsewhere_is_no_film_in_any_mode_and_nothing_else_is_opened(ours, canary, trap):
    """Whatever its name says: not_media, which is IGNORED and told."""
    for name, mode in (("trap.mkv", Mode.QUICK), ("trap.mp4", Mode.AUDIO), ("trap.ts", Mode.FULL)):
        verdict = (await integrity.check(ours, canary.lay(name, TRAPS[trap]), mode)).verdict
        assert (verdict.status, verdict.reason) == (IntegrityStatus.INCOMPLETE, Reason.NOT_MEDIA), verdict
        assert verdict.evidence
    assert canary.touched() == []


@pytest.mark.parametrize("trap", [name for name in TRAPS if not name.startswith("mov")])
async def test_ffprobe_by_itself_follows_nothing(ours, canary, trap):
    """As a conversion asks it, without a check before it."""
    with pytest.raises(ProbeFailed):
        await probe.probe(ours, canary.lay("trap.mkv", TRAPS[trap]))
    assert canary.touched() == []


@pytest.mark.parametrize("trap", [name for name in TRAPS if name.startswith("mov")])
async def test_ffprobe_by_itself_follows_no_data_reference(ours, canary, trap):
    """It may describe the tracks; it does not open what they refer to."""
    path = canary.lay("trap.mov", TRAPS[trap])
    found = await probe.ask(ours, path)
    assert found.ended == "exit"
    assert canary.touched() == []


@pytest.mark.parametrize("mode", list(Mode))
async def test_a_film_that_names_the_next_one_is_a_film_of_its_own(ours, canary, mode):
    """Matroska may link segments: the other file is not opened."""
    verdict = (await integrity.check(ours, canary.lay("first.mkv", linked()), mode)).verdict
    assert verdict.status is IntegrityStatus.COMPLETE, verdict
    assert canary.touched() == []
