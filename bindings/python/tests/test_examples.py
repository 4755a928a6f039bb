"""Each example is run as its first lines say, and does what they say."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conditions import SECONDS, until
from curl import Sse, get

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
ENCKE = os.environ.get("ENCKE_BINARY", str(Path(__file__).resolve().parents[3] / "target" / "release" / "encke"))


class Process:
    """A command whose output is read as it comes, and which ends with the test."""

    def __init__(self, *command: str, cwd=EXAMPLES, **environment: str) -> None:
        self.lines = []
        self._process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=lambda: self.lines.extend(iter(self._process.stdout.readline, "")))
        self._reader.start()

    def said(self, pattern: str) -> str:
        """The first group of `pattern`, once the output has it."""

        def find():
            has_ended = self._process.poll() is not None and not self._reader.is_alive()
            found = re.search(pattern, "".join(self.lines))
            assert found or not has_ended, "it has ended"
            return found

        try:
            return until(pattern, find).group(1)
        except AssertionError as error:
            raise AssertionError("".join(self.lines)) from error

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise AssertionError("it does not end when it is asked to:\n" + "".join(self.lines)) from None
        finally:
            self._reader.join(SECONDS)
            self._process.stdout.close()


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(SECONDS)
        self.sock.connect(self._path)


def post(path: str, url: str, body: str = ""):
    """The JSON that the application answers."""
    with contextlib.closing(UnixConnection(path)) as connection:
        connection.request("POST", url, body)
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 200, text
        return json.loads(text)


def test_the_judge_lets_ann_in_and_nobody_else():
    with Process(sys.executable, "judge.py", "127.0.0.1:0") as host:
        address = host.said(r"http://(\S+?)/sub")
        with Sse(address, "/private/plans", "user=ann") as stream:
            assert stream.take(1) == ["welcome"]
        status, body = get(f"http://{address}/sub/private/plans?transport=sse&user=bob")
        assert (status, json.loads(body)["error"]) == (403, "forbidden")


GUNICORN = [sys.executable, "-m", "gunicorn", "--preload", "--no-control-socket"]


@pytest.mark.parametrize("command", [["-c", "gunicorn.conf.py", "app:app"], ["--workers", "4", "inherited:app"]])
def test_preforked_workers_publish_and_may_be_killed(tmp_path, command):
    """Every message that a worker answered for arrives once; one whose worker was killed arrives once or not at all."""
    web, total = str(tmp_path / "web.sock"), 400
    environment = {"ENCKE_CONTROL": str(tmp_path / "encke.sock"), "ENCKE_LISTEN": "127.0.0.1:0"}
    with Process(*GUNICORN, "--bind", f"unix:{web}", *command, cwd=EXAMPLES / "flask_gunicorn", **environment) as host:
        address = host.said(r"encke listens on (\S+)")
        host.said(r"(Listening at)")
        killed, answered, account = set(), set(), threading.Lock()

        def say(number):
            try:
                worker = post(web, "/say/rome", str(number))["worker"]
            except (ConnectionError, http.client.HTTPException):
                return
            with account:
                answered.add(number)
                # The first to answer after every fifty answers.
                if len(answered) > 50 * (1 + len(killed)) and worker not in killed:
                    killed.add(worker)
                    os.kill(worker, signal.SIGKILL)

        with ThreadPoolExecutor(8) as clients:
            list(clients.map(say, range(total)))
        assert len(killed) >= 4
        # Killed workers are replaced.
        until("a new worker answers", lambda: post(web, "/say/rome", "again")["worker"] not in killed)
        post(web, "/say/rome", "end")
        with Sse(address, "/chat/rome") as stream:
            texts = []
            while texts[-1:] != ["end"]:
                texts.append(json.loads(stream.take(1)[0])["text"])
        numbers = [int(text) for text in texts if text.isdigit()]
        assert len(numbers) == len(set(numbers)), "a message came twice"
        assert answered <= set(numbers), "a message that was answered for is missing"
        assert len(answered) >= total - 8 * len(killed)


def test_an_application_with_an_event_loop_hosts_the_server_and_its_events(tmp_path):
    web = str(tmp_path / "web.sock")
    with Process(sys.executable, "-m", "uvicorn", "fastapi_app:app", "--uds", web, ENCKE_LISTEN="127.0.0.1:0") as host:
        address = host.said(r"encke listens on (\S+)")
        host.said(r"(Uvicorn running)")
        with Sse(address, "/rooms/lobby", "user=ann") as stream:
            assert post(web, "/rooms/lobby", "hello") == {"taken": True}
            assert json.loads(stream.take(1)[0]) == {"user": "app", "text": "hello"}
            assert get(f"http://{address}/pub/say/lobby?user=ann", "-d", "hi")[0] == 202
            assert json.loads(stream.take(1)[0]) == {"user": "ann", "text": "hi"}
        assert get(f"http://{address}/sub/rooms/lobby?transport=poll&user=eve")[0] == 403


def test_a_browser_shows_what_the_application_publishes():
    uvicorn = [sys.executable, "-m", "uvicorn", "fastapi_app:app", "--port", "0"]
    with Process(*uvicorn, ENCKE_LISTEN="127.0.0.1:0") as host:
        web = host.said(r"Uvicorn running on (\S+)")
        assert get(f"{web}/rooms/lobby", "-d", "hello")[0] == 200
        root = EXAMPLES.parents[2]
        subprocess.run(["node", "tests/client/example.mjs", web, "app: hello"], cwd=root, check=True, timeout=2 * SECONDS)


def test_a_site_publishes_to_a_server_of_its_own_process(tmp_path):
    web, control = str(tmp_path / "web.sock"), str(tmp_path / "encke.sock")
    gunicorn = [sys.executable, "-m", "gunicorn", "--no-control-socket", "--workers", "2", "--bind", f"unix:{web}"]
    with Process(ENCKE, "serve", "--listen", "127.0.0.1:0", "--private", "off", "--control", control) as server:
        address = server.said(r"(127\.0\.0\.1:\d+)")
        with Process(*gunicorn, "wsgi:application", cwd=EXAMPLES / "django_site", ENCKE_CONTROL=control) as host:
            host.said(r"(Listening at)")
            with Sse(address, "/orders/7") as stream:
                for state in ("paid", "packed", "sent"):
                    post(web, f"/orders/7/{state}")
                    assert json.loads(stream.take(1)[0]) == {"order": 7, "state": state}
