"""A search that remembers what it has tried: the state manager used by hand.

    python by_hand.py FILM [--target DB]

Finds the highest CRF whose picture is still as good as wanted (PSNR). Each try is kept; a finished search answers at once.
"""

import argparse
import re
import subprocess
from pathlib import Path

from watcher.operations import TranscodeOperation, UniversalStateManager, get_pause_manager


def quality_at(film, crf):
    """Encode the film in memory, and compare: PSNR in dB."""
    print("trying", crf, flush=True)
    encode = [
        "ffmpeg",
        "-nostdin",
        "-v",
        "error",
        "-i",
        film,
        "-an",
        "-c:v",
        "libx264",
        "-crf",
        str(crf),
        "-f",
        "nut",
        "-",
    ]
    compare = [
        "ffmpeg",
        "-v",
        "info",
        "-i",
        "-",
        "-i",
        film,
        "-lavfi",
        "[0]setpts=PTS-STARTPTS[a];[1]setpts=PTS-STARTPTS[b];[a][b]psnr",
        "-f",
        "null",
        "-",
    ]
    encoded = subprocess.run(encode, capture_output=True, check=True).stdout
    said = subprocess.run(compare, input=encoded, capture_output=True, check=True).stderr.decode()
    return float(re.search(r"average:([\d.]+)", said)[1])


def search(film, target):
    manager = UniversalStateManager(TranscodeOperation("search", film, encoder="libx264", quality_threshold=target))
    if manager.load_state() and manager.state.completed:
        return manager.state.best_result
    tried = dict(manager.state.optimization_results or {})
    low, high = 10, 50
    while high - low > 1:
        manager.check_pause_point()
        crf = (low + high) // 2
        if str(crf) not in tried:
            tried[str(crf)] = quality_at(film, crf)
            manager.update_step(f"crf {crf}", 100 * (1 - (high - low) / 40), {"optimization_results": tried})
        low, high = (crf, high) if tried[str(crf)] >= target else (low, crf)
    best = {"crf": low, "psnr": tried.get(str(low))}
    manager.mark_completed(success=True, result=best)
    return best


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("film", type=Path)
    parser.add_argument("--target", type=float, default=40)
    args = parser.parse_args()
    with (
        get_pause_manager().listening()
    ):  # Ctrl-C pauses, SIGTERM leaves: what `with StateAwareOperation` does by itself
        print(search(args.film, args.target))


if __name__ == "__main__":
    main()
