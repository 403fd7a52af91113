"""``python -m bench metal-sources``: every Metal source that the ops' case lists make MLX generate, one file each.

``--compile`` hands each to Apple's compiler (``xcrun metal``; it needs no GPU) and exits 1 where one is refused.
"""

from __future__ import annotations

import importlib
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx

from voxtral_kernels import testing
from voxtral_kernels.backends import metal
from voxtral_kernels.emulator.launch.custom_kernel import capture

from ..options import Parser

INCLUDE = Path(mx.__file__).parent / "include"
PREAMBLE = '#include "mlx/backend/metal/kernels/utils.h"\n'
STANDARD = "metal3.1"  # the first with bfloat


class Recorder:
    """In place of `mx.fast.metal_kernel`: notes the text of each call and answers with zeros."""

    def __init__(self, sources: dict[str, str]) -> None:
        self._sources = sources

    def __call__(self, **declaration: Any) -> Any:
        kernel = mx.fast.metal_kernel(**declaration)

        def call(*, inputs: list[mx.array], stream: Any = None, **arguments: Any) -> list[mx.array]:
            text = capture(kernel, inputs, **arguments)
            self._sources[text.name] = text.text
            pairs = zip(arguments["output_shapes"], arguments["output_dtypes"], strict=True)
            return [mx.zeros(shape, dtype) for shape, dtype in pairs]

        return call


def sources() -> dict[str, str]:
    """Generated text by kernel name, over every op, case and dtype that the kernels take."""
    found: dict[str, str] = {}
    recorder = metal.short(Recorder(found))
    for op in (op for op in testing.OPS if op in testing.SHADED):
        module = importlib.import_module(f"voxtral_kernels.dispatch.{op}")
        for request in _requests(op):
            if not module.unsupported(request):
                module.launch(request, recorder, None)
    return found


def figures() -> dict[str, float]:
    """How many distinct kernels are compiled, for the regression gate."""
    return {"distinct compiled kernels, over the case lists": float(len(sources()))}


def _requests(op: str) -> Iterator[Any]:
    reference = testing.definition(op)
    for case in reference.CASES:
        for dtype in testing.FLOATS:
            yield reference.example(case, dtype)


def compile_source(path: Path) -> str:
    """Apple's compiler on one file; what it complains of, ``""`` when it takes the file."""
    command = ["xcrun", "-sdk", "macosx", "metal", f"-std={STANDARD}", "-I", str(INCLUDE), "-c", str(path)]
    done = subprocess.run([*command, "-o", "/dev/null"], capture_output=True, text=True)
    return done.stderr if done.returncode else ""


def _short(name: str) -> str:
    """A file's name that every file system takes."""
    return name if len(name) <= 200 else f"{name[:180]}_{zlib.crc32(name.encode()):08x}"


def main(argv: list[str]) -> int:
    """Write the files; with ``--compile`` exit 1 where Apple's compiler refuses one."""
    parser = Parser(prog="bench metal-sources", description=__doc__)
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where to (default: a temporary folder)")
    parser.add_argument("--compile", action="store_true", help="compile each with xcrun metal")
    options = parser.parse_args(argv)
    folder = options.out or Path(tempfile.mkdtemp(prefix="metal-sources-"))
    folder.mkdir(parents=True, exist_ok=True)
    refused = 0
    found = sources()
    for name, text in sorted(found.items()):
        path = folder / f"{_short(name)}.metal"
        path.write_text(PREAMBLE + text)
        complaint = compile_source(path) if options.compile else ""
        refused += bool(complaint)
        if complaint:
            print(f"{name}: refused\n{complaint}")
    print(f"{len(found)} sources in {folder}" + (f", {refused} refused by Apple's compiler" if options.compile else ""))
    return int(refused > 0)
