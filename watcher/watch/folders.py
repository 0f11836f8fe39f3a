"""The watched folders of one root: which descriptor is which folder, kept right while folders move.

A watch follows its folder through every rename, and the kernel never says where it is now; so the tree is kept here,
and a rename moves a whole branch. This module knows nothing about the kernel or the disk.
"""

from __future__ import annotations


class Folder:
    """One watched folder."""

    __slots__ = ("children", "descriptor", "parent", "prefix")

    def __init__(self, descriptor: int, parent: Folder | None, prefix: bytes) -> None:
        self.descriptor = descriptor
        self.parent = parent
        self.prefix = prefix
        """Path from the root with a trailing slash, empty for the root: what a name in it is appended to."""
        self.children: dict[bytes, Folder] | None = None

    @property
    def name(self) -> bytes:
        """The folder's own name, empty for the root."""
        return self.prefix[:-1].rpartition(b"/")[2]

    def child(self, name: bytes) -> Folder | None:
        """Give the watched folder of this name in here."""
        return self.children.get(name) if self.children else None

    def is_inside(self, other: Folder) -> bool:
        """Tell whether this folder is the other one or lies somewhere in it."""
        here: Folder | None = self
        while here is not None:
            if here is other:
                return True
            here = here.parent
        return False


class FolderTable:
    """The tree of watched folders, and each folder by its descriptor."""

    def __init__(self, root_descriptor: int) -> None:
        self.root = Folder(root_descriptor, None, b"")
        self.by_descriptor = {root_descriptor: self.root}

    def __len__(self) -> int:
        """Count the watched folders, the root included."""
        return len(self.by_descriptor)

    def place(self, descriptor: int, parent: Folder, name: bytes) -> Folder | None:
        """Say that this descriptor is the folder `name` in `parent`, wherever it was before; the branch below moves along.

        None, and nothing changes, when the folder would lie inside itself: a bind mount that loops.
        """
        folder = self.by_descriptor.get(descriptor)
        prefix = b"%s%s/" % (parent.prefix, name)
        if folder is None:
            folder = self.by_descriptor[descriptor] = Folder(descriptor, parent, prefix)
        elif parent.is_inside(folder):
            return None
        else:
            self._unlink(folder)
            folder.parent = parent
            _rename(folder, prefix)
        if parent.children is None:
            parent.children = {}
        parent.children[name] = folder
        return folder

    def drop(self, folder: Folder) -> list[int]:
        """Forget a folder and all below it, and give their descriptors."""
        self._unlink(folder)
        dropped = [each.descriptor for each in _branch(folder)]
        for descriptor in dropped:
            self.by_descriptor.pop(descriptor, None)
        return dropped

    def _unlink(self, folder: Folder) -> None:
        parent = folder.parent
        if parent is not None and parent.children and parent.children.get(folder.name) is folder:
            del parent.children[folder.name]


def _rename(folder: Folder, prefix: bytes) -> None:
    cut = len(folder.prefix)
    for each in _branch(folder):
        each.prefix = prefix + each.prefix[cut:]


def _branch(folder: Folder) -> list[Folder]:
    found = [folder]
    for each in found:  # grows while it is read
        if each.children:
            found.extend(each.children.values())
    return found
