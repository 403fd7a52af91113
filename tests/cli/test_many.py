"""``transcribe`` of several recordings that are heard together: their order, what one fails, what a signal leaves."""

import json
import os
import signal

import pytest

from voxtral_kernels.models.voxtral_realtime.batch import Batch

CARDS = "eight of spades four of clubs seven of hearts"


def test_they_are_written_in_their_order_each_as_by_itself(run, cards, examples):
    files = examples / "human-card-1.wav", cards, examples / "human-card-2.wav"
    said = [json.loads(run("transcribe", file, "-m", "tiny", "-f", "json", "--no-drafts")[1]) for file in files]
    status, out, err = run("transcribe", *files, "-m", "tiny", "-f", "json", "--slots", "2")
    assert (status, err) == (0, "")
    assert [json.loads(line) for line in out.splitlines()] == said
    status, out, _ = run("transcribe", *files, "-m", "tiny")
    assert out == "".join(f"==> {file} <==\n{one['text']}\n" for file, one in zip(files, said, strict=True))


@pytest.mark.parametrize("signals", [1, 2])
def test_a_signal_ends_them_all(run, cards, examples, tmp_path, monkeypatch, signals):
    """The first lets the words come that were heard, the second ends at once; what there is of each is written."""
    steps, step = [], Batch.step

    def watched(batch):
        steps.append(1)
        if 30 <= len(steps) < 30 + signals:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(batch)

    monkeypatch.setattr(Batch, "step", watched)
    files = examples / "one-minute.wav", cards
    status, _, err = run("transcribe", *files, "-m", "tiny", "-o", f"{tmp_path}/out/")
    assert status == 143
    assert err.count("incomplete, ended by SIGTERM after") == signals
    assert err.endswith(" of 2 recordings transcribed\n")
    texts = {p.name: p.read_text() for p in (tmp_path / "out").iterdir()}
    assert set(texts) == {"one-minute.txt", "human-card-5.txt"}
    assert texts["one-minute.txt"].split()
    if signals == 1:
        assert texts["human-card-5.txt"] == CARDS + "\n"
