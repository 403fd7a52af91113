"""What every test shares: the device, and reasons printed for what is left out."""

import os
import runpy
import shutil
import signal
from pathlib import Path

import mlx.core as mx
import pytest
from hypothesis import settings

from tests.soak_record import SoakRecord
from voxtral_kernels.backends import source

ROOT = Path(__file__).resolve().parents[1]
collect_ignore = ["new_op"]  # files of test_new_op.py

# Hosted Macs may lack what the kernels need of a GPU; the Metal job asks for it by name.
mx.set_default_device(mx.gpu if os.environ.get("VOXTRAL_KERNELS_TEST_DEVICE") == "gpu" else mx.cpu)

# The same examples in every run, so that a red run can be repeated.
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci")


# A shell starts what runs behind it (`make test &`) with Ctrl-C ignored, as are then all processes that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config):
    if config.option.markexpr.startswith("soak") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(SoakRecord())


@pytest.fixture(autouse=True)
def _seeded():
    """A test's arrays are the same in any order and on any worker."""
    mx.random.seed(0)


@pytest.fixture(scope="session")
def cxx():
    """The C++ compiler's command."""
    found = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    return found or pytest.skip("no C++ compiler")


@pytest.fixture(scope="session")
def offline(tmp_path_factory):
    """The folder of a small random model of the offline family; copy it before you change it."""
    folder = tmp_path_factory.mktemp("offline")
    runpy.run_path(str(ROOT / "examples" / "random_offline_model.py"))["write_model"](folder)
    return folder


@pytest.fixture
def edit_shader(tmp_path, monkeypatch):
    """Puts a copy of the shaders in place of the package's; each call edits one file of it."""
    folder = tmp_path / "kernels"
    shutil.copytree(source.kernels_dir(), folder)
    monkeypatch.setattr(source, "kernels_dir", lambda: folder)

    def forget():
        for cached in (source.text, source.body, source.header, source.entry, source.shortened, source.kernel):
            cached.cache_clear()

    def edit(file, right, wrong):
        text = (folder / file).read_text()
        assert right in text, f"{file} no longer has {right!r}"
        (folder / file).write_text(text.replace(right, wrong, 1))
        forget()

    forget()
    yield edit
    monkeypatch.undo()
    forget()
