"""``voxtral-kernels bulk`` before any work: what it refuses, and what it says there is to do."""

import json
import signal
import sys
from types import SimpleNamespace

import pytest

from voxtral_kernels.bulk import cluster
from voxtral_kernels.cli.ending import Signals


@pytest.fixture
def manifest(tmp_path, examples):
    path = tmp_path / "manifest.jsonl"
    rows = [{"path": str(examples / f"human-card-{n}.wav")} for n in range(1, 6)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--workers", "0"], "--workers: expected an integer >= 1, got 0"),
        (["--workers", "99999"], "--workers: expected as many as this machine has cores for, which are"),
        (["--shard-files", "0"], "--shard-files: expected an integer >= 1, got 0"),
        (["--slots", "0"], "--slots: expected an integer >= 1, got 0"),
        (["--slots", "17"], "--slots: expected at most the 16 recordings of a shard (--shard-files), got 17"),
        (["--format", "xml"], "--format: expected jsonl or parquet, got 'xml'"),
        (["--delay-ms", "50"], "delay_ms: expected"),
        (["--language", "en"], "--language: expected none for Voxtral Realtime, got en"),
        (["--model", "nowhere/"], "model: expected"),
    ],
)
def test_a_wrong_option_is_refused(fails, manifest, tmp_path, options, said):
    model = [] if "--model" in options else ["--model", "tiny"]
    assert said in fails("bulk", manifest, "--out", tmp_path / "out", "--dry-run", *model, *options)
    assert not (tmp_path / "out").exists()


def test_an_offline_model_hears_one_recording_at_once(fails, manifest, tmp_path, offline):
    said = fails("bulk", manifest, "--out", tmp_path / "out", "--dry-run", "--model", offline, "--slots", 2)
    assert "--slots: expected 1 for Voxtral (offline), got 2" in said


def test_a_wrong_manifest_is_refused(fails, tmp_path):
    assert "MANIFEST: expected a file that exists" in fails("bulk", tmp_path / "none", "--out", tmp_path / "out")
    (tmp_path / "m").write_text('{"path": "a"}\n{"path": "a"}\n')
    assert "MANIFEST line 2, id: expected an id" in fails("bulk", tmp_path / "m", "--out", tmp_path / "out")


def test_without_the_extra_it_says_what_to_install(fails, manifest, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "ray.data", None)
    said = fails("bulk", manifest, "--out", tmp_path / "out", "--model", "tiny")
    assert "bulk: expected the package ray, by pip install 'voxtral-kernels[ray]', got none" in said
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    said = fails("bulk", manifest, "--out", tmp_path / "out", "--model", "tiny", "--format", "parquet")
    assert "--format parquet: expected the package pyarrow, by pip install 'voxtral-kernels[ray]'" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("address", "why"), [("127.0.0.1:1", "Connection refused"), ("ray://[::1]:70000", "Port out of range 0-65535")]
)
def test_a_cluster_that_does_not_answer(run, manifest, tmp_path, monkeypatch, address, why):
    """Told without Ray, which would go on trying."""
    for module in ("ray", "ray.data"):
        monkeypatch.setitem(sys.modules, module, SimpleNamespace(init=None, shutdown=None))
    status, out, said = run("bulk", manifest, "--out", tmp_path / "out", "--model", "tiny", "--ray", address)
    assert (status, out) == (2, "")
    assert f"error: [bulk] --ray: expected the address of a Ray cluster that runs, got '{address}' (" in said
    assert why in said


def test_a_start_that_was_too_slow_for_ray_is_tried_again():
    tried = []

    def init(address, num_cpus):
        tried.append((address, num_cpus))
        if len(tried) < cluster.STARTS + fails:
            raise Exception("The current node timed out during startup. This could happen because")

    ray = SimpleNamespace(init=init, shutdown=lambda: None)
    fails = 0
    cluster._init(ray, "local", {"num_cpus": 2})
    assert tried == [("local", 2)] * cluster.STARTS
    tried, fails = [], 1
    with pytest.raises(Exception, match="timed out during startup"):
        cluster._init(ray, "local", {"num_cpus": 2})


@pytest.mark.fault("ending: SIGTERM ended bulk by Ray's handler, with its stack and status 15")
@pytest.mark.parametrize("early", [False, True], ids=["later", "while Ray starts"])
def test_signals_are_ours_once_ray_has_started(run, manifest, tmp_path, monkeypatch, early):
    """Ray's start sets a handler that ends the process by ``sys.exit(number)``."""

    def init(address, **options):
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))
        if early:
            signal.raise_signal(signal.SIGTERM)

    def cluster_resources():
        signal.raise_signal(signal.SIGTERM)

    ended = []
    ray = SimpleNamespace(init=init, shutdown=lambda: ended.append(1), cluster_resources=cluster_resources)
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setitem(sys.modules, "ray.data", SimpleNamespace())
    with Signals():
        status, out, _ = run("bulk", manifest, "--out", tmp_path / "out", "--model", "tiny")
    assert (status, out) == (128 + signal.SIGTERM, "")
    assert ended == ([] if early else [1])  # a start that did not end is undone as the process ends


def test_a_workers_refusal_is_told_without_what_ray_says_around_it():
    said = "[bulk] --out: expected a folder into which one command writes, got 'x', where another began."
    advice = "UserCodeException: it failed\nTo change retry attempts, configure it."
    error = RuntimeError(f"ray::Worker()\nTraceback\nValueError: {said}\n\nThe above was the cause\n\n{advice}")
    error.cause = RuntimeError(advice)
    found = cluster._cause(error)
    assert (type(found), str(found)) == (ValueError, said)


def test_what_a_worker_raised_is_told_without_what_ray_says_around_it():
    raised = "ray::Worker()\n  File 'x.py', line 1, in __call__\nOSError: [Errno 28] No space left on device\nand more"
    advice = "UserCodeException: it failed\nTo change retry attempts, configure it."
    error = RuntimeError(f"{raised}{cluster.AROUND}\n\nray::Worker()\n{advice}")
    error.cause = RuntimeError(advice)
    found = cluster._cause(error)
    assert (type(found), str(found)) == (RuntimeError, "a worker: OSError: [Errno 28] No space left on device")


def test_a_dry_run_says_what_there_is_to_do(run, manifest, tmp_path):
    status, out, err = run(
        "bulk", manifest, "--out", tmp_path / "out", "--model", "tiny", "--dry-run", "--shard-files", 2
    )
    assert (status, out) == (0, "")
    assert "5 recordings, 0 done, 5 to do in 3 shards of up to 2" in err
    assert not (tmp_path / "out").exists()
