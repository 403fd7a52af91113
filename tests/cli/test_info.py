"""``voxtral-kernels info`` says what serves each op and why, also where something is broken."""

import json
import re

import mlx.core as mx
import pytest

import voxtral_kernels as vk
from voxtral_kernels.cli import info


def test_text(run):
    status, out, err = run("info")
    assert (status, err) == (0, "")
    assert out.startswith(f"voxtral-kernels {vk.__version__}\n")
    for word in ("mlx ", "mistral-common", "device ", "extension ", "emulator ", "metal ", "native ", "composed "):
        assert word in out
    for op in ("ada_rms_norm", "causal_conv1d_gelu", "skinny_linear", "sliding_window_attention"):
        assert f"  {op} (" in out


def test_json_agrees_with_explain(run):
    facts = json.loads(run("info", "--json")[1])
    assert facts["version"] == vk.__version__
    assert facts["packages"]["mlx"]
    entry = next(e for e in facts["ops"] if e["op"] == "ada_rms_norm" and e["case"] == "one token")
    x, weight = mx.zeros((1, 1, 3072), mx.bfloat16), mx.zeros(3072, mx.bfloat16)
    expected = vk.explain("ada_rms_norm", x, weight, weight, residual=x)
    assert (entry["backend"], entry["variant"], entry["reasons"]) == expected
    assert set(facts["backends"]) == {"native", "metal", "emulator", "composed"}
    assert facts["backends"]["composed"] == "available"


def test_what_was_planned(run, monkeypatch):
    monkeypatch.setenv("VOXTRAL_KERNELS_BACKEND", "composed")
    assert "planned" not in run("info")[1]
    monkeypatch.setattr(info, "_drafts", lambda model: None)  # its passes are of many sizes
    out = run("info", "--verbose")[1].partition("planned when the tiny model was loaded\n")[2]
    planned = json.loads(run("info", "--json")[1])["planned"]
    rows = {(p["op"], p["rows"]): p for p in planned}
    assert {"ada_rms_norm", "rope_append", "silu_mul", "sliding_window_attention"} <= {op for op, n in rows if n == 1}
    assert ("causal_conv1d_gelu", 0) in rows
    assert {(p["backend"], p["dtype"]) for p in planned} >= {("composed", "bfloat16")}
    for entry in planned:
        many = f"{entry['rows']} row{'s' if entry['rows'] > 1 else ''}, " if entry["rows"] else ""
        assert re.search(rf"  {entry['op']} \({many}{entry['dtype']}\) +composed / {entry['variant']}\n", out)


def test_what_drafts_save(run):
    out = run("info", "--verbose")[1].partition("\ndrafts, over 20 s of silence: ")[2]
    assert re.match(r"0\.\d\d passes a token \(\d+ for \d+\), \d+ of \d+ drafted tokens accepted\n", out)
    assert re.findall(r"  a pass of (\d+) rows? +\d+\.\d\d ms\n", out) == ["1", "2", "4", "8", "16"]


def test_a_model_that_cannot_be_loaded_is_said_not_raised(run, monkeypatch):
    def load(*_):
        raise ValueError("[load] tiny: expected a folder, got none.")

    monkeypatch.setattr(vk, "load", load)
    status, out, _ = run("info", "-v")
    assert status == 0
    assert out.endswith(
        "planned when the tiny model was loaded: ValueError: [load] tiny: expected a folder, got none.\n"
    )


def test_a_backend_asked_for_by_name(run, monkeypatch):
    monkeypatch.setenv("VOXTRAL_KERNELS_BACKEND", "composed")
    assert {e["backend"] for e in json.loads(run("info", "--json")[1])["ops"]} == {"composed"}


def test_a_backend_that_cannot_serve_is_said_not_raised(run, monkeypatch):
    from voxtral_kernels.backends import select

    def load(backend, op):
        raise select.UnavailableError("There is none here.")

    monkeypatch.setattr(select, "load", load)
    status, out, _ = run("info")
    assert status == 0
    assert "There is none here." in out


def test_selfcheck_verdicts(run, monkeypatch):
    from voxtral_kernels.backends import selfcheck

    assert "self-check of the kernels" in run("info")[1]
    verdicts = {"metal:ada_rms_norm:looped<bfloat16>": "", "metal:conv:tiled<bfloat16>": "it does not run."}
    monkeypatch.setattr(selfcheck, "report", lambda: verdicts)
    out = run("info")[1]
    assert re.search(
        r"  metal:ada_rms_norm:looped<bfloat16> +right\n  metal:conv:tiled<bfloat16> +it does not run\.\n", out
    )


def test_a_wrong_name_is_an_error(fails, monkeypatch):
    monkeypatch.setenv("VOXTRAL_KERNELS_BACKEND", "nonsense")
    assert "VOXTRAL_KERNELS_BACKEND: expected one of" in fails("info")


def test_a_broken_part_is_said_not_raised(monkeypatch):
    assert info._status("voxtral_kernels.nothing") == "not part of this version"
    assert info._status("voxtral_kernels.cli.app").startswith("AttributeError: ")


@pytest.mark.parametrize("value", [{"a": 1, "b": [True, "x"]}])
def test_nested_values_on_one_line(value):
    assert info._flat(value) == "a: 1, b: True x"
