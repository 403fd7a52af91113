"""``python -m bench host``: what is counted is there, and a node, a byte of text or a slow route too many is seen."""

import time

import mlx.core as mx
import pytest

import voxtral_kernels as vk
from bench import hosts
from bench.gate.compare import compare_counters
from bench.hosts import importing
from bench.measure import nodes
from bench.measure.routes import ROUTES, blank, route
from bench.measure.stats import Ratio
from bench.measure.steps import DECODER_STEP, ENCODER_CHUNK, KINDS, Step, of_host, ours
from bench.suites import host
from voxtral_kernels.backends import extension, select, source
from voxtral_kernels.models.block import Block

X = mx.ones((1, 4, 64))
mx.eval(X)
GPU_ROUTES = ("native, GPU", "metal")


def test_nodes_are_those_of_the_graph():
    a = X + X
    assert nodes.count(a.transpose(0, 2, 1), a * X) == {"Add": 1, "Transpose": 1, "Multiply": 1}
    mx.eval(a)
    assert nodes.count(a) == {}


@pytest.mark.parametrize("name", ROUTES)
def test_a_route_is_served_by_its_backend_and_leaves_nothing_behind(name):
    before = select.device_type, extension.extension().has_metal, dict(select._loaded)
    with route(name):
        assert vk.explain("ada_rms_norm", X)[0] == name.split(",")[0]
    assert (select.device_type, extension.extension().has_metal) == before[:2]
    assert select._loaded.get(("metal", "ada_rms_norm")) == before[2].get(("metal", "ada_rms_norm"))
    assert vk.explain("ada_rms_norm", X)[0] == "native"


def test_mlx_builds_its_own_fast_ops_as_on_the_device():
    with route("CPU"):
        on_cpu = nodes.count(mx.fast.rms_norm(X, None, 1e-5)).total()
    with route("GPU"):
        assert nodes.count(mx.fast.rms_norm(X, None, 1e-5)).total() == 1 < on_cpu


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_step_follows_a_full_window_and_moves_on(kind):
    step = ours(kind, "native, CPU", 2)
    (start, *_) = (cache.offset for cache in step.caches)
    assert start == kind.window + 2 * kind.length
    step.seconds(3)
    assert all(cache.offset == start + 4 * kind.length for cache in step.caches)
    assert not nodes.count(*step.arrays())


@pytest.mark.parametrize("package", hosts.REALTIME, ids=lambda package: package.name)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_an_accelerated_host_keeps_its_keys_in_our_cache(kind, package):
    step = of_host(package, kind, "metal", 2)
    texts = nodes.texts(step)
    # Attention behind the append of the tail in each layer; the decoder's conditioned norm too.
    assert texts.launches >= 2 * (3 if kind is DECODER_STEP else 2)
    assert nodes.texts(of_host(package, kind, "GPU", 2)).launches == 0


def test_the_text_of_a_launch_is_what_mlx_would_compile():
    texts = nodes.texts(ours(ENCODER_CHUNK, "metal", 2))
    assert texts.launches == 2 * 6 + 1  # four products, attention and merge; the last norm
    assert texts.served == texts.launches + 2 * 4
    assert texts.handed > 1000 * texts.launches
    assert nodes.texts(ours(ENCODER_CHUNK, "native, CPU", 2)).launches == 0


@pytest.fixture(scope="module")
def few_layers():
    """The figures of two layers: as those of all, in less time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host, "ours", lambda kind, name, layers=2: ours(kind, name, layers))
        yield host.figures()


def again(monkeypatch):
    monkeypatch.setattr(host, "ours", lambda kind, name, layers=2: ours(kind, name, layers))
    return host.figures()


def test_counts_are_the_same_in_every_run(few_layers, monkeypatch):
    assert again(monkeypatch) == few_layers


def test_a_layer_has_few_nodes(few_layers):
    counts = {name: value for name, value in few_layers.items() if name.startswith("nodes")}
    assert len(counts) == 2 * (len(ROUTES) - 1)
    assert all(value <= 8 for value in counts.values()), counts


def test_a_planted_node_is_seen(few_layers, monkeypatch):
    real = Block.__call__
    monkeypatch.setattr(Block, "__call__", lambda self, *args: (-(found := real(self, *args))[0], found[1]))
    found = compare_counters(few_layers, again(monkeypatch), {})
    assert {c.counter for c in found if c.worse} == {name for name in few_layers if name.startswith("nodes")}
    assert all(c.head == c.base + 1 for c in found if c.worse)


def test_a_planted_byte_of_text_is_seen(few_layers, monkeypatch):
    real = source.shortened
    monkeypatch.setattr(source, "shortened", lambda stem: (f"{real(stem)[0]}\n", real(stem)[1]))
    found = {c.counter: c for c in compare_counters(few_layers, again(monkeypatch), {})}
    assert all(found[f"bytes of shader text, {kind.name}, metal"].worse for kind in KINDS)


class Spinning(Step):
    """Takes this long to build."""

    def __init__(self, ms):
        super().__init__(lambda x: x, X, [], "CPU")
        self._ms = ms

    def __call__(self):
        end = time.thread_time() + self._ms / 1e3
        while time.thread_time() < end:
            pass


def measured(ms, limit):
    a, b = (host.Contender(who, "metal", lambda _, ms=t: Spinning(ms)) for who, t in (("a", ms), ("b", 2)))
    for contender in (a, b):
        vars(contender)["nodes"] = 1
    return host.measure(DECODER_STEP, a, b, limit, 5)


@pytest.mark.parametrize(("ms", "limit", "misses"), [(2.6, 1.0, 1), (1.6, 1.0, 0), (1.6, 0.5, 1), (2.6, None, 0)])
def test_a_slow_route_misses_its_limit(ms, limit, misses):
    row = measured(ms, limit)
    assert row.ratio.median == pytest.approx(ms / 2, rel=0.1)
    assert len(row.missed) == misses


def row(**changed):
    base = {"kind": "decoder step", "who": "ours", "route": "metal", "against": "voxmlx, CPU", "ms": 1.0}
    base |= {"against_ms": 2.0, "ratio": Ratio(0.4, 0.3, 0.45), "limit": 0.5, "nodes": 9, "against_nodes": 9}
    return host.Row(**(base | {"launches": 10, "served": 10, "text_bytes": 60000} | changed))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"ratio": Ratio(0.6, 0.5, 0.7)}, "decoder step, ours, metal: 0.60 [0.50, 0.70] of voxmlx, CPU, at most 0.5"),
        ({"text_bytes": 70000}, "decoder step, ours, metal: 7,000 bytes of shader text an op, at most 6,144"),
    ],
)
def test_status_and_sentence_of_a_missed_limit(changed, sentence, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(host, "rows", lambda blocks: iter([row(), row(**changed)]))
    assert host.main(["--json", str(tmp_path / "rows.json")]) == 1
    assert f"missed: {sentence}" in capsys.readouterr().out
    assert "text_bytes" in (tmp_path / "rows.json").read_text()
    monkeypatch.setattr(host, "rows", lambda blocks: iter([row()]))
    assert host.main([]) == 0
    assert "missed" not in capsys.readouterr().out


def test_every_route_and_every_host_is_held_against_another():
    found = [(a.who, a.on, b.who, b.on, limit) for a, b, limit in host.pairs(DECODER_STEP)]
    assert {(on, limit) for who, on, other, device, limit in found if (who, device) == ("ours", "CPU")} == {
        *((name, 0.5) for name in ROUTES[:-1]),
        ("composed", None),
    }
    accelerated = {(package.name, name) for package in hosts.REALTIME for name in ROUTES[:-1]}
    assert {(other, on) for who, on, other, _, limit in found if who == f"{other} accelerated" and limit == 1.0} == (
        accelerated
    )


def test_without_the_hosts_it_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(importing, "FOLDER", tmp_path)
    assert host.main([]) == 2
    assert "make build/hosts/.installed" in capsys.readouterr().err


def test_blanks_are_apart():
    a = blank((2, 3), mx.float32)
    a[0] = 1.0
    assert mx.array_equal(blank((2, 3), mx.float32), mx.zeros((2, 3))).item()


@pytest.mark.soak
@pytest.mark.timed
def test_limits_hold():
    assert host.main([]) == 0
