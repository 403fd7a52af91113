"""How long drafts are: by what came so far, and by what passes take."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxtral_kernels.models.passes import MOST, PLAIN, SIZES, Costs
from voxtral_kernels.models.voxtral_realtime.drafts import Drafts, Guess

PAD, WORD = 32, 33


@settings(deadline=None, database=None, derandomize=True, max_examples=50)
@given(tokens=st.lists(st.sampled_from([PAD, PAD, PAD, WORD, 1001, 1002]), max_size=60), most=st.integers(1, 15))
def test_a_draft_is_pads_and_at_most_one_mark_at_its_end(tokens, most):
    guess = Guess(PAD, WORD)
    for token in tokens:
        guess.push(token)
    draft = guess.draft(most, lambda n, expected: expected)
    assert len(draft) <= most
    assert set(draft[:-1]) <= {PAD}
    assert set(draft) <= {PAD, WORD}
    assert not (tokens and tokens[-1] == WORD and draft)


def test_a_pause_is_proposed_at_its_usual_length():
    guess = Guess(PAD, WORD)
    for _ in range(6):
        for token in [WORD, 1001, *[PAD] * 5]:
            guess.push(token)
    for token in (WORD, 1001):
        guess.push(token)
    assert guess.draft(15, lambda n, expected: expected) == [*[PAD] * 5, WORD]


def test_costs_are_measured_and_then_followed():
    costs, drafts = Costs(), Drafts(PAD, WORD)
    drafts.costs = costs
    asked = []
    while (size := costs.wanted(20)) is not None:
        asked.append(size)
        costs.note(size, 0.01 * (1 + 0.5 * size))
    assert set(asked) == {PLAIN, *SIZES}
    assert len(asked) == 3 * (1 + 2 * len(SIZES)) + len(SIZES)  # the first of a size plans too
    assert costs(PLAIN) == 1
    assert costs(8) == pytest.approx(5)
    assert costs(6) == pytest.approx(4)
    assert costs.times()[8] == pytest.approx(0.05)
    for _ in range(30):
        drafts.push(1001)
    assert drafts.plain(20) > 0  # dense text
    for _ in range(200):
        drafts.push(PAD)
    assert drafts.plain(20) == 0


@pytest.mark.parametrize("disturbed", [PLAIN, *SIZES])
@pytest.mark.parametrize("times", [0.2, 20])
def test_no_time_by_itself_decides_how_long_drafts_are(disturbed, times):
    """The clock moves between the rounds, and one time of each size in turn is far off."""
    costs, rounds = Costs(), [0.010, 0.022, 0.013]
    for size in SIZES:
        costs.note(size, 1.0)
    for second, clock in enumerate(rounds):
        for size in (PLAIN, *SIZES):
            off = times if (second, size) == (1, disturbed) else 1.0
            for _ in range(2 if size else 1):
                costs.note(size, clock * (1 + 0.04 * size) * off)
        assert (costs.wanted(20) is None) == (second == len(rounds) - 1)
    for rows in range(1, MOST + 1):
        assert 0.79 < costs(rows) / (1 + 0.04 * rows) < 1.26
    drafts = Drafts(PAD, WORD)
    drafts.costs = costs
    for _ in range(100):
        drafts.push(PAD)
    assert drafts.plain(20) == 0
    assert len(drafts.next(20)[0]) == MOST - 1


def test_costs_are_timed_anew_after_a_while_and_a_machine_that_changed_is_followed():
    costs = Costs()
    for size in SIZES:
        costs.note(size, 1.0)

    def passes(n, rise):
        for _ in range(n):
            size = costs.wanted(20)
            size = 4 if size is None else size
            costs.note(size, 0.01 * (1 + rise * size))

    passes(20, 0.04)
    assert costs(8) == pytest.approx(1.32)
    passes(2000, 0.3)
    assert costs(8) == pytest.approx(3.4)


def test_two_rows_at_a_time_are_timed_against_each_other():
    """A stream of 160 ms never makes eight plain steps in a row."""
    costs = Costs()
    for _ in range(60):
        size = costs.wanted(2)
        costs.note(2 if size is None else size, 0.01 if size == 1 else 0.012)
    assert costs(1) == 1
    assert costs(2) == pytest.approx(1.2)
