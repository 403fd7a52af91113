"""What the case lists need passes as Metal 3.1, 3.2 and 4.0: a text of each op here, all of them in `make soak`."""

import mlx.core as mx
import pytest

import voxtral_kernels as vk
from voxtral_kernels import testing
from voxtral_kernels.backends import select
from voxtral_kernels.backends.shaders import Kernels
from voxtral_kernels.emulator.launch import custom_kernel

VERSIONS = ("3.1", "3.2", "4.0")


class Texts:
    """Serves the ops by a stand-in that keeps what would be compiled, once each, and gives zeros."""

    def __init__(self):
        self.calls = {}

    def factory(self, **description):
        kernels = {v: vk.emulator.metal_kernel(language_version=v, **description) for v in VERSIONS}

        def launch(inputs, output_shapes, output_dtypes, stream=None, **arguments):
            shapes = {"output_shapes": output_shapes, "output_dtypes": output_dtypes}
            call = custom_kernel.capture(kernels["3.1"]._mlx, inputs, **shapes, **arguments)
            self.calls.setdefault(call.text, (kernels, call))
            return [mx.zeros(s, d) for s, d in zip(output_shapes, output_dtypes, strict=True)]

        return launch


def texts_of(cases, dtypes):
    """The texts that those cases of every op need, each with its kernels by version."""
    kept = Texts()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(select.ORDER, mx.cpu, ("metal",))
        for op in testing.SHADED:
            patch.setitem(select._loaded, ("metal", op), Kernels(op, kept.factory, "stand-in", checked=False))
        for op in testing.SHADED:
            ref = testing.definition(op)
            for case in ref.CASES[:cases]:
                for dtype in dtypes:
                    with vk.use_backend("metal"):
                        select.run(op, ref.example(case, dtype, 0))
    return list(kept.calls.values())


@pytest.mark.parametrize("version", VERSIONS)
def test_a_text_of_every_op(version):
    texts = texts_of(1, [mx.bfloat16])
    assert len(texts) >= len(testing.SHADED) - 1
    for kernels, call in texts:
        kernels[version]._program(call).check([call.name], {})


@pytest.mark.soak
@pytest.mark.parametrize("version", VERSIONS)
def test_every_text(version):
    for kernels, call in texts_of(None, testing.FLOATS):
        kernels[version]._program(call).check([call.name], {})
