"""Which files are one film, and what a film and its stereo sibling become: stories through engine, store and real files."""

import os

import pytest
from silent import silent
from swaps import land, write

from watcher.config.model import AudioSettings
from watcher.rules import groups, planner
from watcher.rules.groups import Member
from watcher.rules.signature import Signature
from watcher.rules.stability import Observation
from watcher.rules.statuses import IntegrityStatus as I
from watcher.rules.statuses import Mode, Reason
from watcher.rules.statuses import ProcessedStatus as P
from watcher.rules.verdict import Verdict
from watcher.service import second_thoughts
from watcher.service.conversions import Conversions
from watcher.service.jobs import Checked

# --- the names


def test_a_film_its_stereo_sibling_and_its_other_container_share_a_stem():
    for name in (b"Film.mkv", b"Film.mp4", b"Film.stereo.mkv", b"Film.STEREO.avi"):
        assert groups.stem_of(name) == b"Film"


def test_dots_and_odd_names_are_part_of_the_stem():
    assert groups.stem_of(b"A.B.2020.mkv") == b"A.B.2020"
    assert groups.stem_of(b".stereo.mkv") == b".stereo"
    assert groups.stem_of(b"noextension") == b"noextension"
    assert groups.stem_of(b"caf\xe9.mkv") == b"caf\xe9"


def test_the_first_seen_is_the_original_and_the_next_takes_its_place_when_it_is_gone():
    first, second = Member(1, b"Film.mkv"), Member(2, b"Film.mp4")
    assert groups.original_of(2, [first, second]) == 1
    assert groups.original_of(2, [Member(1, b"Film.mkv", missing=True), second]) == 2


def test_a_stereo_sibling_and_what_we_made_are_never_originals():
    members = [Member(1, b"Film.stereo.mkv"), Member(2, b"Film.mkv", made_from=9), Member(3, b"Film.avi")]
    assert groups.original_of(3, members) == 3


# --- the stories


class Shelf:
    """One folder under the service's rules. A file's content says what a check would find out: "51", "stereo", ..."""

    def __init__(self, bench):
        self.bench = bench
        self.conversions = Conversions(bench.engine)
        self.made = []

    async def put(self, **files):
        """Let files arrive, seen in this order; `a_b` stands for a.b."""
        for name, content in files.items():
            write(self.bench.path(_name(name)), content.encode())
        self.bench.see(*map(_name, files))
        await self.rest()

    async def rename(self, old, new):
        os.rename(self.bench.path(_name(old)), self.bench.path(_name(new)))
        self.bench.see(_name(new), _name(old), evidence="moved_in")
        await self.rest()

    async def remove(self, name):
        os.unlink(self.bench.path(_name(name)))
        self.bench.see(_name(name))
        await self.rest()

    async def later(self, seconds=3600):
        self.bench.clock.forward(seconds)
        await self.rest()

    async def rest(self):
        """Do what is due, once it has settled, until nothing is."""
        for _ in range(30):
            due = [entry for complete in (False, True) for entry in self._due(complete)]
            if not due:
                return
            for entry in due:
                await self._work(entry)
        raise AssertionError([(entry.name, entry.integrity_status, entry.processed_status) for entry in due])

    def _due(self, complete):
        store, now = self.bench.store, self.bench.engine.now_ms()
        if not complete:  # new files are quiet here at once
            store.sql(
                "UPDATE file_entry SET quiet_since_ms = 0, next_check_at_ms = 1 WHERE integrity_status = 'unknown' AND missing_since_ms IS NULL"
            )
        return store.due(complete=complete, now_ms=now, limit=9, root_ids=[self.bench.root_id])

    async def _work(self, entry):
        engine = self.bench.engine
        seen = Observation(Signature.of(os.lstat(entry.path)), "free", "lease", True)
        spec = check = None
        with engine.turn():
            action = engine.settle(entry, seen)
            if isinstance(action, planner.Check):
                check = self.bench.checks.begin(entry, action.why)
            elif isinstance(action, planner.Convert):
                spec = self.conversions.begin(entry)
        if check is not None:
            with open(entry.path, "rb") as file:
                verdict, probe = _found_in(file.read().decode(), entry.name)
            with engine.turn():
                whole = self.bench.checks.ended(Checked(check, verdict, probe))
                if whole is not None:
                    self.conversions.begin(whole, may_start=False)
        elif spec is not None:
            write(spec.temp, b"stereo " + self.content(entry.path))
            await land(self.bench, spec)
            self.made.append(os.path.basename(spec.target).decode())

    def content(self, path):
        with open(path, "rb") as file:
            return file.read()

    def states(self):
        """Give name -> processed status of what is there, in the order first seen."""
        rows = self.bench.store.sql("SELECT id FROM file_entry WHERE missing_since_ms IS NULL ORDER BY id").fetchall()
        entries = [self.bench.store.entry(row[0]) for row in rows]
        assert all(entry.next_check_at_ms is None for entry in entries if entry.processed_status in RESTING)
        return {entry.name.decode(): entry.processed_status for entry in entries}


RESTING = frozenset(P) - {P.NEW, P.CONVERT_FAILED, P.GROUP_PENDING_PAIR}
DONE = P.GROUP_PROCESSED


def _name(word):
    return word.replace("_", ".")


def _found_in(content, name):
    if content.endswith("broken"):
        return Verdict(I.INCOMPLETE, Mode.FULL, Reason.TRUNCATED), None
    language, channels = {"german": ("ger", 6), "stereo": ("eng", 2)}.get(content.split()[0], ("eng", 6))
    formats = {b"mkv": "matroska,webm", b"mp4": "mov,mp4", b"avi": "avi", b"wmv": "asf"}
    audio = {
        "index": 1,
        "codec_type": "audio",
        "codec_name": "ac3",
        "channels": channels,
        "tags": {"language": language},
    }
    video = {"index": 0, "codec_type": "video", "codec_name": "h264"}
    probe = {
        "streams": [video, audio],
        "format": {"format_name": formats[name.rpartition(b".")[2].lower()], "duration": "9"},
    }
    return Verdict(I.COMPLETE, Mode.FULL), probe


@pytest.fixture
def shelf(bench_on, tmp_path):
    return Shelf(bench_on(tmp_path, audio=AudioSettings(output="sidecar"), quarantine_threshold=2))


@pytest.fixture
def adding(bench):
    return Shelf(bench)


async def test_a_film_gets_its_sibling_and_both_finish_together(shelf):
    """The film itself is untouched."""
    await shelf.put(Film_avi="51")
    assert shelf.states() == {"Film.avi": DONE, "Film.stereo.mkv": DONE}
    assert shelf.bench.journal("Film.avi")[-2:] == ["converted", "group_finished"]
    assert shelf.content(shelf.bench.path("Film.avi")) == b"51"
    await shelf.later()
    assert shelf.made == ["Film.stereo.mkv"]


async def test_original_first(shelf):
    """A sibling somebody else brings finishes with a film that has stereo, or none in English, and nothing is made."""
    await shelf.put(A_avi="stereo", B_avi="german")
    assert shelf.states() == {"A.avi": P.SKIPPED_HAS_EN2, "B.avi": P.IGNORED}
    await shelf.put(A_stereo_mkv="stereo", B_stereo_mkv="stereo")
    assert set(shelf.states().values()) == {DONE}
    assert shelf.made == []


async def test_sidecar_first(shelf):
    """It waits for its film, which then needs no work."""
    await shelf.put(Film_stereo_mkv="stereo")
    assert shelf.states() == {"Film.stereo.mkv": P.GROUP_PENDING_PAIR}
    await shelf.put(Film_avi="51")
    assert shelf.states() == {"Film.stereo.mkv": DONE, "Film.avi": DONE}
    assert shelf.made == []


@pytest.mark.parametrize("first", ["Film_avi", "Film_stereo_mkv"])
async def test_both_at_the_first_scan(shelf, first):
    """Whichever is judged first, the film waits for the sibling that is there."""
    files = {"Film_avi": "51", "Film_stereo_mkv": "stereo"}
    await shelf.put(**{first: files.pop(first)}, **files)
    assert set(shelf.states().values()) == {DONE}
    assert shelf.made == []
    assert "waits_for_pair" in shelf.bench.journal("Film.avi")


async def test_dot_stereo_in_capitals(shelf):
    """As other tools write it."""
    await shelf.put(Film_STEREO_MKV="stereo", Film_avi="51")
    assert shelf.states() == {"Film.STEREO.MKV": DONE, "Film.avi": DONE}


async def test_sidecar_deleted(shelf):
    """The film waits a while, as a renamed sibling would come back under its new name; then it gets another one."""
    await shelf.put(Film_avi="51")
    await shelf.remove("Film_stereo_mkv")
    assert shelf.states() == {"Film.avi": P.GROUP_PENDING_PAIR}
    assert shelf.made == ["Film.stereo.mkv"]
    await shelf.later()
    assert shelf.states() == {"Film.avi": DONE, "Film.stereo.mkv": DONE}
    assert shelf.made == ["Film.stereo.mkv"] * 2
    assert shelf.bench.journal("Film.avi")[-4:] == ["group_reopened", "pair_lost", "converted", "group_finished"]


async def test_a_film_with_stereo_of_its_own_does_without_a_sidecar_that_goes(shelf):
    await shelf.put(Film_avi="stereo", Film_stereo_mkv="stereo")
    await shelf.remove("Film_stereo_mkv")
    await shelf.later()
    assert shelf.states() == {"Film.avi": P.SKIPPED_HAS_EN2}
    assert shelf.made == []


async def test_original_replaced_by_a_better_one(shelf):
    """The group is open again, and the sidecar made anew from the better film."""
    await shelf.put(Film_avi="51")
    write(shelf.bench.path("Film.avi"), b"51 better")
    shelf.bench.see("Film.avi")
    assert shelf.states() == {"Film.avi": P.NEW, "Film.stereo.mkv": P.GROUP_PENDING_PAIR}
    await shelf.rest()
    assert shelf.states() == {"Film.avi": DONE, "Film.stereo.mkv": DONE}
    assert shelf.content(shelf.bench.path("Film.stereo.mkv")) == b"stereo 51 better"


async def test_original_replaced_by_one_in_another_container(shelf):
    """The sidecar was made from a film that is gone: it is made anew."""
    await shelf.put(Film_avi="51")
    await shelf.remove("Film_avi")
    assert shelf.states() == {"Film.stereo.mkv": P.GROUP_PENDING_PAIR}
    await shelf.put(Film_wmv="51 better")
    assert shelf.states() == {"Film.stereo.mkv": DONE, "Film.wmv": DONE}
    assert shelf.content(shelf.bench.path("Film.stereo.mkv")) == b"stereo 51 better"


async def test_a_sidecar_somebody_made_stays_when_the_film_is_replaced(shelf):
    await shelf.put(Film_stereo_mkv="stereo by hand", Film_avi="51")
    write(shelf.bench.path("Film.avi"), b"51 better")
    shelf.bench.see("Film.avi")
    await shelf.rest()
    assert shelf.states() == {"Film.stereo.mkv": DONE, "Film.avi": DONE}
    assert shelf.made == []


async def test_two_containers_of_one_film(shelf):
    """The later is a duplicate, and takes the place and the pair when the original goes."""
    await shelf.put(Film_avi="51", Film_wmv="51 too")
    assert shelf.states() == {"Film.avi": DONE, "Film.wmv": P.DUPLICATE, "Film.stereo.mkv": DONE}
    await shelf.remove("Film_avi")
    assert shelf.states() == {"Film.wmv": DONE, "Film.stereo.mkv": DONE}
    assert shelf.content(shelf.bench.path("Film.stereo.mkv")) == b"stereo 51 too"


@pytest.mark.parametrize("order", [("Film_avi", "Film_stereo_mkv"), ("Film_stereo_mkv", "Film_avi")])
async def test_renames_of_a_pair_one_after_the_other(shelf, order):
    """Each waits for the other under its new name, and nothing is made again."""
    await shelf.put(Film_avi="51")
    await shelf.rename(order[0], order[0].replace("Film", "Better"))
    assert set(shelf.states().values()) == {P.GROUP_PENDING_PAIR}
    await shelf.rename(order[1], order[1].replace("Film", "Better"))
    await shelf.later()
    assert shelf.states() == {"Better.avi": DONE, "Better.stereo.mkv": DONE}
    assert shelf.made == ["Film.stereo.mkv"]


async def test_a_film_renamed_away_from_its_sidecar_gets_another(shelf):
    await shelf.put(Film_avi="51")
    await shelf.rename("Film_avi", "Other_avi")
    await shelf.later()
    assert shelf.states() == {"Other.avi": DONE, "Film.stereo.mkv": P.GROUP_PENDING_PAIR, "Other.stereo.mkv": DONE}


async def test_a_sibling_without_stereo_is_left_alone_and_is_none(shelf):
    """The film gets one of its own, where the name is free."""
    await shelf.put(A_stereo_mp4="51", A_avi="51")
    assert shelf.states() == {"A.stereo.mp4": P.IGNORED, "A.avi": DONE, "A.stereo.mkv": DONE}
    assert shelf.bench.entry("A.stereo.mp4").reason == "sibling_without_stereo"


async def test_a_disk_that_falls_silent_before_its_sibling_is_made_is_waited_for(bench_on, tmp_path):
    """All folders share the thread that asks."""
    shelf = Shelf(bench_on(tmp_path, audio=AudioSettings(output="sidecar"), answer_within_sec=0.2))
    write(shelf.bench.path("Film.avi"), b"51")
    shelf.bench.see("Film.avi")
    for check in shelf._due(complete=False):
        await shelf._work(check)
    with silent(shelf.bench.root), shelf.bench.engine.turn():
        assert shelf.conversions.begin(shelf.bench.entry("Film.avi")) is None
    waiting = shelf.bench.entry("Film.avi")
    assert (waiting.processed_status, waiting.waits_for) == (P.NEW, "its disk: no answer")
    assert waiting.next_check_at_ms > shelf.bench.engine.now_ms()
    await shelf.later()
    assert shelf.states() == {"Film.avi": DONE, "Film.stereo.mkv": DONE}


async def test_a_sibling_still_arriving_is_waited_for_and_a_broken_one_not_for_ever(shelf):
    """Given up, it stands in the way, and a person is told."""
    await shelf.put(Film_stereo_mkv="stereo broken", Film_avi="51")
    assert shelf.states()["Film.avi"] is P.GROUP_PENDING_PAIR
    for _ in range(3):
        await shelf.later()
    assert shelf.bench.entry("Film.stereo.mkv").integrity_status is I.QUARANTINED
    assert (shelf.states()["Film.avi"], shelf.bench.entry("Film.avi").reason) == (P.CONVERT_FAILED, "sidecar_exists")
    write(shelf.bench.path("Film.stereo.mkv"), b"stereo at last")
    shelf.bench.see("Film.stereo.mkv")
    await shelf.later()
    assert shelf.states() == {"Film.stereo.mkv": DONE, "Film.avi": DONE}
    assert shelf.made == []


async def test_a_sidecar_somebody_changed_is_judged_and_is_theirs(shelf):
    await shelf.put(Film_avi="51")
    await shelf.put(Film_stereo_mkv="stereo remastered")
    assert shelf.states() == {"Film.avi": DONE, "Film.stereo.mkv": DONE}
    assert shelf.made == ["Film.stereo.mkv"]
    assert shelf.bench.entry("Film.stereo.mkv").made_from_id is None


# --- with the track in the film itself


async def test_where_films_take_the_track_themselves_nobody_waits_for_a_pair(adding):
    """A film keeps its statuses, and so does a stereo sibling that stands beside it."""
    await adding.put(Film_mkv="51", Film_stereo_mkv="stereo", Lone_stereo_mkv="stereo")
    assert adding.states() == {
        "Film.mkv": P.CONVERTED, "Film.stereo.mkv": P.SKIPPED_HAS_EN2, "Lone.stereo.mkv": P.SKIPPED_HAS_EN2,
    }  # fmt: skip
    await adding.remove("Film_stereo_mkv")
    await adding.later()
    assert adding.states()["Film.mkv"] is P.CONVERTED
    assert adding.made == ["Film.mkv"]


async def test_who_waits_for_a_pair_is_decided_about_anew_when_films_take_the_track_themselves(bench_on, tmp_path):
    """The setting was changed while the service was down."""
    shelf = Shelf(bench_on(tmp_path, audio=AudioSettings(output="sidecar")))
    await shelf.put(Film_stereo_mkv="stereo broken", Film_mkv="51", Lone_stereo_mkv="stereo")
    assert [shelf.states()[name] for name in ("Film.mkv", "Lone.stereo.mkv")] == [P.GROUP_PENDING_PAIR] * 2
    shelf.bench.store.close()
    adding = Shelf(bench_on(tmp_path))
    second_thoughts.reconsider(adding.bench.engine)
    await adding.rest()
    assert adding.states()["Film.mkv"] is P.CONVERTED
    assert adding.states()["Lone.stereo.mkv"] is P.SKIPPED_HAS_EN2


async def test_two_containers_where_films_take_the_track_themselves(adding):
    await adding.put(Film_mkv="51", Film_mp4="51")
    assert adding.states() == {"Film.mkv": P.CONVERTED, "Film.mp4": P.DUPLICATE}
    await adding.remove("Film_mkv")
    assert adding.states() == {"Film.mp4": P.CONVERTED}


async def test_each_container_is_a_film_of_its_own_where_the_owner_wants_that(bench_on, tmp_path):
    shelf = Shelf(bench_on(tmp_path, duplicates="process"))
    await shelf.put(Film_mkv="51", Film_mp4="51")
    assert shelf.states() == {"Film.mkv": P.CONVERTED, "Film.mp4": P.CONVERTED}


async def test_an_original_that_was_replaced_is_converted_again(adding):
    await adding.put(Film_mkv="51")
    await adding.put(Film_mkv="51 better")
    assert adding.states() == {"Film.mkv": P.CONVERTED}
    assert adding.made == ["Film.mkv"] * 2
