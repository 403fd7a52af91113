"""Bulk work through Ray: workers and the command are killed, and every recording is in the output once."""

import json
import os
import re
import signal
import subprocess
import sys
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


def workers(driver):
    """The processes of a command's Ray that hold the model."""
    parent, found = parents(), []
    for process in parent:
        ancestor = process
        while ancestor > 1 and ancestor != driver:
            ancestor = parent.get(ancestor, 0)
        try:
            title = Path(f"/proc/{process}/cmdline").read_bytes()
        except OSError:
            continue
        if ancestor == driver and title.startswith(b"ray::") and b"Worker" in title:
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
@pytest.mark.parametrize("form", Form)
def test_every_recording_once_though_a_worker_and_the_command_were_killed(archive, tmp_path, form):
    out = Folder(str(tmp_path / "out"), form)
    command = (archive, "--out", out.url, "--model", "tiny", "--workers", 2, "--shard-files", SHARD, "--format", form)
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

    rows = [row for shard in out.names() for row in out.rows(shard)]
    assert sorted(int(row["id"]) for row in rows) == list(range(FILES))
    assert len([row for row in rows if row["error"]]) == BAD
    model = vk.load("tiny")
    truth = {path.name: model.transcribe(path) for path in EXAMPLES.glob("*-card-*.wav")}
    for row in rows:
        if row["error"]:
            assert "no audio" in (tmp_path / row["source"]).read_text()
            continue
        said = truth[(tmp_path / row["source"]).resolve().name]
        assert row["text"] == said.text.strip()
        assert [word["text"] for word in row["words"]] == [word.text.strip() for word in said.words]
        assert row["duration_s"] == pytest.approx(said.duration_s, abs=1e-3)


DRIVER = """
import sys
from pathlib import Path
from voxtral_kernels.bulk import cluster
from voxtral_kernels.bulk.manifest import Manifest
from voxtral_kernels.bulk.plan import Plan
from voxtral_kernels.bulk.shards import Folder
from voxtral_kernels.bulk.worker import Job, Worker

class Silent(Worker):
    def load(self): pass
    def fill(self, entry, language, transcript): pass

def memory():
    return int(Path("/proc/self/status").read_text().split("RssAnon:")[1].split()[0]) / 1e3

manifest, out = Manifest(sys.argv[1]), sys.argv[2]
manifest.check()
Folder(out, "jsonl").prepare({})
plan = Plan(manifest, Folder(out, "jsonl"), 16)
files = 0
with cluster.connected(None, 2, 1) as workers:
    for done in cluster.run(plan, Job("none", out, "/"), workers, plan.left()[0], worker=Silent):
        files += done.files
        if files % 1600 == 0:
            print(files, memory(), flush=True)
print(files, memory(), flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory from /proc")
def test_the_memory_of_the_command_is_flat(tmp_path):
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("".join(json.dumps({"path": f"{n:0200}.wav"}) + "\n" for n in range(20_000)))
    command = [sys.executable, "-c", DRIVER, str(manifest), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stderr
    files, megabytes = zip(*(map(float, line.split()) for line in done.stdout.splitlines()), strict=True)
    print(dict(zip(files, megabytes, strict=True)))
    assert files[-1] == 20_000
    # From 1,600 to 20,000 recordings: less than a kilobyte a recording, whose row here has 250 bytes.
    assert max(megabytes) - megabytes[0] < 10


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
