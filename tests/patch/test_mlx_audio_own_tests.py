"""mlx-audio's own tests of `voxtral_realtime` that need no download, with acceleration on."""

import os
import re
import subprocess
import sys
from pathlib import Path

from bench import hosts

ROOT = hosts.FOLDER.parents[1]
TESTS = ["test_voxtral_realtime_streaming.py", "test_streaming_session.py"]


def test_they_pass_with_every_model_accelerated():
    files = [str(hosts.FOLDER / "mlx_audio" / "stt" / "tests" / name) for name in TESTS]
    own = [str(Path(__file__).parent), str(ROOT), str(ROOT / "python"), os.environ.get("PYTHONPATH", "")]
    command = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(hosts.FOLDER), "-p", "accelerated"]
    command += ["-p", "no:cacheprovider", "-k", "not nemotron", "-q", *files]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, own))}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    print(run.stdout, run.stderr)
    assert run.returncode == 0, run.stdout + run.stderr
    passed = re.search(r"(\d+) passed", run.stdout)
    # What they skip needs the 4B checkpoint.
    assert passed is not None
    assert int(passed.group(1)) >= 14
    assert "2 skipped" in run.stdout
    assert re.search(r"accelerated models: [1-9]", run.stdout)
