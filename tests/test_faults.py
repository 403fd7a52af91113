"""docs/faults.md is what the tests' marks say."""

import pytest

from tests import faults


def test_the_page_is_up_to_date():
    assert faults.PAGE.read_text() == faults.page(), "run: python tests/faults.py"


def test_a_mark_is_read():
    source = '@pytest.mark.soak\n@pytest.mark.fault("threads: it crashed", "ending: late")\nasync def test_it(): pass\n'
    expected = [("threads", "it crashed", "tests/t.py", "test_it"), ("ending", "late", "tests/t.py", "test_it")]
    assert faults.marked(source, "tests/t.py") == expected


@pytest.mark.parametrize("mark", ['"threads"', '"no such kind: it"', '"threads: "', "name", ""])
def test_a_mark_of_another_form_is_refused(mark):
    with pytest.raises(ValueError, match=r"tests/t\.py: expected 'kind: what' at a test, the kind one of threads, "):
        faults.marked(f"@pytest.mark.fault({mark})\ndef test_it(): pass\n", "tests/t.py")
