"""Drive a headless Chromium over its debugging pipe: nothing but the standard library and the
browser.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

#: Programs that speak the protocol; on Debian and Ubuntu: `apt-get install chromium`.
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

#: A guard against hangs, no limit of what is fast enough.
SILENCE_SECONDS = 120

INSTALL_HINT = "no Chromium is installed (Debian: `apt-get install chromium`)"


def find() -> str | None:
    """Path of a browser; None when there is none."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class Browser:
    """One browser with one page; use it as a context manager."""

    def __init__(self, program: str, width: int = 1280, height: int = 900) -> None:
        self.scratch = tempfile.mkdtemp(prefix="rp-browser-")
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        command = [
            program,
            "--headless=new",
            "--remote-debugging-pipe",
            "--no-first-run",
            "--disable-gpu",
            "--disable-extensions",
            "--disable-background-networking",
            "--disable-dev-shm-usage",
            # Tests may run as root, where the sandbox refuses to; the page is ours.
            "--no-sandbox",
            f"--user-data-dir={self.scratch}",
            f"--window-size={width},{height}",
            "about:blank",
        ]

        # The browser reads requests from descriptor 3 and answers on 4.
        shell = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self.process = subprocess.Popen(
            ["bash", "-c", shell, "browser", *command],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": self.scratch, "XDG_RUNTIME_DIR": self.scratch},
            start_new_session=True,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._answers = ours_in
        self._requests = ours_out
        self._rest = b""
        self._last = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        targets = self.call("Target.getTargets")["targetInfos"]
        target = next(info["targetId"] for info in targets if info["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the browser and remove what it has written."""
        self._session = None
        try:
            self.call("Browser.close")
        except (OSError, EOFError, AssertionError):
            pass
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self._requests)
        os.close(self._answers)
        shutil.rmtree(self.scratch, ignore_errors=True)

    # The protocol

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Send a command and wait for its answer; events that come meanwhile are kept."""
        self._last += 1
        message: dict[str, object] = {"id": self._last, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._requests, data) :]
        while True:
            answer = self._receive()
            if answer.get("id") == self._last:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                return dict(answer["result"])
            self.events.append(answer)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            if not select.select([self._answers], [], [], SILENCE_SECONDS)[0]:
                raise TimeoutError("the browser says nothing")
            data = os.read(self._answers, 1 << 20)
            if not data:
                raise EOFError("the browser has ended")
            self._rest += data
        text, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(text))

    # The page

    def open(self, file: Path) -> None:
        """Load a file and wait for its `load` event."""
        self.events.clear()
        self.call("Page.navigate", url=file.resolve().as_uri())
        self.wait_for("document.readyState === 'complete'")

    def run(self, expression: str) -> Any:
        """Value of a JavaScript expression in the page; a promise is waited for."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise AssertionError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait_for(self, expression: str) -> Any:
        """The value of an expression once it is true; the test's watchdog ends what never comes."""
        return self.run(
            f"new Promise(done => {{ const look = () => {{ const value = {expression};"
            " value ? done(value) : setTimeout(look, 10); }; look(); })"
        )

    def key(self, *keys: str) -> None:
        """Press keys one after the other, by their names in JavaScript."""
        for key in keys:
            text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
            self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def type(self, text: str) -> None:
        """Write into the focused field."""
        self.call("Input.insertText", text=text)

    def mouse(self, kind: str, x: float, y: float, **more: object) -> None:
        """A mouse event: `mouseMoved`, `mousePressed`, `mouseReleased`, `mouseWheel`."""
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, x: float, y: float, count: int = 1) -> None:
        """A click of the left button at a place of the window."""
        self.mouse("mouseMoved", x, y)
        self.mouse("mousePressed", x, y, button="left", clickCount=count)
        self.mouse("mouseReleased", x, y, button="left", clickCount=count)

    def scheme(self, name: str) -> None:
        """`light` or `dark`, as the system would say."""
        self.call(
            "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}]
        )

    def screenshot(self, file: Path, whole: bool = True) -> None:
        """Write a PNG of the page, by default all of it."""
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)[
            "data"
        ]
        file.write_bytes(base64.b64decode(data))

    def problems(self) -> list[str]:
        """Exceptions, errors on the console and requests for anything but files, since `open`."""
        found = []
        # Answers to a command come after the events before it.
        self.run("0")
        for event in self.events:
            parameters = event.get("params", {})
            match event.get("method"):
                case "Runtime.exceptionThrown":
                    found.append(str(parameters["exceptionDetails"]))
                case "Runtime.consoleAPICalled" if parameters["type"] in ("error", "warning"):
                    found.append(str(parameters["args"]))
                case "Log.entryAdded" if parameters["entry"]["level"] in ("error", "warning"):
                    # Tests read pixels, which a page would not do.
                    if "getImageData" not in parameters["entry"]["text"]:
                        found.append(str(parameters["entry"]))
        return found

    def requested(self) -> Sequence[str]:
        """Addresses that the page has asked for since `open`."""
        self.run("0")
        return [
            str(event["params"]["request"]["url"])
            for event in self.events
            if event.get("method") == "Network.requestWillBeSent"
        ]
