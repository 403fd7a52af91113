"""A headless Chromium, spoken to in its DevTools protocol."""

import base64
import json
import re
import shutil
import subprocess
import time

from websockets.sync.client import connect

FOUND = shutil.which("chromium") or shutil.which("google-chrome")
OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--no-first-run", "--disable-extensions", "--disable-sync", "--mute-audio", "--remote-debugging-port=0",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--disable-dev-shm-usage",
)  # fmt: skip
WAIT_S = 60


class Browser:
    """One process; ``tab`` opens pages in it.

    Args:
        folder: For its profile.
        microphone: A WAV file that is heard once by each page that listens.
    """

    def __init__(self, folder, microphone):
        command = [
            FOUND,
            *OPTIONS,
            f"--user-data-dir={folder}",
            f"--use-file-for-fake-audio-capture={microphone}%noloop",
        ]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        said = ""
        for line in self._process.stderr:
            said += line
            if found := re.search(r"DevTools listening on (ws://\S+)", line):
                break
        else:
            raise AssertionError(f"Chromium did not start: {said}")
        self._connection = connect(found[1], max_size=None)
        self._socket = self._connection.__enter__()
        self._n = 0
        self._events = []

    def close(self):
        self._connection.__exit__(None, None, None)
        self._process.terminate()
        self._process.wait(20)
        self._process.stderr.close()

    def tab(self, url):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return Tab(self, session, url)

    def call(self, method, session=None, **arguments):
        """A command's result."""
        self._n += 1
        message = {"id": self._n, "method": method, "params": arguments}
        self._socket.send(json.dumps(message | ({"sessionId": session} if session else {})))
        while True:
            answer = json.loads(self._socket.recv(WAIT_S))
            if answer.get("id") == self._n:
                assert "error" not in answer, f"{method}: {answer.get('error')}"
                return answer["result"]
            if "method" in answer:
                self._events.append(answer)

    def events(self, method, tab=None):
        """What happened since the start, in all tabs or in one."""
        own = [event for event in self._events if tab is None or event.get("sessionId") == tab._session]
        return [event["params"] for event in own if event["method"] == method]


class Tab:
    """A page."""

    def __init__(self, browser, session, url):
        self._browser, self._session = browser, session
        for domain in ("Runtime", "Log", "Page", "Network"):
            self.call(f"{domain}.enable")
        self.call("Page.navigate", url=url)
        self.wait(f"document.readyState == 'complete' && location.href == '{url}'")

    def call(self, method, **arguments):
        return self._browser.call(method, self._session, **arguments)

    def run(self, script):
        """What an expression, or a promise of it, comes to."""
        options = {"expression": script, "awaitPromise": True, "returnByValue": True, "userGesture": True}
        result = self.call("Runtime.evaluate", **options)
        assert "exceptionDetails" not in result, result.get("exceptionDetails")
        return result["result"].get("value")

    def wait(self, script, seconds=WAIT_S):
        """Until an expression is true; returns it."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if value := self.run(script):
                return value
            time.sleep(0.1)
        raise AssertionError(f"never true: {script}; status: {self.run('document.body.innerText')}")

    def press(self, key):
        """Tab, Enter or Space."""
        codes = {"Tab": (9, ""), "Enter": (13, "\r"), "Space": (32, " ")}
        code, text = codes[key]
        name = " " if key == "Space" else key
        for kind in ("keyDown", "keyUp"):
            given = {"text": text} if text and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=key, windowsVirtualKeyCode=code, **given)

    def look(self, path, width, height=900, *, dark=False):
        """A screenshot at this width; returns the width that the page's content takes."""
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}],
        )
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        time.sleep(0.2)
        picture = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(picture))
        return self.run("document.documentElement.scrollWidth")
