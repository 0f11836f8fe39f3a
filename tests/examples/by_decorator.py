"""An older script made resumable by one line: its function knows nothing of states, and need not.

    python by_decorator.py FILM ... [--level N] [--resume] [--list-resumable] [--cleanup-old-states DAYS]

Writes the sound of each film as FLAC beside it. Interrupt it in any way and start it again: films that are done are not
done again. Ctrl-C pauses when the film at work is done.
"""

import argparse
import subprocess
from pathlib import Path

from watcher.operations import add_state_management_args, handle_state_cli, with_state_management


@with_state_management("flac")
def process(args, encoder, encoder_type, files):
    for film in files:
        print("encoding", film, flush=True)
        command = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-i", film, "-map", "0:a:0", "-c:a", encoder]
        command += ["-compression_level", str(args.level), film.with_suffix(".flac")]
        subprocess.run(command, check=True, start_new_session=True)  # Ctrl-C is for this script, and not for FFmpeg
    return {"encoder": f"{encoder_type} {encoder}"}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("films", type=Path, nargs="+")
    parser.add_argument("--level", type=int, default=5)
    add_state_management_args(parser)
    args = parser.parse_args()
    if not handle_state_cli(args, args.films[0].parent):
        print(process(args, "flac", "software", args.films))


if __name__ == "__main__":
    main()
