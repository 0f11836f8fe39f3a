"""`watcher why`: the whole story of one file, or why there is none."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.text import Text

from watcher import views
from watcher.commands import common, listing
from watcher.rules import groups, names
from watcher.rules.statuses import IntegrityStatus, ProcessedStatus
from watcher.rules.verdict import Verdict
from watcher.service.shapes import of_pause, paused
from watcher.store import connection, pauses, stories

if TYPE_CHECKING:
    from rich.console import Console

    from watcher.config import Loaded
    from watcher.rules.pauses import Pause
    from watcher.store.reports import Job
    from watcher.store.store import StateStore
    from watcher.store.stories import Listed, Story


_MEASURED = (("seconds", "s"), ("loudness_lufs", "LUFS"), ("true_peak_dbtp", "dBTP peak"))


@dataclass(frozen=True, slots=True)
class _Service:
    """Who would work on a file, and whether it may."""

    pid: int | None
    """None when no service runs."""
    pause: Pause | None


def why(loaded: Loaded, file: os.PathLike[str], *, as_json: bool) -> int:
    """Tell the story of a file. Exit code 0, or 1 when it is not known."""
    (path,) = common.paths_of([file])
    with common.reading(loaded) as store:
        story = stories.story(store, path) or stories.story(store, common.without_links(path))
        reason = "" if story else _why_unknown(loaded, store, path)
        pause = pauses.lasting(store, views.now_ms())
    service = _Service(connection.writer_pid(loaded.config.database_path()), pause)
    if story is None:
        if as_json:
            views.json_line({**views.path_keys(path), "known": False, "reason": reason})
        else:
            views.out().print(Text.assemble(views.path_text(path, "bold"), f" is not known: {reason}"))
        return common.EXIT_NO
    if as_json:
        views.json_line(_as_json(story, service))
    else:
        _show(story, service, views.out())
    return common.EXIT_OK


def _why_unknown(loaded: Loaded, store: StateStore, path: bytes) -> str:
    """Say why a file has no entry: the first thing that stands in its way."""
    roots = {root.path for root in store.roots()} | {os.fsencode(item.path) for item in loaded.config.watch}
    inside = [root for root in roots if path.startswith(root.rstrip(b"/") + b"/")]
    if path in roots:
        return "it is a watched folder, and no film: `watcher status` tells how it is"
    if not inside:
        listed = ", ".join(sorted(map(names.readable, roots))) or "none is watched yet"
        return f"it lies in no watched folder ({listed})"
    relative = path[len(max(inside, key=len).rstrip(b"/")) + 1 :]
    if (refusal := names.why_not(relative, loaded.config.name_rules())) is not None:
        return refusal
    try:
        mode = os.lstat(path).st_mode
    except OSError as error:
        return f"there is no such file ({error.strerror})"
    if stat.S_ISLNK(mode):
        return common.NO_LINKS
    if not stat.S_ISREG(mode):
        return "it is not a regular file"
    return "it has not been found yet; a running service finds it with its next scan at the latest"


def _as_json(story: Story, service: _Service) -> dict[str, Any]:
    return {
        **listing.as_dict(story.file),
        "known": True,
        "root": views.path_keys(story.root),
        "root_suspended_because": story.root_suspended_because,
        "device": story.device,
        "inode": story.inode,
        "modified_at": views.iso(story.mtime_ns // 1_000_000),
        "discovered_at": views.iso(story.discovered_at_ms),
        "quiet_since": views.iso(story.quiet_since_ms),
        "failures_in_row": story.failures_in_row,
        "verdict": story.verdict,
        "checked_at": views.iso(story.checked_at_ms),
        "decision": story.decision,
        "proof": story.proof,
        "group": [listing.as_dict(other) for other in story.group],
        "running": story.running
        and {
            "kind": story.running.kind,
            "percent": round(100 * story.running.progress, 1),
            "started_at": views.iso(story.running.started_at_ms),
            "interrupted": story.running.interrupted,
        },
        "service": {"running": service.pid is not None, "pid": service.pid},
        "paused": of_pause(service.pause),
        "journal": [
            {
                "at": views.iso(line.at_ms),
                "subject": line.subject,
                "move": line.move,
                "before": line.before,
                "after": line.after,
                "reason": line.reason,
            }
            for line in story.journal
        ],
    }


def _show(story: Story, service: _Service, console: Console) -> None:
    console.print(views.path_text(story.file.path, "bold"))
    facts = views.table("", "", header=False)
    facts.columns[0].style = "dim"
    facts.columns[1].overflow = "fold"
    for key, value in _facts(story, service):
        facts.add_row(key, value)
    views.block(console, facts)
    console.print(views.heading("History"))
    if not story.journal:
        views.block(console, Text("nothing has happened yet"))
        return
    history = views.table("", "", "", "", header=False)
    for column in history.columns[:3]:
        column.no_wrap = True
    history.columns[3].overflow = "fold"
    for line in story.journal:
        history.add_row(views.local(line.at_ms), line.move, *_change(line))
    views.block(console, history)


def _change(line: stories.Line) -> tuple[Text, Text]:
    """Give what a line changed and its reason; where a path changed there is room for it only where reasons stand."""
    if line.subject == "path":
        places = " -> ".join(place for place in (line.before, line.after) if place)
        return Text(), Text(places, style="dim", overflow="fold")
    kind = IntegrityStatus if line.subject == "integrity" else ProcessedStatus
    moved = Text.assemble((kind(line.before).name, "dim"), " -> ", views.status_text(kind(line.after)))
    return moved, Text(line.reason, overflow="fold")


def _facts(story: Story, service: _Service) -> list[tuple[str, Text | str]]:
    file = story.file
    now = views.now_ms()
    facts: list[tuple[str, Text | str]] = [
        ("whole?", Text.assemble(views.status_text(file.integrity), f"  {_integrity(story)}")),
        ("stereo?", Text.assemble(views.status_text(file.processed), f"  {_processed(story)}")),
    ]
    facts[1:1] = _check(story)
    if proof := _proof(story.proof):
        facts.append(("proof", proof))
    facts += [("beside it", _beside(other)) for other in story.group]
    if lost := (story.proof or {}).get("lost_attributes"):
        facts.append(("not kept", Text("; ".join(lost), overflow="fold")))
    if kept := (story.proof or {}).get("kept_original"):
        facts.append(("original", Text(f"kept as {kept}", overflow="fold")))
    if others := (story.proof or {}).get("other_names"):
        names_of_it = "another name (a hard link) keeps" if others == 1 else f"{others} other names (hard links) keep"
        facts.append(("also", Text(f"{names_of_it} the film as it was, and its room on the disk", overflow="fold")))
    facts += [
        ("waits for", _waits_for(story, service, now)),
        (
            "file",
            f"{views.size(file.size_bytes)}, modified {views.local(story.mtime_ns // 1_000_000)}, inode {story.inode}",
        ),
        ("first seen", views.local(story.discovered_at_ms)),
    ]
    if file.missing_since_ms is not None:
        facts.append(("gone since", views.local(file.missing_since_ms)))
    return facts


def _beside(other: Listed) -> Text:
    """Say what another file of the same film is, and how it is."""
    name = other.path.rpartition(b"/")[2]
    kind = "stereo sibling" if groups.is_stereo_sibling(name) else "another container"
    words = Text.assemble(f"{names.readable(name)} ({kind}): ", views.status_text(other.processed), overflow="fold")
    return words.append(f"  {views.WORDS[other.processed]}")


def _integrity(story: Story) -> str:
    words = views.WORDS[story.file.integrity]
    verdict = _verdict(story)
    return words if verdict is None else f"{verdict.sentence()} ({verdict.mode} check)"


def _verdict(story: Story) -> Verdict | None:
    """Give the verdict in force. It stays stored when a new check begins: then it speaks of the past."""
    if story.verdict is None or story.file.integrity in (IntegrityStatus.UNKNOWN, IntegrityStatus.PENDING):
        return None
    return Verdict.from_dict(story.verdict)


def _check(story: Story) -> list[tuple[str, Text | str]]:
    """Say when and how the verdict was found, what it cost, and every line of evidence that its sentence leaves out."""
    verdict = _verdict(story)
    if verdict is None or story.checked_at_ms is None:
        return []
    cost = f"{verdict.cpu_sec:.1f} s of CPU, {views.size(verdict.bytes_read)} read besides"
    tool = f"FFmpeg {verdict.tool_version}, " if verdict.tool_version else ""
    checked = f"{views.local(story.checked_at_ms)} ({tool}{cost})"
    return [("checked", checked), *(("evidence", Text(line, overflow="fold")) for line in verdict.left_out())]


def _processed(story: Story) -> str:
    words = views.WORDS[story.file.processed]
    sentence = (story.decision or {}).get("sentence", "")
    match story.file.processed:
        case ProcessedStatus.NEW:
            return words
        case ProcessedStatus.CONVERT_FAILED:
            detail = (story.proof or {}).get("detail") or story.file.reason
            return f"{words}: {detail}"
        case _:
            return f"{words}: {sentence.replace(' stereo is made from', ', from')}" if sentence else words


def _proof(proof: dict[str, Any] | None) -> str:
    """Say what was compared before the film was replaced, and what was measured of the new track."""
    if not proof or "streams" not in proof:
        return ""
    kept = f"{_number(proof['streams'], 'stream')} bit for bit"
    kept += (
        " and at the same times as before" if any("packets" in entry for entry in proof["streams"]) else " as before"
    )
    counted = [_number(proof.get(key), key[:-1]) for key in ("chapters", "attachments") if proof.get(key)]
    made = proof.get("made") or {}
    measured = [made["codec"]] if made.get("codec") else []
    measured += [f"{made[key]:.1f} {unit}" for key, unit in _MEASURED if made.get(key) is not None]
    new = f"; new: stream {made['stream']} from {made['from']}" if {"stream", "from"} <= made.keys() else ""
    gone = f"; gone: {', '.join(map(str, proof['lost']))}" if proof.get("lost") else ""
    return ", ".join([kept, *counted]) + new + (f" ({', '.join(measured)})" if new and measured else "") + gone


def _number(things: Any, word: str) -> str:
    count = things if isinstance(things, int) else len(things)
    return f"{count} {word}{'' if count == 1 else 's'}"


_AGAIN = ("another look: ", "a second look: ", "another try: ")
"""What follows stands in the lines above, as what is wrong with the film or its track."""


def _waits_for(story: Story, service: _Service, now: int) -> str:
    file = story.file
    if file.missing_since_ms is not None:
        return "its file: it is gone from disk, and forgotten when it does not come back"
    if story.root_suspended_because:
        return f"its folder, which is suspended: {story.root_suspended_because}"
    if story.running is not None and service.pid is not None:
        return _work(story.running, service, now)
    if file.next_check_at_ms is None:
        given_up = file.integrity is IntegrityStatus.QUARANTINED or file.processed is ProcessedStatus.CONVERT_FAILED
        rests = "a person: `watcher retry` tries again" if given_up else "nothing: it rests until it changes"
        return file.waits_for or rests
    hindered = [] if service.pid is not None else ["no service runs now"]
    hindered += [] if service.pause is None else [f"all is {paused(service.pause)}"]
    but = f"; but {', and '.join(hindered)}" if hindered else ""
    due = f"until {views.local(file.next_check_at_ms)}" if file.next_check_at_ms > now else "due now"
    what = file.waits_for or "its next step"
    if what.startswith(_AGAIN):
        what = what.partition(": ")[0]
    return f"{what}, {due}{but}"


def _work(job: Job, service: _Service, now: int) -> str:
    work = "conversion" if job.kind == "convert" else job.kind
    if job.interrupted:
        but = f"; but all is {paused(service.pause)}" if service.pause is not None else ""
        return f"its turn: its {work} was interrupted, and goes on at {100 * job.progress:.0f} %{but}"
    if service.pause is not None:
        return f"its {work}, which stands still at {100 * job.progress:.0f} %: {paused(service.pause)}"
    return f"its {work}, which runs: {100 * job.progress:.0f} % after {views.span(now - job.started_at_ms)}"
