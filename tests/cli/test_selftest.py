"""``voxtral-kernels selftest`` tells right from wrong, and wrong from not served."""

import json

import pytest

from voxtral_kernels.backends import composed, select

FEW = ("selftest", "--op", "ada_rms_norm", "--dtype", "float32")


def test_all_right(run, tmp_path):
    status, out, err = run(*FEW, "--backend", "composed", "--seeds", "2", "--json", tmp_path / "a.json")
    assert (status, err) == (0, "")
    assert "ada_rms_norm                float32          20/20\n" in out
    assert out.endswith("\n20 right, 0 wrong, 0 not served\n")
    report = json.loads((tmp_path / "a.json").read_text())
    assert report["environment"]["packages"]["mlx"]
    assert {(o["status"], o["variant"], o["seed"]) for o in report["outcomes"]} == {
        ("right", "composed", 0),
        ("right", "composed", 1),
    }


def test_the_backends_that_serve_here_are_the_default(run):
    status, out, _ = run(*FEW)
    assert status == 0
    header = out.splitlines()[0].split()
    assert header[:2] == ["op", "dtype"]
    assert header[-1] == "composed"
    assert "emulator" not in header


class Planted:
    """The composed backend with something wrong in it."""

    def __init__(self, op, run=None, unsupported=None):
        inner = composed.backend(op)
        self.variant = inner.variant
        self.run = run or inner.run
        self.unsupported = unsupported or inner.unsupported


@pytest.fixture
def plant(monkeypatch):
    def put(**parts):
        load = select.load
        monkeypatch.setattr(
            select, "load", lambda name, op: Planted(op, **parts) if name == "composed" else load(name, op)
        )

    return put


def raises(*arguments):
    raise RuntimeError("The launch\nfailed.")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"run": lambda r, stream: (r.x, r.x) if r.residual is not None else r.x}, "error "),
        ({"run": raises}, "RuntimeError: The launch failed."),
        (
            {
                "unsupported": lambda r, device: [
                    "looped failed its self-check: its result differs from the composed op's."
                ]
            },
            "its result differs",
        ),
        ({"unsupported": lambda r, device: r.no_such_field}, "AttributeError: "),
    ],
    ids=["value", "launch", "self-check", "fault"],
)
def test_wrong(run, plant, parts, message):
    plant(**parts)
    status, out, err = run(*FEW, "--backend", "composed")
    assert (status, err) == (1, "")
    assert message in out
    assert out.endswith("\n0 right, 10 wrong, 0 not served\n")


def test_partly_not_served_is_no_failure(run, plant):
    plant(unsupported=lambda r, device: ["There is no bfloat here."] if r.x.shape[-1] == 3072 else [])
    status, out, _ = run(*FEW, "--backend", "composed")
    assert status == 0
    assert "There is no bfloat here." in out
    assert out.endswith("\n8 right, 0 wrong, 2 not served\n")


def test_a_backend_that_was_asked_for_and_serves_nothing_is(run, plant):
    plant(unsupported=lambda r, device: ["Nothing is."])
    status, out, _ = run(*FEW, "--backend", "composed")
    assert status == 1
    assert out.endswith("\n0 right, 0 wrong, 10 not served\n")


def test_wrong_usage(fails):
    assert "[selftest] argument --backend: invalid choice: 'x'" in fails("selftest", "--backend", "x")


def test_help(run):
    status, out, _ = run("selftest", "--help")
    assert status == 0
    assert "--json FILE" in out
