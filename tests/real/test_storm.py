"""A storm: copies, renames, deletes, hard links, wishes and kill -9 at random; afterwards everything that must hold, holds."""

import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess

import pytest
from films import film, kinds
from running import Service

from watcher.rules import groups
from watcher.rules.statuses import IntegrityStatus as I
from watcher.rules.statuses import ProcessedStatus as P
from watcher.store.models import FileEntry
from watcher.store.store import StateStore, add_request

STEPS = 50
ENDINGS = (".mkv", ".mp4", ".ts")
SETTLED = {I.COMPLETE, I.QUARANTINED}


class Storm:
    """People and their programs, who care for nothing; the same for the same seed, as far as clocks allow."""

    def __init__(self, service, films, sources, seed):
        self.service, self.films, self.sources = service, films, sources
        self.dice = random.Random(seed)
        for folder in ("x", "y"):
            (films / folder).mkdir()

    def rage(self):
        steps = (
            (35, self.copy), (20, self.rename), (10, self.delete), (7, self.link), (6, self.replace), (8, self.wish),
            (4, self.move_a_folder), (4, self.stop), (2, self.append), (4, self.copy_slowly),
        )  # fmt: skip
        for _ in range(STEPS):
            (step,) = self.dice.choices([step for _, step in steps], [weight for weight, _ in steps])
            try:
                step()
            except (FileNotFoundError, FileExistsError):
                continue
            self.service.rest(self.dice.choice((0.02, 0.1, 0.3)))

    def name(self):
        stem, ending = f"f{self.dice.randrange(10)}", self.dice.choice((".mkv", ".mp4", ".ts", ".stereo.mkv"))
        return self.films / self.dice.choice(("", "x", "y")) / (stem + ending)

    def any(self):
        there = sorted(path for path in self.films.rglob("f*") if path.suffix in ENDINGS)
        if not there:
            raise FileNotFoundError
        return self.dice.choice(there)

    def source(self):
        return self.dice.choice(self.sources)

    def free_name(self):
        """Most programs do not write into an old file; one that does looks like a writer that paused, and is waited for."""
        name = self.name()
        name.unlink(missing_ok=True)
        return name

    def copy(self):
        shutil.copy(self.source(), self.free_name())

    def copy_slowly(self):
        content = self.source().read_bytes()
        with self.free_name().open("wb") as out:
            out.write(content[:5000])
            out.flush()
            self.service.rest(1)
            out.write(content[5000:])

    def rename(self):
        os.rename(self.any(), self.name())

    def delete(self):
        self.any().unlink()

    def link(self):
        os.link(self.any(), self.name())

    def replace(self):
        shutil.copy(self.source(), self.films / "z.tmp")
        os.rename(self.films / "z.tmp", self.any())

    def wish(self):
        add_request(self.service.database, self.dice.choice(("retry", "release")), os.fsencode(self.any()), 1)

    def move_a_folder(self):
        shutil.rmtree(self.films / "y")
        os.rename(self.films / "x", self.films / "y")
        (self.films / "x").mkdir()

    def stop(self):
        self.service.stop(self.dice.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)))
        if self.dice.random() < 0.5:
            self.copy()
        self.service.start()

    def append(self):
        with self.any().open("ab") as out:
            out.write(b"x" * 100)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    made = [film(folder / f"{kind}.mkv", **kinds[kind]) for kind in ("english_stereo", "english_51", "german")]
    broadcast = film(folder / "english_51.ts", **kinds["english_51"])
    cut = folder / "cut.mkv"
    cut.write_bytes(made[1].read_bytes()[:20_000])
    return [*made, broadcast, cut]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "audio",
    [{"keep_original": True, "remux": True}, {"output": "sidecar"}],
    ids=["in the film, originals kept", "sidecars"],
)
def test_after_a_storm_every_row_is_right_every_film_whole_and_nothing_left_over(tmp_path, sources, audio):
    """Another storm each time STORM_SEED says so."""
    films = tmp_path / "films"
    films.mkdir()
    service = Service(tmp_path, films, quarantine_threshold=2, audio=audio)
    with service:
        Storm(service, films, sources, os.environ.get("STORM_SEED", "7")).rage()
        service.until(lambda: not unsettled(service), f"all comes to rest: {unsettled(service)}", timeout=400)
        lines = journal_lines(service)
        service.rest(3)
        assert journal_lines(service) == lines, "it does not come to rest"
        rows_are_true(service, films)
        journals_are_true(service)
        pairs_are_true(service)
        log = service.lines()
    assert [line for line in log if line.get("level") in ("error", "critical") or "not JSON" in line["event"]] == []
    assert list(films.rglob(".*")) == []
    films_are_whole(films, sources)


def entries(service):
    with StateStore(service.database, read_only=True) as store:
        return list(store.run(store.entry_query().order_by(FileEntry.id)))


def unsettled(service):
    """Name what has not come to rest; a film that cannot be converted since its name is taken rests too."""
    return [
        (entry.path, entry.integrity_status, entry.processed_status, entry.reason)
        for entry in entries(service)
        if (
            entry.missing_since_ms is None
            and not (entry.integrity_status in SETTLED or entry.processed_status is P.IGNORED)
        )
        or (entry.integrity_status is I.COMPLETE and entry.next_check_at_ms is not None)
    ]


def journal_lines(service):
    with StateStore(service.database, read_only=True) as store:
        return store.sql("SELECT count(*) FROM journal").fetchone()[0]


def rows_are_true(service, films):
    rows = {entry.path: entry for entry in entries(service)}
    there = {os.fsencode(path): path.stat() for path in films.rglob("f*") if path.suffix in ENDINGS}
    for path, stat in there.items():
        row = rows[path]
        assert row.missing_since_ms is None, path
        assert (row.inode, row.size_bytes, row.mtime_ns) == (stat.st_ino, stat.st_size, stat.st_mtime_ns), path
    for path, row in rows.items():
        assert (row.missing_since_ms is None) == (path in there), path
        if path not in there:
            assert row.next_check_at_ms is None, path
        elif row.integrity_status is I.COMPLETE:
            assert row.processed_status is not P.NEW, path
    with StateStore(service.database, read_only=True) as store:
        assert store.attempts() == []


def journals_are_true(service):
    """Each line continues the one before, and the last is the row."""
    with StateStore(service.database, read_only=True) as store:
        for entry in store.run(store.entry_query()):
            for subject, first in (("integrity", I.UNKNOWN), ("processed", P.NEW)):
                lines = store.sql(
                    'SELECT "before", "after" FROM journal WHERE entry_id = ? AND subject = ? ORDER BY id',
                    (entry.id, subject),
                ).fetchall()
                steps = [(None, str(first)), *lines, (str(getattr(entry, f"{subject}_status")), None)]
                for (_, after), (before, _) in itertools.pairwise(steps):
                    assert after == before, (entry.path, lines)


def pairs_are_true(service):
    """What is finished as a pair has its other half beside it, and nothing is called a duplicate of nothing."""
    there = [entry for entry in entries(service) if entry.missing_since_ms is None]
    for entry in there:
        stem = groups.stem_of(entry.name)
        others = [
            other
            for other in there
            if other.folder_id == entry.folder_id and groups.stem_of(other.name) == stem and other.id != entry.id
        ]
        if entry.processed_status is P.GROUP_PROCESSED:
            beside = groups.is_stereo_sibling(entry.name)
            halves = [other for other in others if groups.is_stereo_sibling(other.name) != beside]
            assert P.GROUP_PROCESSED in [half.processed_status for half in halves], entry.path
        elif entry.processed_status is P.DUPLICATE:
            assert others, entry.path


def films_are_whole(films, sources):
    """Each is a source as it was (or with what somebody appended), or has just one stereo track more and decodes."""
    known = [source.read_bytes() for source in sources]
    seen = set()
    for path in films.rglob("f*"):
        content = path.read_bytes()
        digest = hashlib.sha1(content).digest()
        if digest in seen or content.rstrip(b"x") in [source.rstrip(b"x") for source in known]:
            continue
        seen.add(digest)
        assert not path.name.endswith((".original", ".original2")), path
        asked = ["ffprobe", "-v", "error", "-of", "json", "-show_entries", "stream=channels,codec_type", path]
        streams = json.loads(subprocess.run(asked, capture_output=True, check=True).stdout)["streams"]
        assert sum(stream.get("channels") == 2 for stream in streams) == 1, (path, streams)
        played = subprocess.run(
            ["ffmpeg", "-v", "error", "-i", path, "-map", "0", "-f", "null", "-"], capture_output=True, check=True
        )
        assert played.stderr == b"", path
