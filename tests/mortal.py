"""Takes from root what lets it read every file: for tests of what may not be read."""

from __future__ import annotations

import contextlib
import ctypes
import os

_VERSION_3 = 0x20080522
_DAC_OVERRIDE, _DAC_READ_SEARCH = 1, 2
_GET_SECUREBITS, _SET_SECUREBITS, _NOROOT = 27, 28, 1
_libc = ctypes.CDLL(None, use_errno=True)


def _checked(code: int) -> int:
    if code < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return code


@contextlib.contextmanager
def mortal():
    """Let the bits of files and folders count for this thread, for those it starts, and for its child processes."""
    if os.geteuid() != 0:
        yield
        return
    header, held = (ctypes.c_uint32 * 2)(_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    _checked(_libc.capget(header, held))  # effective, permitted, inheritable: twice 32 bits of each
    less = type(held)(*held)
    less[0] &= ~(1 << _DAC_OVERRIDE | 1 << _DAC_READ_SEARCH)
    bits = _checked(_libc.prctl(_GET_SECUREBITS))
    _checked(_libc.prctl(_SET_SECUREBITS, bits | _NOROOT))  # or a program that root starts has all of it again
    try:
        _checked(_libc.capset(header, less))
        yield
    finally:
        _checked(_libc.capset(header, held))
        _checked(_libc.prctl(_SET_SECUREBITS, bits))
