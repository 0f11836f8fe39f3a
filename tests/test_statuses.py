"""rules/statuses: which verdict answers for which."""

import pytest

from watcher.rules.statuses import Mode


@pytest.mark.parametrize("mode", list(Mode))
def test_a_deeper_verdict_answers_a_shallower_question_and_never_the_other_way(mode):
    """Quick, audio, full: in this order."""
    assert [other for other in Mode if mode.at_least(other)] == [Mode.QUICK, Mode.AUDIO, Mode.FULL][
        : list(Mode).index(mode) + 1
    ]
