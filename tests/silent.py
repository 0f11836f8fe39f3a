"""A disk that does not answer: a FUSE mount whose server never says a word, as NFS looks when its server is away."""

from __future__ import annotations

import contextlib
import ctypes
import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def silent(folder: Path) -> Iterator[None]:
    """Cover a folder with a mount on which every call hangs; with the end it is what it was. Skips where it may not."""
    try:
        server = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        pytest.skip(f"no FUSE here: {error}")
    options = f"fd={server},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}".encode()
    try:
        if _libc.mount(b"silent", os.fsencode(folder), b"fuse", 0, options):
            pytest.skip(f"may not mount here: {os.strerror(ctypes.get_errno())}")
        try:
            yield
        finally:
            _libc.umount2(os.fsencode(folder), 2)  # MNT_DETACH: whoever hangs there still holds it
    finally:
        os.close(server)  # now everyone who hangs is told that nobody is there
