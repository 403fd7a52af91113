"""``python -m voxtral_kernels.patch``: a host's own program with accelerated models."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from bench import hosts
from voxtral_kernels.patch import __main__ as launcher
from voxtral_kernels.patch._patched import MARK

EXAMPLES = hosts.FOLDER.parents[1] / "examples"


def launch(*arguments):
    path = [str(hosts.FOLDER.parents[1] / "python"), os.environ.get("PYTHONPATH", ""), str(hosts.FOLDER)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, path))}
    command = [sys.executable, "-m", "voxtral_kernels.patch", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_voxmlx_runs_as_it_is():
    run = launch("voxmlx", "--audio", EXAMPLES / "human-card-2.wav", "--model", hosts.TINY)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "four queen of clubs"
    assert "voxmlx 0.0.2, semantics='right'" in run.stderr
    assert "RingKVCache(64)" in run.stderr


@pytest.mark.parametrize(
    ("entry", "got"), [("no-such-program", "got 'no-such-program'"), ("pytest", "got one of _pytest")]
)
def test_another_program_is_refused(entry, got):
    run = launch(entry)
    assert run.returncode == 2
    assert got in run.stderr
    assert "Traceback" not in run.stderr


@pytest.fixture
def rebound(monkeypatch):
    """Rebinds a host's loaders for one test."""

    def install(package, **options):
        for module, name, _ in launcher.LOADERS[package]:
            owner = hosts.host(module)
            monkeypatch.setattr(owner, name, getattr(owner, name, None))
        launcher.install(package, **options)

    return install


def test_whisperlivekit_models_and_processors_are_accelerated(rebound, capsys):
    rebound("whisperlivekit")
    module = hosts.host("whisperlivekit.voxtral_mlx_asr")
    asr = module.VoxtralMLXASR(model_dir=str(hosts.TINY))
    processors = [module.VoxtralMLXOnlineProcessor(asr) for _ in range(2)]
    assert MARK in vars(asr.model)
    assert all("_encode_pending" in vars(processor) for processor in processors)
    said = capsys.readouterr().err
    assert said.count("whisperlivekit 0.2.26") == 1
    assert "RingKVCache(64)" in said, "the checkpoint's own decoder window"


def test_mlx_audio_voxtral_models_are_accelerated_and_others_left(rebound, monkeypatch):
    utils = hosts.host("mlx_audio.stt.utils")
    voxtral, other = hosts.MlxAudio().small(), SimpleNamespace()
    loaded = iter([voxtral, other])
    monkeypatch.setattr(utils, "base_load_model", lambda *_, **__: next(loaded))
    rebound("mlx_audio", semantics="host")
    assert utils.base_load_model("a") is voxtral
    assert getattr(voxtral, MARK).report().semantics == "host"
    assert utils.base_load_model("b") is other


def test_mlx_voxtral_models_are_accelerated(rebound, monkeypatch):
    from bench.hosts.offline import MlxVoxtral

    package, model = hosts.host("mlx_voxtral"), MlxVoxtral().small()
    monkeypatch.setattr(package, "load_voxtral_model", lambda *_: (model, {}), raising=False)
    rebound("mlx_voxtral")
    assert package.load_voxtral_model("a") == (model, {})
    assert MARK in vars(model)


def test_a_model_that_cannot_be_accelerated_ends_the_program_with_one_line(rebound, monkeypatch, capsys):
    model = hosts.Voxmlx().small()
    model.encoder.conv1.stride = 2
    monkeypatch.setattr(hosts.host("voxmlx"), "load_model", lambda: (model, None, {}))
    rebound("voxmlx")
    with pytest.raises(SystemExit) as stop:
        hosts.host("voxmlx").load_model()
    assert stop.value.code == 2
    assert capsys.readouterr().err.splitlines() == [
        "[accelerate] voxmlx 0.0.2 encoder.conv1.stride: expected 1, got 2."
    ]
