"""The command line, word for word: answers on standard output, one line for an error, exit codes."""

import json
import os
import signal
import subprocess
import sys

import pytest

from watcher import cli
from watcher.rules.audio import AudioRules, Stream, decide
from watcher.rules.statuses import IntegrityStatus as I
from watcher.rules.statuses import Mode
from watcher.rules.verdict import Verdict
from watcher.store.store import StateStore, signature_columns

ODD = b"odd\n \x1b[31m[red]\xff.mkv"
ODD_SHOWN = r"odd\n \x1b[31m[red]\xff.mkv"


@pytest.fixture(autouse=True)
def _own_database(monkeypatch, tmp_path):
    monkeypatch.setenv("STATE_DB_URL", str(tmp_path / "watcher.db"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


@pytest.fixture
def library(bench):
    """Four files: one with its stereo track, one cut, one waiting, one with an odd name in a folder."""
    for name in ("good.mkv", "cut.mkv", "new.mkv", b"sub/" + ODD):
        bench.write(name)
        bench.see(name)
    for name, moves in (
        ("good.mkv", ("check_started", "check_passed", "has_stereo")),
        ("cut.mkv", ("check_started", "check_failed")),
    ):
        for move in moves:
            bench.engine.move(bench.entry(name), move, reason=f"r-{move}", next_at=None)
    verdict = {"status": "incomplete", "mode": "full", "reason": "truncated", "missing_bytes": 12_000_000}
    bench.store.put_finding(bench.entry("cut.mkv").id, verdict=verdict)
    return bench


def film(path, *, channels=2, language="eng", seconds=1):
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", f"testsrc=d={seconds}:s=160x120:r=10"]
    command += ["-f", "lavfi", "-i", f"sine=d={seconds}", "-ac", str(channels), "-metadata:s:a", f"language={language}"]
    subprocess.run([*command, "-f", "matroska", path], check=True)


# --- status


def test_status_counts_and_tells_that_a_service_runs(call, library):
    """It reads beside the writer, whose process it names."""
    code, out, err = call("status", "--json")
    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert answer["total_files"] == 4
    assert answer["by_integrity_status"]["incomplete"] == 1
    assert answer["by_processed_status"]["skipped_has_en2"] == 1
    assert set(answer["by_integrity_status"]) == set(map(str, I))
    assert answer["service"] == {"running": True, "pid": os.getpid()}
    assert [root["path"] for root in answer["roots"]] == [str(library.root)]
    assert next(entry for entry in answer["next_due"] if entry.get("path_escaped"))["path"].endswith(r"\xff.mkv")
    assert answer["database"]["size_bytes"] > 0


def test_status_reads_while_no_service_runs(call, library):
    """The same answer, but for the service."""
    library.store.close()
    code, out, _ = call("status")
    assert code == 0
    assert "Service   not running" in out
    assert ODD_SHOWN in out
    assert "\x1b" not in out  # plain when piped, whatever the names
    assert "INCOMPLETE" in out
    assert json.loads(call("status", "--json")[1])["service"] == {"running": False, "pid": None}


def test_without_a_database_a_reading_command_says_how_one_is_made(call):
    """One line, exit code 1, and none is made."""
    for command in (["status"], ["list"], ["why", "x.mkv"], ["retry", "x.mkv"]):
        code, out, err = call(*command)
        assert (code, out) == (1, "")
        assert err.startswith("watcher: there is no database at ")
        assert len(err.splitlines()) == 1


# --- list


def test_list_is_one_line_a_file_whatever_its_name(call, library):
    """Tabs between the columns, the path first."""
    code, out, _ = call("list")
    rows = [line.split("\t") for line in out.splitlines()]
    assert code == 0
    assert [row[0] for row in rows] == [
        *(f"{library.root}/{name}" for name in ("cut.mkv", "good.mkv", "new.mkv")),
        f"{library.root}/sub/{ODD_SHOWN}",
    ]
    assert rows[0][1:] == ["INCOMPLETE", "NEW", "4", "r-check_failed", ""]


def test_list_filters_by_status_in_any_case_and_by_root(call, library):
    """Names and values are the same words."""
    for words in (
        ["--integrity", "INCOMPLETE"],
        ["--integrity", "incomplete"],
        ["--processed", "New", "--integrity", "Incomplete"],
    ):
        assert len(call("list", *words)[1].splitlines()) == 1
    assert len(call("list", "--root", library.root)[1].splitlines()) == 4
    assert call("list", "--processed", "CONVERTED") == (0, "", "")


def test_list_gives_json_lines_with_odd_names_marked(call, library):
    """Each line is one object; a name that is not UTF-8 is escaped and says so."""
    answers = [json.loads(line) for line in call("list", "--json")[1].splitlines()]
    assert [answer.get("path_escaped", False) for answer in answers] == [False, False, False, True]
    assert answers[0]["integrity_status"] == "incomplete"
    assert answers[2]["next_check_at"].endswith("Z")


def test_a_wrong_filter_names_the_right_ones(call, library):
    """Unknown statuses and folders are errors, not empty lists."""
    code, out, err = call("list", "--integrity", "broken")
    assert (code, out) == (2, "")
    assert "'broken' is no status" in err
    assert all(status.name in err for status in I)
    code, _, err = call("list", "--root", "/nowhere")
    assert (code, str(library.root) in err) == (2, True)


# --- why


def test_why_tells_every_move_and_the_verdict_in_words(call, library):
    """The story ends with what the row says."""
    code, out, _ = call("why", library.path("cut.mkv"))
    assert code == 0
    assert "INCOMPLETE  cut: 12.0 MB missing at the end (full check)" in out
    assert out.index("UNKNOWN -> PENDING") < out.index("PENDING -> INCOMPLETE")
    assert "r-check_failed" in out
    code, out, _ = call("why", library.path("cut.mkv"), "--json")
    answer = json.loads(out)
    assert (answer["known"], answer["verdict"]["reason"]) == (True, "truncated")
    assert [line["move"] for line in answer["journal"]] == ["check_started", "check_failed"]
    assert answer["journal"][0]["at"].endswith("Z")


def test_why_tells_which_track_was_chosen_and_what_was_measured_of_the_new_one(call, library):
    """The decision with its reason, and the figures of the proof, for people and for programs."""
    streams = [Stream(0, "video", "h264"), Stream(1, "audio", "dts", "deu", "Ton", 6), Stream(2, "audio", "ac3", "eng")]
    decision = decide(streams, AudioRules(("ger",))).to_dict()
    made = {"stream": 3, "from": 1, "codec": "aac", "seconds": 61.04, "loudness_lufs": -23.4, "true_peak_dbtp": 0.0}
    entry = library.entry("new.mkv")
    library.store.put_finding(entry.id, decision=decision, proof={"streams": [{}, {}, {}], "made": made})
    for move in ("check_started", "check_passed", "converted"):
        library.engine.move(entry, move, next_at=None)
    out = " ".join(call("why", library.path("new.mkv"))[1].split())
    assert 'a stereo track was added: German, from stream 1 (dts, 6 channels, "Ton")' in out
    assert "3 streams bit for bit as before; new: stream 3 from 1 (aac, 61.0 s, -23.4 LUFS, 0.0 dBTP peak)" in out
    answer = json.loads(call("why", library.path("new.mkv"), "--json")[1])
    assert answer["decision"] == decision
    assert answer["decision"]["reason"] == "german_surround"
    assert answer["proof"]["made"] == made


def test_why_says_how_much_of_a_film_was_compared_and_what_of_it_is_gone(call, library):
    """Every packet and its time; what the owner allowed to be lost is named."""
    stream = {"film": 0, "result": 0, "codec": "h264", "packets": 250, "content": "0" * 32}
    proof = {"streams": [stream], "chapters": 2, "attachments": 1, "lost": ["stream 2 (data mebx)", "2 editions"]}
    library.store.put_finding(library.entry("good.mkv").id, proof=proof)
    out = " ".join(call("why", library.path("good.mkv"))[1].split())
    assert "1 stream bit for bit and at the same times as before, 2 chapters, 1 attachment" in out
    assert "gone: stream 2 (data mebx), 2 editions" in out
    assert json.loads(call("why", library.path("good.mkv"), "--json")[1])["proof"] == proof


def test_why_says_until_when_a_file_waits(call, library):
    """Of a file that settles: what for, and the local time."""
    assert "waits for   newly found: it must be quiet first, until 20" in call("why", library.path("new.mkv"))[1]
    assert "nothing: it rests until it changes" in call("why", library.path("good.mkv"))[1]


def test_why_finds_a_file_through_a_link_to_its_folder(call, library, tmp_path):
    """The folder may have been reached by another name."""
    (tmp_path / "link").symlink_to(library.root)
    assert call("why", tmp_path / "link" / "good.mkv")[0] == 0


def test_why_shows_what_else_belongs_to_the_film(call, library):
    """Its stereo sibling and its other containers, each with its status in words."""
    for name in ("good.stereo.mkv", "good.mp4", "goodbye.mkv"):
        library.write(name)
        library.see(name)
    library.engine.move(library.entry("good.mp4"), "is_duplicate", next_at=None)
    out = call("why", library.path("good.mkv"))[1]
    assert "beside it   good.stereo.mkv (stereo sibling): NEW  nothing decided yet" in out
    assert "beside it   good.mp4 (another container): DUPLICATE  left alone: the same film" in out
    assert "goodbye" not in out
    group = json.loads(call("why", library.path("good.mkv"), "--json")[1])["group"]
    assert sorted(os.path.basename(other["path"]) for other in group) == ["good.mp4", "good.stereo.mkv"]


def test_why_says_what_became_of_attributes_and_of_the_original(call, library):
    proof = {
        "lost_attributes": ["owner: Operation not permitted"],
        "kept_original": "good.mkv.original",
        "other_names": 2,
    }
    library.store.put_finding(library.entry("good.mkv").id, proof=proof)
    out = call("why", library.path("good.mkv"))[1]
    assert "not kept    owner: Operation not permitted" in out
    assert "original    kept as good.mkv.original" in out
    assert "also        2 other names (hard links) keep the film as it was, and its room on the disk" in out


def test_why_says_why_a_file_is_not_known(call, library, tmp_path):
    """Each reason in the order in which it stands in the way; exit code 1."""
    (library.root / "real.mkv").touch()
    (library.root / "link.mkv").symlink_to("real.mkv")
    for path, reason in (
        (tmp_path / "x.mkv", "it lies in no watched folder"),
        (library.root, "it is a watched folder, and no film"),
        (library.root / "x.mkv.part", "an unfinished download"),
        (library.root / "@eaDir" / "x.mkv", "which is not for films"),
        (library.root / "x.mkv", "there is no such file"),
        (library.root / "link.mkv", "it is a symbolic link"),
        (library.root / "real.mkv", "it has not been found yet"),
    ):
        code, out, _ = call("why", path)
        assert (code, reason in out) == (1, True), out
    answer = json.loads(call("why", "--json", library.root / "x.mkv")[1])
    assert (answer["known"], "no such file" in answer["reason"]) == (False, True)


# --- check


def test_check_gives_a_verdict_without_a_database(call, tmp_path):
    """0 whole, 1 not whole, 2 no verdict; 2 counts more than 1."""
    whole, cut = tmp_path / "whole.mkv", tmp_path / os.fsdecode(ODD)
    film(whole)
    cut.write_bytes(whole.read_bytes()[:-2000])
    code, out, _ = call("check", whole)
    assert (code, out) == (0, f"COMPLETE    {whole}\n  whole (quick check)\n")
    code, out, _ = call("check", "--full", "--json", whole, cut)
    good, bad = map(json.loads, out.splitlines())
    assert (code, good["status"], good["reason"], good["score"], good["mode"]) == (1, "complete", None, 1.0, "full")
    assert (bad["status"], bad["reason"], bad["path_escaped"]) == ("incomplete", "truncated", True)
    assert bad["sentence"].startswith("cut")
    code, out, _ = call("check", "--audio", whole)
    assert (code, out) == (0, f"COMPLETE    {whole}\n  whole (audio check)\n")
    code, out, _ = call("check", cut, tmp_path / "none.mkv", whole)
    assert code == 2
    assert "there is no such file" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([whole.name, cut.name])


def test_check_of_a_folder_says_how_films_are_named(call, tmp_path):
    """A folder is no broken film: exit code 2, and nothing is checked."""
    code, out, err = call("check", tmp_path)
    assert (code, out) == (2, "")
    assert f"{tmp_path} is a folder: name its films, as in {tmp_path}/*.mkv" in err


def test_check_answers_from_what_is_known_of_unchanged_content(call, bench):
    """As deep or deeper, and only until the file changes; --force looks all the same."""
    path = bench.write("known.mkv", b"no film at all, and yet the database says that it is whole")
    bench.see("known.mkv")
    entry = bench.entry("known.mkv")
    columns = {"about": signature_columns(entry.signature), "checked_at_ms": 1_800_000_000_000, "probe": {"format": {}}}
    bench.store.put_finding(entry.id, verdict=Verdict(I.COMPLETE, Mode.AUDIO).to_dict(), **columns)
    code, out, _ = call("check", path)
    assert code == 0
    assert "whole (audio check of 20" in out
    assert "unchanged since; --force looks again" in out
    code, out, _ = call("check", "--json", path)
    assert json.loads(out)["known_since"] == "2027-01-15T08:00:00.000Z"
    for anew in (["--force"], ["--full"]):
        code, out, _ = call("check", *anew, path)
        assert (code, "unchanged" in out) == (1, False)
    os.utime(path, ns=(0, 0))
    assert call("check", path)[0] == 1


def test_check_without_ffmpeg_says_what_to_install(call, tmp_path, monkeypatch):
    """No tool, no verdict: exit code 2."""
    monkeypatch.setenv("WATCHER_FFMPEG__FFMPEG", str(tmp_path / "none"))
    code, out, err = call("check", tmp_path / "x.mkv")
    assert (code, out) == (2, "")
    assert "apt-get install ffmpeg" in err


# --- retry and release


def wishes(bench):
    return [(wish.kind, bytes(wish.path)) for wish in bench.store.requests()]


def test_wishes_are_stored_and_say_what_will_happen(call, library):
    """The running service finds them; an unknown file is an error and the others are stored all the same."""
    code, out, err = call("retry", library.path("cut.mkv"), library.path("none.mkv"), library.path("good.mkv"))
    assert code == 1
    assert f"{library.root}/cut.mkv: it is checked again without waiting longer, within 10 s" in out
    assert "nothing has failed (COMPLETE, SKIPPED_HAS_EN2)" in out
    assert err.startswith(f"watcher: {library.root}/none.mkv: it is not known")
    assert wishes(library) == [("retry", library.path("cut.mkv")), ("retry", library.path("good.mkv"))]


def test_a_folder_can_be_released_and_wishes_wait_for_the_service(call, library):
    """A suspended root is taken as it is now; while nothing runs, the wish waits in the database."""
    library.store.update_root(library.root_id, suspended_because="it is empty")
    library.store.close()
    code, out, _ = call("release", library.root, library.path(b"sub/" + ODD))
    assert code == 0
    assert "the folder is taken as it is now, and scanned, when the service runs next" in out
    with StateStore(library.store.path) as store:
        assert [bytes(wish.path) for wish in store.requests()] == [
            os.fsencode(library.root),
            library.path(b"sub/" + ODD),
        ]


# --- config, help and usage


def test_config_shows_each_value_and_its_source(call, tmp_path, monkeypatch):
    """Also from a file that WATCHER_CONFIG names."""
    file = tmp_path / "settings.toml"
    file.write_text("stable_wait_sec = 5\n")
    monkeypatch.setenv("WATCHER_CONFIG", str(file))
    answer = json.loads(call("config", "--json")[1])
    assert answer["settings"]["stable_wait_sec"] == {"value": 5.0, "from": str(file)}
    assert answer["settings"]["storage_url"]["from"] == "environment STATE_DB_URL"
    assert answer["settings"]["settle_sec"]["from"] == "default"
    assert answer["database"] == str(tmp_path / "watcher.db")
    assert {finding["level"] for finding in answer["ffmpeg"]} == {"ok"}
    assert "FFmpeg" in call("config")[1]
    line = next(line for line in call("config")[1].splitlines() if line.startswith("stable_wait_sec"))
    assert line.split() == ["stable_wait_sec", "5.0", str(file)]


def test_help_names_every_command_and_the_exit_codes(call):
    """And each command gives an example."""
    code, out, _ = call("--help")
    assert code == 0
    commands = [
        "run",
        "scan",
        "status",
        "list",
        "why",
        "check",
        "retry",
        "release",
        "reload",
        "install-unit",
        "doctor",
        "tail",
        "report",
        "simulate",
        "config",
    ]
    assert all(f" {command} " in out for command in commands)
    assert "78 a setting is wrong" in " ".join(out.split())
    for command in commands:
        assert f"Example: watcher {command}" in call(command, "--help")[1]


def test_wrong_usage_is_2_and_the_version_is_told(call):
    """As with every other program."""
    assert call("list", "--what")[0] == 2
    assert call("scan")[0] == 2
    assert call("--version") == (0, f"watcher {cli.watcher.__version__}\n", "")


# --- run and scan


def test_run_and_scan_refuse_what_is_not_there(call, tmp_path):
    """No folder, a missing one, a database that cannot be: 78, and nothing is made."""
    for words, part in (
        (["run"], "no folder to watch"),
        (["run", tmp_path / "none"], "the folder does not exist"),
        (["scan", tmp_path / "none"], "the folder does not exist"),
    ):
        code, out, err = call(*words)
        assert (code, out) == (78, "")
        assert part in err
    assert not list(tmp_path.iterdir())


def test_run_without_ffmpeg_says_what_to_install(call, tmp_path, monkeypatch):
    """It starts nothing: exit code 1."""
    monkeypatch.setenv("WATCHER_FFMPEG__FFMPEG", str(tmp_path / "none"))
    code, _, err = call("run", tmp_path)
    assert (code, "apt-get install ffmpeg" in err) == (1, True)


def test_a_scan_refuses_a_database_that_a_service_holds(call, library):
    """It names the process that has it."""
    code, out, err = call("scan", library.root)
    assert (code, out) == (1, "")
    assert f"in use by another watcher (process {os.getpid()})" in err


def program(*arguments, **variables):
    return subprocess.Popen(
        [sys.executable, "-m", "watcher", *arguments],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_scan_takes_a_library_in_and_works_it_off(tmp_path):
    """With --process every film is judged and the answer counts them."""
    films = tmp_path / "films"
    films.mkdir()
    film(films / "english.mkv")
    film(films / "german.mkv", language="ger")
    (films / "text.mkv").write_text("no film")
    with program("scan", "--process", films, WATCHER_STABLE_WAIT_SEC="0.2", WATCHER_SETTLE_SEC="0.1") as scan:
        out, err = scan.communicate(timeout=60)
    assert (scan.returncode, err) == (0, "")
    first, *counts = out.splitlines()
    assert first.startswith(f"{films}: 3 films, 3 new")
    assert [line.split()[:2] for line in counts] == [
        ["2", "COMPLETE"],
        ["1", "INCOMPLETE"],
        ["1", "SKIPPED_HAS_EN2"],
        ["2", "IGNORED"],
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_service_cleanly(tmp_path, number):
    """It says at the start which database and which folders it has, and leaves with 0."""
    films = tmp_path / "films"
    films.mkdir()
    with program("run", films) as run:
        lines = []
        for line in run.stderr:
            lines.append(json.loads(line))
            if lines[-1]["event"] == "watching":
                run.send_signal(number)
        assert run.wait(timeout=20) == 0
    events = {line["event"]: line for line in lines}
    assert events["opened"]["database"] == str(tmp_path / "watcher.db")
    assert list(events["watching"]["roots"]) == [str(films)]
    assert "closed" in events
