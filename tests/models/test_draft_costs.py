"""How long drafts are: by what came so far, and by what passes take."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxtral_kernels.models.passes import MOST, PLAIN, SIZES, Costs
from voxtral_kernels.models.voxtral_realtime.drafts import Drafts
from voxtral_kernels.models.voxtral_realtime.guess import Guess
from voxtral_kernels.models.voxtral_realtime.jacobi import Jacobi

PAD, WORD, TEXT = 32, 33, 1000


@settings(deadline=None, database=None, derandomize=True, max_examples=50)
@given(tokens=st.lists(st.sampled_from([PAD, PAD, PAD, WORD, 1001, 1002]), max_size=60), most=st.integers(1, 15))
def test_a_draft_is_pads_and_at_most_one_mark_at_its_end(tokens, most):
    guess = Guess(PAD, WORD)
    for token in tokens:
        guess.push(token)
    draft = guess.draft(most, lambda n, expected, certain: expected)
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
    assert guess.draft(15, lambda n, expected, certain: expected) == [*[PAD] * 5, WORD]


def refused(drafts, token=1001):
    """A pass that brings one token, and what it says behind that is wrong again."""
    draft, _ = drafts.next(20)
    drafts.hear(draft, [token], [1002] * len(draft), [2] * len(draft), timed=False)
    drafts.push(token)


def test_costs_are_measured_and_then_followed():
    costs, drafts = Costs(), Drafts(PAD, WORD, TEXT)
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
    passes = 0
    while drafts.plain(20) == 0:  # dense text
        passes += 1
        refused(drafts)
    assert passes <= 6
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
    drafts = Drafts(PAD, WORD, TEXT)
    drafts.costs = costs
    for _ in range(100):
        drafts.push(PAD)
    assert drafts.plain(20) == 0
    first, _ = drafts.next(20)
    assert len(first) == 3  # a stream begins with a trial
    drafts.hear(first, [PAD] * 4, [], [], timed=False)
    assert len(drafts.next(20)[0]) == MOST - 1


def test_drafts_that_bring_nothing_end_where_plain_steps_were_disturbed():
    costs, drafts = Costs(), Drafts(PAD, WORD, TEXT)
    drafts.costs = costs
    while (size := costs.wanted(20)) is not None:
        costs.note(size, 0.01 if size == PLAIN else 0.002 * (1 + 0.01 * size))
    assert [costs(n) for n in range(MOST + 1)] == [1.0] * (MOST + 1)
    passes = 0
    while drafts.plain(20) == 0:
        passes += 1
        assert passes < 20
        refused(drafts)


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


def rising(costs, rise):
    """Passes cost so much more a row."""
    costs.wanted, costs.note = lambda rows: None, lambda rows, seconds: None
    costs._table = [1.0, *(1 + rise * n for n in range(MOST))]
    return costs


def test_where_nothing_is_accepted_drafts_are_tried_ever_less_often():
    """What they cost all in all: less than a fiftieth of a thousand tokens."""
    drafts = Drafts(PAD, WORD, TEXT)
    costs = drafts.costs = rising(Costs(), 0.1)
    told, spent, tried = 0, 0.0, []
    while told < 1000:
        steps = drafts.plain(20)
        if steps:
            for _ in range(steps):
                drafts.push(1001)
        else:
            tried.append(told)
            spent += costs(1 + len(drafts.next(20)[0])) - 1
            refused(drafts)
        told += steps or 1
    assert spent < 20
    assert tried[-1] > 700  # still tried
    assert len(tried) < 25
    for _ in range(40):
        drafts.push(PAD)
    assert drafts.plain(20) == 0  # pads need no trial


def test_a_long_rest_ends_where_what_is_said_behind_a_wrong_token_comes():
    """No pad at all: only such tokens can be drafted, and they are right."""
    drafts = Drafts(PAD, WORD, TEXT)
    drafts.costs = rising(Costs(), 0.1)
    while not drafts.plain(20):
        refused(drafts)
    accepted = 0
    for _ in range(60):
        steps = drafts.plain(20)
        for _ in range(steps):
            drafts.push(1001)
        if not steps:
            draft, _ = drafts.next(20)
            right = sum(token == 1001 for token in draft)
            accepted += right
            drafts.hear(
                draft, [1001] * (right + 1), [1001] * (len(draft) - right), [1] * (len(draft) - right), timed=False
            )
            for _ in range(right + 1):
                drafts.push(1001)
    assert accepted > 100


def said(jacobi, made, behind, text=()):
    jacobi.hear(made, behind, [t - TEXT for t in (text or [1000] * len(behind))])
    for token in made:
        jacobi.push(token)
    return [token for token, _ in jacobi.ahead()]


def test_what_is_said_behind_a_wrong_token_is_the_next_draft():
    jacobi = Jacobi(PAD, WORD, TEXT)
    assert said(jacobi, [PAD, WORD], [WORD, PAD, PAD], [1007, 1008, 1009]) == [1007, PAD, PAD]
    jacobi.push(1007)
    assert [token for token, _ in jacobi.ahead()] == [PAD, PAD]
    jacobi.push(1001)
    assert jacobi.ahead() == []


def test_what_is_left_of_it_stays_where_all_was_right():
    jacobi = Jacobi(PAD, WORD, TEXT)
    ahead = said(jacobi, [1001], [PAD, PAD, WORD, WORD, PAD], [1002, 1003, 1004, 1005, 1006])
    assert ahead == [PAD, PAD, WORD, 1005, PAD]
    assert said(jacobi, [PAD, PAD], []) == [WORD, 1005, PAD]
    assert said(jacobi, [WORD, 1009], []) == []


def test_chances_follow_what_comes():
    jacobi = Jacobi(PAD, WORD, TEXT)
    for _ in range(30):
        said(jacobi, [1001], [PAD])
        said(jacobi, [WORD], [1002])
    assert jacobi.ahead()[0][1] < 0.1
    assert jacobi.right < 0.3
    for _ in range(60):
        said(jacobi, [1001], [PAD, PAD])
        said(jacobi, [PAD, PAD, PAD], [])
    said(jacobi, [1001], [PAD, PAD])
    assert all(chance > 0.6 for _, chance in jacobi.ahead())
    assert jacobi.right > 0.9


def test_what_came_behind_another_token_tells_nothing_of_its_chance():
    jacobi = Jacobi(PAD, WORD, TEXT)
    said(jacobi, [1001], [PAD, PAD])
    before = jacobi.ahead()[1][1]
    said(jacobi, [1002, 1003], [PAD, PAD])
    assert jacobi.ahead()[0][1] < before
    assert jacobi.ahead()[1][1] == before


@pytest.mark.parametrize("chained", [True, False])
def test_a_pass_that_is_made_while_another_runs_costs_less(chained):
    """A row alone takes two plain steps; each pass brings two tokens."""
    drafts = Drafts(PAD, WORD, TEXT)
    drafts.costs = rising(Costs(), 0.1)
    drafts.costs._table[1:] = [2 + 0.1 * n for n in range(MOST)]
    for _ in range(20):
        drafts.hear([PAD], [PAD, PAD], [], [], timed=False, chained=chained)
        drafts.push(PAD)
        drafts.push(PAD)
    assert (drafts.plain(20) == 0) == chained


def test_where_no_draft_is_worth_a_pass_plain_steps_are_made():
    """A row alone takes two plain steps, and behind a word's mark nothing is likely."""
    drafts = Drafts(PAD, WORD, TEXT)
    drafts.costs = rising(Costs(), 0.1)
    drafts.costs._table[1:] = [2 + 0.5 * n for n in range(MOST)]
    for _ in range(20):
        assert drafts.plain(20) == 0
        draft, _ = drafts.next(20)
        drafts.hear(draft, [PAD] * (len(draft) + 1), [], [], timed=False)
        for _ in range(len(draft) + 1):
            drafts.push(PAD)
    drafts.push(WORD)
    assert 0 < drafts.plain(20) < 8
    drafts.push(1001)
    drafts.push(PAD)
    assert drafts.plain(20) == 0


def test_no_pass_without_a_draft_follows_another():
    drafts = Drafts(PAD, WORD, TEXT)
    drafts.costs = rising(Costs(), 0.5)
    for _ in range(20):
        for token in (WORD, 1001, PAD):
            drafts.push(token)
    # Now comes a mark, behind which nothing is likely.
    assert drafts.behind([], 20) is None
    for _ in range(40):
        drafts.push(PAD)
    assert drafts.behind([], 20)


def test_a_trial_times_no_long_pass():
    """They would take more than what it costs."""
    drafts, rows = Drafts(PAD, WORD, TEXT), []
    told = 0
    while told < 2000:
        steps = drafts.plain(20)
        if steps:
            for _ in range(steps):
                drafts.push(1001)
            drafts.costs.note(PLAIN, 0.01)
            told += steps
            continue
        draft, timed = drafts.next(20)
        rows.append(len(draft) + 1)
        if timed:
            drafts.costs.note(rows[-1], 0.01 * (1 + 0.3 * rows[-1]))
        drafts.hear(draft, [1001], [1002] * len(draft), [2] * len(draft), timed=timed)
        drafts.push(1001)
        told += 1
    assert set(rows) == {1, 2, 4}
    assert sum(rows) < 300
