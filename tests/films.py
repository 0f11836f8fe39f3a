"""Tiny films: those that everybody can have from the package, under the name that our tests know."""

from watcher.testing.films import Audio, Subtitle, film, kinds, run_ffmpeg

__all__ = ["Audio", "Subtitle", "film", "kinds", "run_ffmpeg"]
