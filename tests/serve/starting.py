"""Servers as their users start them: a process, its command, a free port."""

import os
import re
import signal
import subprocess
import sys
import threading


class Started:
    """``voxtral-kernels serve`` with the tiny model.

    Attributes:
        port: That it listens on.
        said: What it wrote on standard error.
    """

    def __init__(self, *options, key=None):
        environment = {**os.environ, "VOXTRAL_API_KEY": key or ""}
        if key is None:
            del environment["VOXTRAL_API_KEY"]
        command = [sys.executable, "-m", "voxtral_kernels", "serve", "--model", "tiny", "--port", "0", *options]
        self.key, self.said, self._killed = key, "", False
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        for line in self.process.stderr:
            self.said += line
            if found := re.search(r"https?://\S+:(\d+)/", line):
                self.port = int(found[1])
                break
        else:
            raise AssertionError(f"the server ended: {self.said}")
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def socket_url(self):
        return f"ws://127.0.0.1:{self.port}/v1/realtime"

    def kill(self, number=signal.SIGTERM):
        self._killed = True
        self.process.send_signal(number)

    def stop(self, number=signal.SIGTERM):
        """End it; returns its status and what it said."""
        if not self._killed:
            self.kill(number)
        status = self.process.wait(60)
        self._reader.join(10)
        return status, self.said

    def _read(self):
        for line in self.process.stderr:
            self.said += line
