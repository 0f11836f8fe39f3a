"""The looks at a file: what is answered from what is known, how deep the next check goes, and which verdicts count.

A verdict speaks of one content. As long as the signature is that content's, the same check would say the same again,
so it is not made again. Damage is the exception: a decoder's complaint can be a bad read or a machine in trouble, so
damage counts only once a full check of the same content has seen it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from watcher.rules.statuses import IntegrityStatus, Mode, Reason

if TYPE_CHECKING:
    from watcher.rules.signature import Signature
    from watcher.rules.verdict import Verdict

NEEDS_A_SECOND_LOOK = frozenset({Reason.DAMAGED, Reason.UNDECODABLE})
"""What was concluded from a tool's complaints; the other reasons are read off the file itself."""


@dataclass(frozen=True, slots=True)
class Known:
    """A stored verdict, the content it speaks of, and when it was given (epoch milliseconds)."""

    verdict: Verdict
    about: Signature
    at_ms: int

    def speaks_of(self, seen: Signature) -> bool:
        """Tell whether this content is the one that was judged.

        A file that was not whole may still be filled through a mapping, which moves its blocks and nothing else.
        """
        if not seen.same_content(self.about):
            return False
        return self.verdict.status is IntegrityStatus.COMPLETE or seen.blocks == self.about.blocks

    def answers(self, seen: Signature, mode: Mode) -> bool:
        """Tell whether a check in `mode` of this content needs no look: the verdict stands, as deep or deeper."""
        decided = self.verdict.status in (IntegrityStatus.COMPLETE, IntegrityStatus.INCOMPLETE)
        return decided and self.verdict.mode.at_least(mode) and self.speaks_of(seen)

    def is_damage_in(self, seen: Signature) -> bool:
        """Tell whether it says that this content is damaged."""
        return (
            self.verdict.status is IntegrityStatus.INCOMPLETE
            and self.verdict.reason in NEEDS_A_SECOND_LOOK
            and self.speaks_of(seen)
        )


def mode_of(usual: Mode, known: Known | None, seen: Signature) -> Mode:
    """Give how deep the next check goes: as usual, and all the way to make sure of damage."""
    return Mode.FULL if known is not None and known.is_damage_in(seen) else usual


def counts(verdict: Verdict, before: Known | None, seen: Signature) -> bool:
    """Tell whether a verdict that a file is not whole counts towards giving it up.

    What is cut, empty, hollow or no film can be seen at the first look. Damage counts when a full check finds what an
    earlier look at the same content has found.
    """
    if verdict.reason not in NEEDS_A_SECOND_LOOK:
        return True
    return verdict.mode is Mode.FULL and before is not None and before.is_damage_in(seen)
