"""A Metal kernel of your own, tried before a Mac sees it: the emulator finds the missing barrier.

    python examples/gallery/find_a_race.py

The kernel reverses 64 values through threadgroup memory. Without a barrier each lane may read what its neighbour has
not written yet: on a GPU that is wrong now and then, here it is a finding with its line.
"""

from __future__ import annotations

import mlx.core as mx

from voxtral_kernels import emulator

REVERSE = """
threadgroup float tile[64];
uint lane = thread_position_in_threadgroup.x;
tile[lane] = x[lane];
{barrier}
out[lane] = tile[63 - lane];
"""


def reverse(barrier: str) -> emulator.MetalKernel:
    """The kernel as `mx.fast.metal_kernel` would take it, with or without its barrier."""
    return emulator.metal_kernel(
        name="reverse", input_names=["x"], output_names=["out"], source=REVERSE.format(barrier=barrier)
    )


def main() -> None:
    x = mx.arange(64, dtype=mx.float32)
    launch = {"inputs": [x], "grid": (64, 1, 1), "threadgroup": (64, 1, 1)}
    launch |= {"output_shapes": [(64,)], "output_dtypes": [mx.float32]}
    try:
        reverse(barrier="")(**launch)
    except emulator.KernelError as error:
        print(error)
    (out,) = reverse(barrier="threadgroup_barrier(mem_flags::mem_threadgroup);")(**launch)
    print("\nwith the barrier:", "right" if (out == x[::-1]).all() else "wrong")


if __name__ == "__main__":
    main()
