"""A pytest plugin for mlx-audio's own tests: every realtime model that they build is accelerated at once."""

import voxtral_kernels as vk
from bench import hosts

built = []


def pytest_configure():
    hosts.host("mlx_audio.server")  # needs a web server's packages, while it loads only
    package = hosts.host("mlx_audio.stt.models.voxtral_realtime")
    module = hosts.host("mlx_audio.stt.models.voxtral_realtime.voxtral_realtime")

    class Accelerated(module.Model):
        def __init__(self, config):
            super().__init__(config)
            built.append(vk.accelerate(self))

    package.Model = module.Model = Accelerated


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"accelerated models: {len(built)}")
