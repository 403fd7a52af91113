"""Ranks as users start them, by ``mlx.launch`` on this machine: the tokens of one process, and a rank that dies."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.models.split import copy_golden, write_model

pytestmark = pytest.mark.soak
ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
# Load as float32 on every rank, and say the tokens: of a file, and of a stream that is fed in odd pieces. A rank that
# reads more of the files than its share ends with an error.
TOKENS = """
import json, sys, mlx.core as mx, voxtral_kernels as vk
from pathlib import Path
mx.set_default_device(mx.cpu)
def read():
    io = Path("/proc/self/io")
    return int(io.read_text().split("rchar:")[1].split()[0]) if io.exists() else 0
group = mx.distributed.init()
folder = sys.argv[1]
vk.load(folder, mx.float32, group=group)  # so that every module has been read
before = read()
model = vk.load(folder, mx.float32, group=group)
held = model.ranks.shares[model.ranks.rank] if model.ranks else None
# What is no weight: headers and configuration, and the tokenizer, which is read for several ends.
rest = 4 * sum(p.stat().st_size for p in Path(folder).glob("*") if p.suffix == ".json") + (1 << 16)
over = read() - before - held.read - rest if held and folder != "tiny" else 0
assert over <= 0, f"{over} bytes read beyond the share"
said = {"file": model.transcribe(sys.argv[2], drafts=False, max_tokens=None).tokens}
if model.family.endswith("Realtime"):
    stream, samples = model.stream(drafts=False), vk.load_audio(sys.argv[2])
    for start in range(0, len(samples), 7001):
        stream.feed(samples[start : start + 7001])
    stream.finish()
    said["stream"] = stream.tokens
if group.rank() == 0:
    shares = [s.read / s.whole for s in model.ranks.shares] if model.ranks else []
    print(json.dumps({"said": said, "shares": shares}))
"""
ENDLESS = """
import sys, numpy as np, mlx.core as mx, voxtral_kernels as vk
mx.set_default_device(mx.cpu)
stream = vk.load(sys.argv[1], group=mx.distributed.init()).stream()
noise = np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)
while True:
    stream.feed(noise)
    print("fed", flush=True)
"""


def ports(n):
    """The first of some free ports in a row."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            first = probe.getsockname()[1]
        if first + n < 65536:
            return first


def launch(n, *arguments):
    """Standard output and error of a command on n ranks."""
    command = [BIN / "mlx.launch", "-n", str(n), "--starting-port", str(ports(n)), *map(str, arguments)]
    # Ranks that wait take whole cores: with more of them than cores a step can take long.
    own = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "VOXTRAL_KERNELS_RANK_TIMEOUT": "120"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | own
    ) as process:
        # Its standard input stays open: mlx.launch waits for input without a pause once that has ended.
        assert process.stdout is not None
        assert process.stderr is not None
        out, err = process.stdout.read().decode(), process.stderr.read().decode()
    return out, err


GOLDENS = {
    f"{family} {layout}": (family, layout)
    for family, layout in (
        ("voxtral_realtime", "mistral"),
        ("voxtral_realtime", "transformers"),
        ("voxtral_realtime", "converted"),
        ("voxtral", "mistral"),
        ("voxtral", "transformers"),
        ("voxtral", "mlx"),
    )
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory, offline):
    split, goldens = tmp_path_factory.mktemp("split"), tmp_path_factory.mktemp("goldens")
    write_model(split)
    copied = {
        name: copy_golden(ROOT / "tests" / "golden" / family / layout, goldens / family / layout)
        for name, (family, layout) in GOLDENS.items()
    }
    return {"tiny": "tiny", "random": split, "offline": offline} | copied


def said(text, err):
    """What a script printed: the tokens, and the share of the weights that each rank has read."""
    lines = [line for line in text.splitlines() if line.startswith("{")]
    assert len(lines) == 1, err
    found = json.loads(lines[0])
    return found["said"], found["shares"]


@pytest.mark.parametrize(
    ("name", "size"), [*((name, 2) for name in ("tiny", "random", "offline", *GOLDENS)), ("random", 4)]
)
def test_tokens_and_shares(folders, tmp_path, name, size):
    script = tmp_path / "tokens.py"
    script.write_text(TOKENS)
    arguments = [script, folders[name], ROOT / "examples" / "human-card-5.wav"]
    alone = subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, check=True)
    out, err = launch(size, sys.executable, *arguments)
    expected, _ = said(alone.stdout, alone.stderr)
    found, shares = said(out, err)
    assert found == expected
    assert len(set(expected["file"])) > 2  # not all alike
    assert found.get("stream", found["file"]) == found["file"]
    print(f"{name}, {size} ranks, weights of each: {[round(share, 3) for share in shares]}")
    assert len(shares) == size
    assert max(shares) <= (0.55 if size == 2 else 0.3)


@pytest.mark.parametrize("name", ["tiny", "offline", "voxtral_realtime mistral", "voxtral transformers"])
def test_four_ranks_are_refused_where_heads_do_not_divide(folders, tmp_path, name):
    script = tmp_path / "tokens.py"
    script.write_text(TOKENS)
    out, err = launch(4, sys.executable, script, folders[name], ROOT / "examples" / "human-card-5.wav")
    assert out.strip() == ""
    assert err.count("ValueError: [load] ranks: expected a number that divides the ") == 4, err
    assert err.count(" heads, got 4.") == 4


def test_command_line(folders):
    file = ROOT / "examples" / "human-card-1.wav"
    alone = subprocess.run(
        [BIN / "voxtral-kernels", "transcribe", file, "--model", "tiny"], capture_output=True, text=True, check=True
    )
    out, err = launch(2, "voxtral-kernels", "transcribe", file, "--model", "tiny")
    assert out == alone.stdout
    assert err.count(" MB of weights read (0.5") == 2
    assert "error" not in err


@pytest.mark.parametrize("size", [2, 3])
def test_a_rank_that_dies_ends_the_others(folders, tmp_path, size):
    script, hosts, first = tmp_path / "endless.py", tmp_path / "hosts.json", ports(size)
    script.write_text(ENDLESS)
    hosts.write_text(json.dumps([[f"127.0.0.1:{first + rank}"] for rank in range(size)]))
    command = [sys.executable, str(script), "tiny" if size == 2 else str(three(tmp_path))]
    ranks = [
        subprocess.Popen(
            command,
            env=os.environ | {"MLX_RANK": str(rank), "MLX_HOSTFILE": str(hosts)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]
    try:
        for _ in range(4):
            assert ranks[0].stdout.readline() == "fed\n"
        ranks[-1].kill()
        start = time.monotonic()
        for rank, process in enumerate(ranks[:-1]):
            _, err = process.communicate(timeout=60)
            assert time.monotonic() - start <= 10
            # 1: MLX noticed, and the script had an exception; 2: MLX waits for ever, and the rank ended itself.
            within = {1: ", got a lost connection", 2: " within"}[process.returncode]
            assert f"[ranks] rank {rank} of {size}: expected the other ranks{within}" in err
    finally:
        for process in ranks:
            process.kill()
            process.wait()


def three(tmp_path):
    """A model that three ranks divide."""
    folder = tmp_path / "three"
    folder.mkdir()
    write_model(folder, heads=3, hidden=192, dim=96)
    return folder
