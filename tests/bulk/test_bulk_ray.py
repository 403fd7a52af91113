"""Bulk work through Ray: workers and the command are killed, and every recording is in the output once."""

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

import voxtral_kernels as vk
from voxtral_kernels.bulk.shards import Folder, Form

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES, BAD, SHARD = 200, 5, 4
LIMIT_S = 1800

pytestmark = pytest.mark.soak


@pytest.fixture(scope="module", autouse=True)
def _ray():
    pytest.importorskip("ray.data", reason="pip install 'voxtral-kernels[ray]'")


def start(*arguments):
    command = [sys.executable, "-m", "voxtral_kernels", "bulk", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def parents():
    """Process to parent."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            found[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    return found


def descendants(ancestor):
    """All processes that a process started, and those that they did."""
    parent, found = parents(), []
    for process in parent:
        above = process
        while above > 1 and above != ancestor:
            above = parent.get(above, 0)
        if above == ancestor and process != ancestor:
            found.append(process)
    return found


def workers(driver):
    """The processes of a command's Ray that hold the model."""
    found = []
    for process in descendants(driver):
        with contextlib.suppress(OSError):
            title = Path(f"/proc/{process}/cmdline").read_bytes()
            if title.startswith(b"ray::") and b"Worker" in title:
                found.append(process)
    return found


def wait(condition, process):
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)


@pytest.fixture
def archive(tmp_path):
    """200 recordings of which 5 are none, and their manifest."""
    cards = sorted(EXAMPLES.glob("*-card-*.wav"))[:5]
    rows = []
    for n in range(FILES):
        path = tmp_path / f"{n}.wav"
        if n % (FILES // BAD) == 7:
            path.write_text("no audio")
        else:
            path.symlink_to(cards[n % len(cards)])
        rows.append({"path": path.name, "id": n})
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return manifest


@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers by /proc")
@pytest.mark.parametrize(("form", "slots"), [(Form.JSONL, 1), (Form.PARQUET, 1), (Form.JSONL, SHARD)])
def test_every_recording_once_though_a_worker_and_the_command_were_killed(archive, tmp_path, form, slots):
    out = Folder(str(tmp_path / "out"), form)
    command = (archive, "--out", out.url, "--model", "tiny", "--workers", 2, "--shard-files", SHARD, "--format", form)
    command += ("--slots", slots)
    first = start(*command)
    wait(lambda: len(out.names()) >= FILES // SHARD // 4, first)
    pool = workers(first.pid)
    assert len(pool) == 2
    os.kill(pool[0], signal.SIGKILL)
    killed_at = len(out.names())
    wait(lambda: len(out.names()) >= FILES // SHARD // 2, first)
    # Two again: the lost one was replaced.
    wait(lambda: len(set(workers(first.pid)) - {pool[0]}) == 2, first)
    assert killed_at < FILES // SHARD // 2 <= len(out.names()) < FILES // SHARD
    first.kill()
    first.wait()
    second = start(*command)
    said = second.communicate(timeout=LIMIT_S)[1]
    assert second.returncode == 1, said
    before, left = map(int, re.search(r"200 recordings, (\d+) done, (\d+) to do", said).groups())
    assert before + left == FILES
    assert before >= FILES // 2
    assert f"{left} of {left} recordings" in said

    check(out, tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_ends_it_in_one_line(archive, tmp_path, number):
    out = Folder(str(tmp_path / "out"), Form.JSONL)
    process = start(archive, "--out", out.url, "--model", "tiny", "--workers", 1, "--shard-files", SHARD)
    wait(lambda: out.names(), process)
    process.send_signal(number)
    said = process.communicate(timeout=LIMIT_S)[1]
    assert process.returncode == 128 + number, said
    # Ray may have something to say about what it was waiting for.
    assert any(line.endswith("the same command goes on from here") for line in said.splitlines()), said
    assert "*** SIG" not in said, said


def test_of_two_commands_the_one_that_began_last_goes_on(archive, tmp_path):
    out = Folder(str(tmp_path / "out"), Form.JSONL)
    command = (archive, "--out", out.url, "--model", "tiny", "--workers", 1, "--shard-files")
    first = start(*command, SHARD)
    wait(lambda: out.names(), first)
    pool, before = workers(first.pid), out._settings()
    for worker in pool:  # so that there is something left, however slowly the second starts
        os.kill(worker, signal.SIGSTOP)
    second = start(*command, SHARD + 1)
    wait(lambda: out._settings() != before, second)
    for worker in pool:
        os.kill(worker, signal.SIGCONT)
    said = first.communicate(timeout=LIMIT_S)[1]
    assert first.returncode == 2, said
    assert said.splitlines()[-1].endswith("where another bulk command began since and does what is left.")
    assert "ERROR" not in said
    assert second.wait(LIMIT_S) == 1
    check(out, tmp_path)


def check(out, folder):
    """Every recording of the archive is there once, with the text of `transcribe` or an error."""
    rows = [row for shard in out.names() for row in out.rows(shard)]
    assert sorted(int(row["id"]) for row in rows) == list(range(FILES))
    assert len([row for row in rows if row["error"]]) == BAD
    model = vk.load("tiny")
    truth = {path.name: model.transcribe(path) for path in EXAMPLES.glob("*-card-*.wav")}
    for row in rows:
        if row["error"]:
            assert "no audio" in (folder / row["source"]).read_text()
            continue
        said = truth[(folder / row["source"]).resolve().name]
        assert row["text"] == said.text.strip()
        assert [word["text"] for word in row["words"]] == [word.text.strip() for word in said.words]
        assert row["duration_s"] == pytest.approx(said.duration_s, abs=1e-3)


@pytest.fixture
def cluster(monkeypatch):
    """The address of a Ray cluster of two cores, which ends by its processes' ids: `ray stop` would end others' too."""
    # Where a token is left of a cluster before, Ray's head asks for it, and who connects has to be told to show it.
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    scratch = tempfile.mkdtemp(prefix="ray")  # Ray's sockets need a short path
    command = [Path(sys.executable).parent / "ray", "start", "--head", "--block", "--port", str(port)]
    command += ["--num-cpus", "2", "--include-dashboard", "false", "--temp-dir", scratch]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        for line in process.stdout:
            if "Ray runtime started" in line:
                break
        else:
            pytest.fail("the cluster did not start")
        yield f"127.0.0.1:{port}"
    finally:
        family = descendants(process.pid)
        for member in [process.pid, *family]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, signal.SIGTERM)
        process.wait(60)
        for member in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
        shutil.rmtree(scratch, ignore_errors=True)


@pytest.mark.skipif(sys.platform != "linux", reason="ends the cluster by /proc")
def test_a_cluster_by_its_address(archive, tmp_path, cluster):
    out = Folder(str(tmp_path / "out"), Form.JSONL)
    command = (archive, "--out", out.url, "--model", "tiny", "--shard-files", SHARD)
    done = start(*command, "--ray", cluster)
    said = done.communicate(timeout=LIMIT_S)[1]
    assert done.returncode == 1, said
    assert "2 workers of 1 thread, tiny" in said
    assert f"{FILES} of {FILES} recordings" in said
    check(out, tmp_path)
    # Its workers were the cluster's, which still runs.
    again = start(*command, "--ray", cluster, "--retry-errors")
    assert f"{FILES} recordings, {FILES - BAD} done, {BAD} to do" in again.communicate(timeout=LIMIT_S)[1]
    nobody = start(*command, "--ray", "127.0.0.1:1", "--retry-errors")
    said = nobody.communicate(timeout=LIMIT_S)[1]
    assert nobody.returncode == 2
    assert "--ray: expected the address of a Ray cluster that runs, got '127.0.0.1:1'" in said


@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory from /proc")
def test_the_memory_of_the_command_is_flat(tmp_path):
    """The process that the user started, over 20,000 recordings that are not there: so many rows with an error."""
    manifest, out = tmp_path / "manifest.jsonl", Folder(str(tmp_path / "out"), Form.JSONL)
    manifest.write_text("".join(json.dumps({"path": f"{n:0200}.wav"}) + "\n" for n in range(20_000)))
    process = start(manifest, "--out", out.url, "--model", "tiny", "--workers", 2, "--shard-files", 16)
    megabytes = {}
    while process.poll() is None:
        files = 16 * len(out.names())
        with contextlib.suppress(OSError, IndexError):
            megabytes[files] = memory(process.pid)
        time.sleep(0.5)
    assert process.returncode == 1, process.stderr.read()
    assert "20000 of 20000 recordings" in process.stderr.read()
    begun = [megabytes[files] for files in sorted(megabytes) if files >= 1600]
    print({files: megabytes[files] for files in sorted(megabytes)[:: len(megabytes) // 12 or 1]})
    assert len(begun) > 20
    # From 1,600 to 20,000 recordings: less than a kilobyte a recording, whose row here has 600 bytes.
    assert max(begun) - begun[0] < 10


def memory(process):
    """Megabytes of a process that are its own."""
    return int(Path(f"/proc/{process}/status").read_text().split("RssAnon:")[1].split()[0]) / 1e3


PEAK = """
import sys
from pathlib import Path
from voxtral_kernels.cli import main
status = main(["bulk", sys.argv[1], "--out", sys.argv[2], "--model", "tiny", "--dry-run"])
print(status, int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1e3)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory from /proc")
def test_the_memory_of_a_dry_run_is_flat(tmp_path):
    peaks = []
    for rows in (2_000, 20_000):
        manifest = tmp_path / f"{rows}.jsonl"
        manifest.write_text("".join(json.dumps({"path": f"{n:0200}.wav"}) + "\n" for n in range(rows)))
        command = [sys.executable, "-c", PEAK, str(manifest), str(tmp_path / "out")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        status, peak = done.stdout.split()
        assert status == "0"
        peaks.append(float(peak))
    print(peaks)
    # 16 bytes a row are held, 0.3 MB; a list of the rows would take 10 MB.
    assert peaks[1] - peaks[0] < 3
