"""The signature: what one stat() says about a file, and when two of them speak of the same content."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Stat(Protocol):
    """What is read of os.stat_result."""

    @property
    def st_dev(self) -> int:
        """Device number."""

    @property
    def st_ino(self) -> int:
        """Inode number."""

    @property
    def st_size(self) -> int:
        """Bytes."""

    @property
    def st_mtime_ns(self) -> int:
        """Last change of the content, in nanoseconds."""

    @property
    def st_blocks(self) -> int:
        """Allocated blocks of 512 bytes."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One stat() of a regular file."""

    device: int
    inode: int
    size_bytes: int
    mtime_ns: int
    blocks: int
    """Allocated blocks of 512 bytes; grows while a pre-allocated file is filled, and when the disk gets round to it."""

    @classmethod
    def of(cls, stat: Stat) -> Signature:
        """Take the signature out of what os.stat() or DirEntry.stat() gave."""
        return cls(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_blocks)

    def same_content(self, other: Signature) -> bool:
        """Tell whether nothing suggests that the content differs.

        The device is left out: its number changes with a reboot on LVM, btrfs and NFS. So are the blocks: ext4,
        btrfs and ZFS allocate up to 30 s after the last write, which is no news about a file that has been judged.
        """
        return (self.inode, self.size_bytes, self.mtime_ns) == (other.inode, other.size_bytes, other.mtime_ns)

    def same_file(self, other: Signature) -> bool:
        """Tell whether this is the same file under another name: a move, not a reused inode."""
        return self.device == other.device and self.same_content(other)
