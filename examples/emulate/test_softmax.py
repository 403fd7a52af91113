import numpy as np


def test_softmax(metal):
    x = np.random.default_rng(0).standard_normal((4, 1000), np.float32)
    kernels = metal.library("softmax.metal")
    args = {0: x, 1: np.zeros_like(x), 2: np.uint32(1000)}, (512, 1, 1), (128, 1, 1)
    (y,) = kernels.run("softmax", *args, outputs=[1])
    np.testing.assert_allclose(np.array(y).sum(1), 1, rtol=1e-5)
