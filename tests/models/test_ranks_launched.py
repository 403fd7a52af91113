"""Ranks as users start them, by ``mlx.launch`` on this machine: the tokens of one process, and a rank that dies."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.models.split import write_model

pytestmark = pytest.mark.soak
ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
# Load as float32 on every rank, and say the tokens: of a recording, and of a stream that is fed in odd pieces.
TOKENS = """
import sys, mlx.core as mx, voxtral_kernels as vk
mx.set_default_device(mx.cpu)
group = mx.distributed.init()
model = vk.load(sys.argv[1], mx.float32, group=group)
samples = vk.load_audio(sys.argv[2])[:64000]
found = model.transcribe(samples, drafts=False)
fed = None
if hasattr(found, "words") and model.family.endswith("Realtime"):
    stream = model.stream(drafts=False)
    for start in range(0, len(samples), 7001):
        stream.feed(samples[start : start + 7001])
    stream.finish()
    fed = stream.tokens == found.tokens
if group.rank() == 0:
    print(found.tokens, fed, [s.read / s.whole for s in model.ranks.shares] if model.ranks else [])
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


@pytest.fixture(scope="module")
def folders(tmp_path_factory, offline):
    split = tmp_path_factory.mktemp("split")
    write_model(split)
    return {"tiny": "tiny", "random": split, "offline": offline}


@pytest.mark.parametrize(("name", "size"), [("tiny", 2), ("random", 2), ("random", 4), ("offline", 2)])
def test_tokens_and_shares(folders, tmp_path, name, size):
    script = tmp_path / "tokens.py"
    script.write_text(TOKENS)
    arguments = [script, folders[name], ROOT / "examples" / "human-card-1.wav"]
    alone = subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, check=True).stdout
    out, err = launch(size, sys.executable, *arguments)
    expected, found = (text.rpartition(" [")[0] for text in (alone, out))
    assert found == expected, err
    assert "False" not in found
    shares = json.loads(out[out.rindex(" [") :])
    assert len(shares) == size
    print(name, size, "weights a rank:", shares)
    # The random models' stems, which every rank holds, are large beside the rest of them.
    assert name != "tiny" or max(shares) <= 0.55


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
            assert process.returncode == 2
            assert f"[ranks] rank {rank} of {size}: expected the other ranks within" in err
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
