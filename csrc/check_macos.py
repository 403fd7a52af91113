"""``make check-macos``: compiles and links the extension for macOS arm64 on any machine.

1. The macOS wheels of MLX come from PyPI; every source of the extension, eval_gpu included, is compiled against their
   headers by ziglang's clang and linked.
2. Every MLX symbol that the result needs must be one that libmlx.dylib exports.
3. The emulator's runtime (csrc/emulator) is compiled and linked likewise; what it lacks must be Python's.
4. The Metal texts that eval_gpu would hand to MLX's device are compiled on the emulator.

It proves that the Apple-only code compiles, links and finds its symbols, not that it runs.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import re
import struct
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import mlx.core as mx
import nanobind
import pybind11

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "check-macos"
VERSION = vars(mx)["__version__"]
TARGET = "aarch64-macos.14.0"
PLANTED = """
namespace mlx::core { int no_such_function(int); }
__attribute__((used)) int planted() { return mlx::core::no_such_function(0); }
"""


def wheels() -> Path:
    """The unpacked macOS wheels of the MLX that is installed here."""
    folder = BUILD / f"mlx-{VERSION}"
    if not (folder / "mlx/lib/libmlx.dylib").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        download = ["download", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version", "3.11"]
        download += [
            "--platform",
            "macosx_14_0_arm64",
            "--implementation",
            "cp",
            "--abi",
            "cp311",
            "--dest",
            str(folder),
        ]
        packages = [f"mlx=={VERSION}", f"mlx-metal=={VERSION}"]
        subprocess.run([sys.executable, "-m", "pip", *download, *packages], check=True)
        for wheel in folder.glob("*.whl"):
            zipfile.ZipFile(wheel).extractall(folder)
    return folder / "mlx"


def sources() -> list[Path]:
    """What csrc/extension.cmake builds on macOS."""
    found = [p for folder in ("cpu", "ops", "metal") for p in sorted((ROOT / "csrc" / folder).glob("*.cpp"))]
    return [ROOT / "csrc/bindings.cpp", *(p for p in found if p.name != "no_metal.cpp")]


def compile_one(source: Path, mlx: Path) -> Path:
    """The object file of one source."""
    nb = Path(nanobind.__file__).parent
    includes = [mlx / "include", mlx / "include/metal_cpp", ROOT / "csrc/metal/stub", nb / "include"]
    includes += [nb / "ext/robin_map/include", Path(sysconfig.get_paths()["include"])]
    flags = ["-std=c++20", "-O1", "-fPIC", "-fno-strict-aliasing", "-fvisibility=hidden", "-I", str(ROOT / "csrc")]
    flags += ["-DNB_DOMAIN=mlx", "-DNDEBUG", "-D_METAL_", "-DVOXTRAL_ISA=neon", "-ffp-contract=fast"]
    for folder in includes:
        flags += ["-isystem", str(folder)]
    warnings = ["-Wall", "-Wextra", "-Werror"] if ROOT / "csrc" in source.parents else ["-w"]
    target = BUILD / f"{source.parent.name}-{source.stem}.o"
    command = [sys.executable, "-m", "ziglang", "c++", "-target", TARGET, *flags, *warnings]
    subprocess.run([*command, "-c", str(source), "-o", str(target)], check=True)
    return target


def link(objects: list[Path], mlx: Path) -> Path:
    """The linked module; `-bundle` would write a file of zeros with this linker."""
    module = BUILD / "_ext.so"
    command = [sys.executable, "-m", "ziglang", "c++", "-target", TARGET, "-shared", "-Wl,-undefined,dynamic_lookup"]
    subprocess.run([*command, "-o", str(module), *map(str, objects), str(mlx / "lib/libmlx.dylib")], check=True)
    return module


def symbols(file: Path, *, looked_up: bool = False) -> tuple[set[str], set[str]]:
    """The undefined and the exported symbols of a 64-bit Mach-O file, from its symbol table (``LC_SYMTAB``).

    With ``looked_up`` the undefined ones are those that no library named at the link has.
    """
    data = file.read_bytes()
    magic, _, _, _, commands, *_ = struct.unpack_from("<8I", data)
    if magic != 0xFEEDFACF:
        raise SystemExit(f"{file.name} is not a 64-bit Mach-O file.")
    undefined, exported, at = set(), set(), 32
    for _ in range(commands):
        command, size = struct.unpack_from("<2I", data, at)
        if command == 2:
            table, count, strings, _ = struct.unpack_from("<4I", data, at + 8)
            for i in range(count):
                name_at, kind, _, where, _ = struct.unpack_from("<IBBHQ", data, table + 16 * i)
                if kind & 0xE0 or not kind & 1:  # debugging entries; what is not external
                    continue
                name = data[strings + name_at : data.index(b"\0", strings + name_at)].decode()
                if kind & 0x0E:
                    exported.add(name)
                elif not looked_up or where >> 8 in (0, 0xFE):  # of no library
                    undefined.add(name)
        at += size
    return undefined, exported


def check_symbols(module: Path, mlx: Path) -> list[str]:
    """The MLX symbols that the module needs and libmlx.dylib does not export; prints what was checked."""
    needed = sorted(s for s in symbols(module)[0] if "3mlx4core" in s)
    exported = symbols(mlx / "lib/libmlx.dylib")[1]
    missing = [s for s in needed if s not in exported]
    print(f"{len(needed)} MLX symbols needed, libmlx.dylib of {VERSION} exports {len(needed) - len(missing)}:")
    for name in needed:
        print(f"  {'MISSING' if name in missing else 'ok     '} {name}")
    return missing


def check_emulator() -> list[str]:
    """Compiles and links the emulator's runtime; the symbols that neither it, macOS nor Python has."""
    includes = ["csrc", "csrc/emulator", "python/voxtral_kernels/emulator/include"]
    flags = ["-std=c++20", "-O1", "-fPIC", "-fvisibility=hidden", "-fno-stack-protector", "-DNDEBUG"]
    flags += ["-Wall", "-Wextra", "-Werror", *(f"-I{ROOT / folder}" for folder in includes)]
    flags += ["-isystem", sysconfig.get_paths()["include"], "-isystem", pybind11.get_include()]
    command = [sys.executable, "-m", "ziglang", "c++", "-target", TARGET]

    def compile_(source: Path) -> str:
        target = str(BUILD / f"emulator-{source.stem}.o")
        subprocess.run([*command, *flags, "-c", str(source), "-o", target], check=True)
        return target

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(compile_, sorted((ROOT / "csrc/emulator").glob("*.cpp"))))
    module = BUILD / "_emulator.so"
    subprocess.run([*command, "-shared", "-Wl,-undefined,dynamic_lookup", "-o", str(module), *objects], check=True)
    unknown = sorted(name for name in symbols(module, looked_up=True)[0] if not name.startswith(("_Py", "__Py")))
    print(f"{len(objects)} sources of the emulator's runtime compiled and linked for {TARGET}.")
    return unknown


def check_texts() -> None:
    """Compiles the texts that eval_gpu would hand to Metal on the emulator: one for each shader and dtype.

    tests/backends/test_native_gpu.py goes further and runs eval_gpu's own launches there.
    """
    from voxtral_kernels import emulator
    from voxtral_kernels.backends import native_gpu

    texts = {}
    for kernel, text in native_gpu.texts_of_cases().items():
        shader = re.match(r".*?_(float|half|bfloat)(?=_|$)", kernel)
        assert shader, f"{kernel} names no dtype"
        texts.setdefault(shader[0], (kernel, text))
    for kernel, text in texts.values():
        emulator.library(text)._program.entry(kernel, "plain", {})
        print(f"  compiled {kernel}", flush=True)
    print(f"{len(texts)} Metal texts of eval_gpu compiled on the emulator.")


def main() -> int:
    """Exit status 1 where a symbol is missing; a compiler's error ends the run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plant", action="store_true", help="add a symbol that MLX does not export: must fail")
    parser.add_argument("--no-texts", action="store_true", help="leave the Metal texts out")
    options = parser.parse_args()
    mlx = wheels()
    files = [*sources(), Path(nanobind.__file__).parent / "src/nb_combined.cpp"]
    if options.plant:
        (BUILD / "planted.cpp").write_text(PLANTED)
        files.append(BUILD / "planted.cpp")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(lambda source: compile_one(source, mlx), files))
    missing = check_symbols(link(objects, mlx), mlx)
    print(f"{len(files)} sources compiled and linked for {TARGET}.")
    if unknown := check_emulator():
        print(f"The emulator's runtime lacks {', '.join(unknown)}.", file=sys.stderr)
        return 1
    if missing:
        print(f"Not exported by libmlx.dylib: {', '.join(missing)}.", file=sys.stderr)
        return 1
    if not options.no_texts:
        check_texts()
    return 0


if __name__ == "__main__":
    sys.exit(main())
