"""What a process of a launch leaves behind, however it ends: a finding, no exception."""

import io
import struct

import pytest

from voxtral_kernels.emulator.launch import isolated
from voxtral_kernels.emulator.launch.buffers import Buffer


@pytest.mark.parametrize(
    ("code", "answer", "said"),
    [
        (-11, b"", "was ended by SIGSEGV"),
        (-40, b"", "was ended by signal 40"),
        (0, b"[" * 200_000, "ended with status 0"),
        (0, b'{"findings": 3}', "ended with status 0"),
        (0, b"\xff", "ended with status 0"),
    ],
)
def test_whatever_ends_the_process_of_a_launch_is_a_finding(code, answer, said):
    """Nothing that a process which was taken over does or writes is an exception here."""
    out = io.BytesIO(struct.pack("<Q", len(answer)) + answer)
    buffers = [Buffer(0, "y", "output", 8, 4)]
    result = isolated._result(code, out, io.BytesIO(), buffers)
    assert (result.outputs, [f.kind for f in result.findings]) == ({0: b"\xff" * 8}, ["crash"])
    assert said in result.findings[0].detail
