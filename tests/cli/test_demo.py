"""``make demo`` on two recordings: one that the checkpoint hears right, one with an error."""

import re
import subprocess
import sys


def test_demo(examples):
    command = [sys.executable, examples / "demo.py", "human-card-1.wav", "human-card-3.wav"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "  heard      ten of clubs\n  reference  ten of clubs\n  0 word errors\n" in done.stdout
    assert "  heard      seven of clubs up\n  reference  seven of clubs\n  1 word error\n" in done.stdout
    assert re.search(r"  all +16\.7 % +1 of 6 words in 2 recordings\n", done.stdout)
    assert re.search(r"real-time factor \d+\.\d+: ", done.stdout)
    for op in ("ada_rms_norm", "causal_conv1d_gelu", "sliding_window_attention"):
        assert re.search(rf"  {op} \(.*\) +\w+ / \w+", done.stdout)
