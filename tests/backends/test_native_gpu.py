"""The extension's GPU route where there is no GPU.

`native_gpu` is tested as it is. In soak, eval_gpu itself runs: compiled against ``native/fake_metal``, its dispatches
go to the emulator in checked mode, and the results are held against the oracle.
"""

import importlib
import importlib.util
import subprocess
import sys
import sysconfig
from pathlib import Path

import mlx.core as mx
import nanobind
import numpy as np
import pytest

from tests import stages
from voxtral_kernels import emulator, testing
from voxtral_kernels.backends import native_gpu
from voxtral_kernels.reference import streams
from voxtral_kernels.reference.ring import commit, empty_ring
from voxtral_kernels.reference.sliding_window_attention import SlidingWindowAttention, from_sequence

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "csrc"


@pytest.mark.parametrize("op", stages.SHADED)
def test_every_case_has_launches_of_shaders_that_exist(op):
    definition = testing.definition(op)
    for case in definition.CASES:
        request = definition.example(case, mx.bfloat16)
        for launch in native_gpu.record(op, request):
            assert f'host_name("{launch.kernel}")' in launch.text
            assert launch.kernel.startswith(op)
            assert all(0 < t <= 1024 for t in launch.threadgroup)


def test_a_launch_names_its_template_in_the_shaders_order():
    kernel, text = native_gpu.instance(
        "f",
        "template <typename T, int D, bool LAST>\n[[kernel]] void f_kernel(",
        (("LAST", True), ("D", 3), ("T", mx.float16)),
    )
    assert kernel == "f_half_3_true"
    assert text.endswith("[[kernel]] decltype(f_kernel<half, 3, true>) f_kernel<half, 3, true>;\n")


def build(folder, compiler):
    mlx, nb = Path(mx.__file__).parent, Path(nanobind.__file__).parent
    includes = [ROOT / "tests/native/fake_metal", CSRC, mlx / "include", nb / "include", nb / "ext/robin_map/include"]
    includes.append(Path(sysconfig.get_paths()["include"]))
    flags = [f"-I{path}" for path in includes] + [
        "-std=c++20",
        "-O1",
        "-fPIC",
        "-fvisibility=hidden",
        "-DNB_DOMAIN=mlx",
        "-Dvoxtral=voxtral_check",  # types of its own: those of the extension may be registered in this process
    ]
    sources = [ROOT / "tests/native/gpu_check.cpp", nb / "src/nb_combined.cpp", *(CSRC / "ops").glob("*.cpp")]
    sources += [p for p in (CSRC / "metal").glob("*.cpp") if p.name != "no_metal.cpp"]
    objects = [folder / f"{p.parent.name}-{p.stem}.o" for p in sources]
    for source, target in zip(sources, objects, strict=True):
        subprocess.run([compiler, *flags, "-c", str(source), "-o", str(target)], check=True)
    module = folder / f"_gpu_check{sysconfig.get_config_var('EXT_SUFFIX')}"
    libraries = [f"-L{mlx / 'lib'}", "-lmlx", f"-Wl,-rpath,{mlx / 'lib'}"]
    subprocess.run([compiler, "-shared", *map(str, objects), *libraries, "-o", str(module)], check=True)
    return module


@pytest.fixture(scope="module")
def gpu(tmp_path_factory, cxx):
    """The ops with their eval_gpu, on the emulator."""
    spec = importlib.util.spec_from_file_location("_gpu_check", build(tmp_path_factory.mktemp("gpu"), cxx))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    libraries = {}

    def run(kernel, text, buffers, outputs, grid, threadgroup):
        if kernel not in libraries:
            libraries[kernel] = emulator.library(text)
        results = libraries[kernel].run(kernel, buffers, grid, threadgroup, outputs=outputs)
        return [np.array(r).tobytes() for r in results]

    module.set_runner(run)
    return module


def on_gpu(request):
    """What the ops do to inputs on a GPU stream: row-contiguous, but for the queries of attention."""
    fields = {n: getattr(request, n) for n in request.__dataclass_fields__}
    strided = "q" if isinstance(request, SlidingWindowAttention) else None
    return type(request)(
        **{n: mx.contiguous(v) if isinstance(v, mx.array) and n != strided else v for n, v in fields.items()}
    )


def call(gpu, op, request):
    r = on_gpu(request)
    launches = native_gpu.given_to(gpu, native_gpu.record(op, r))
    out = getattr(gpu, op)(*(getattr(r, name) for name in r.__dataclass_fields__), mx.cpu, launches)
    return gpu.evaluated(out[0] if isinstance(out, tuple) else out)


def outputs(result):
    """A list of what there is: the oracle says None for an output that the request does not have."""
    return [a for a in result if a is not None] if isinstance(result, (tuple, list)) else [result]


def small(op, case):
    """Cases that the emulator runs in seconds, every variant among them."""
    return {
        "ada_rms_norm": lambda: True,
        "causal_conv1d_gelu": lambda: case.C_out * case.C_in <= 128 * 128,
        "sliding_window_attention": lambda: case.Hq * case.L * (case.window or 300) <= 60000,
    }.get(op, lambda: True)()


@pytest.mark.soak
@pytest.mark.parametrize("op", stages.NATIVE)
def test_eval_gpu_matches_the_oracle_on_the_emulator(gpu, op):
    definition, done, variants = testing.definition(op), set(), set()
    dispatch = importlib.import_module(f"voxtral_kernels.dispatch.{op}")
    for case in filter(lambda c: small(op, c), definition.CASES):
        request = definition.example(case, mx.float32)
        kernels = tuple(launch.kernel for launch in native_gpu.record(op, request))
        if not kernels or (kernels in done and op in testing.OPS):
            continue
        done.add(kernels)
        variants.add(dispatch.variant(request)[0])
        results = (call(gpu, op, request), definition.oracle(request), definition.composed(request))
        for out, truth, yardstick in zip(*map(outputs, results), strict=True):
            testing.assert_matches(out, truth, yardstick)
    assert variants == set(dispatch.VARIANTS)


@pytest.mark.soak
@pytest.mark.parametrize("dtype", testing.FLOATS, ids=str)
@pytest.mark.parametrize(("past", "window"), [(75, 50), (505, 600)], ids=["whole", "split"])
def test_eval_gpu_gives_a_query_the_same_bits_in_any_company(gpu, past, window, dtype):
    rng = np.random.default_rng(past)
    q, k, v = (mx.array(rng.normal(size=(1, h, past + 16, 32)), mx.float32).astype(dtype) for h in (4, 1, 1))

    def attend(begin, end, ring_end):
        of = (q[:, :, begin:end], k[:, :, :end], v[:, :, :end])
        request = from_sequence(*of, window, ring_end, past + 16)
        (out,) = call(gpu, "sliding_window_attention", request)
        return np.array(out.astype(mx.float32)).view(np.uint32)

    together = attend(past, past + 16, past)
    for i in (0, 6, 7, 15):
        assert np.array_equal(attend(past + i, past + i + 1, past + i - 5)[:, :, 0], together[:, :, i]), i


@pytest.mark.soak
@pytest.mark.parametrize("bits", [16, 8])
@pytest.mark.parametrize("length", [1, 5, 20])
def test_the_commits_eval_gpu_writes_the_ring_on_the_emulator(gpu, length, bits):
    rng = np.random.default_rng(0)
    ring = mx.array(rng.normal(size=(2, 2, 3, 16, 32)), mx.float16)
    if bits == 8:
        ring = commit(empty_ring((2, 3), 16, 32, mx.float16, 8), 0, ring[0], ring[1])
    k, v = (mx.array(rng.normal(size=(2, 3, length, 32)), mx.float16) for _ in range(2))
    expected = commit(ring, 13, k, v)
    mx.eval(ring, expected)
    launches = native_gpu.given_to(gpu, [native_gpu.commit(ring, k)])
    assert mx.array_equal(gpu.evaluated(gpu.ring_commit(ring, 13, k, v, k, None, mx.cpu, launches))[0], expected).item()


@pytest.mark.soak
@pytest.mark.parametrize("bits", [16, 8])
@pytest.mark.parametrize("length", [1, 20])
def test_the_commits_of_streams_write_their_slots_alone(gpu, length, bits):
    rng = np.random.default_rng(0)
    ring = mx.array(rng.normal(size=(2, 4, 3, 16, 32)), mx.float16)
    if bits == 8:
        ring = commit(empty_ring((4, 3), 16, 32, mx.float16, 8), 0, ring[0], ring[1])
    k, v = (mx.array(rng.normal(size=(2 * length, 3, 1, 32)), mx.float16) for _ in range(2))
    where = streams.table(((3, 13, 0, length), (1, 40, length, length)))
    expected = streams.commit(ring, where, k, v)
    mx.eval(ring, expected)
    launches = native_gpu.given_to(gpu, [native_gpu.commit(ring, k, 2)])
    assert mx.array_equal(gpu.evaluated(gpu.ring_commit(ring, 0, k, v, k, where, mx.cpu, launches))[0], expected).item()


@pytest.mark.soak
def test_the_extension_compiles_and_links_for_macos():
    check = [sys.executable, str(CSRC / "check_macos.py"), "--no-texts"]
    good = subprocess.run(check, capture_output=True, text=True)
    assert good.returncode == 0, good.stdout + good.stderr
    assert "MISSING" not in good.stdout
    planted = subprocess.run([*check, "--plant"], capture_output=True, text=True)
    assert planted.returncode == 1
    assert "no_such_function" in planted.stderr
