"""What the tests of bulk work share."""

import json

import pytest


@pytest.fixture
def write(tmp_path):
    """Writes a manifest of rows: ``write(*rows) -> path``; text is written as it is."""

    def call(*rows, name="manifest.jsonl"):
        path = tmp_path / name
        path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
        return str(path)

    return call
