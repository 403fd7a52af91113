"""What every test shares: the device, and reasons printed for what is left out."""

import os

import mlx.core as mx
from hypothesis import settings

# Hosted Macs may lack what the kernels need of a GPU; the Metal job asks for it by name.
mx.set_default_device(mx.gpu if os.environ.get("VOXTRAL_KERNELS_TEST_DEVICE") == "gpu" else mx.cpu)

# The same examples in every run, so that a red run can be repeated.
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci")
