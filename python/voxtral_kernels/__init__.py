"""Metal kernels for the Voxtral speech models in MLX, and the models that run on them."""

__version__ = "0.1.0"
