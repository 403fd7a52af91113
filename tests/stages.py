"""How far each op has come: CONTRIBUTING's steps land one by one, and a test asks for what has landed."""

from pathlib import Path

from voxtral_kernels.testing import INTERNAL, OPS

ROOT = Path(__file__).resolve().parents[1]


def landed(place: str) -> list[str]:
    """The ops that have a file there; ``{}`` stands for the op."""
    return [op for op in (*OPS, *INTERNAL) if any(ROOT.glob(place.format(op)))]


PUBLIC = landed("python/voxtral_kernels/ops/{}.py")
NATIVE = landed("csrc/cpu/{}.cpp")
SHADED = landed("python/voxtral_kernels/dispatch/{}.py")
