"""Subscribers: curl, as anyone would run it."""

from __future__ import annotations

import json
import subprocess
from typing import Iterator, List, Optional, Tuple

from conditions import SECONDS

_CURL = ["curl", "--silent", "--show-error", "--no-buffer", "--max-time", "60"]


class Sse:
    """A stream of server-sent events that runs until it is closed."""

    def __init__(self, address: str, channel: str, query: str = "since=earliest") -> None:
        url = f"http://{address}/sub{channel}?transport=sse&{query}"
        self._curl = subprocess.Popen([*_CURL, url], stdout=subprocess.PIPE, text=True)
        self._events = self._read()
        # Once it has greeted, the server knows this reader.
        if next(self._events, None) != ("", None):
            self.close()
            raise AssertionError("a stream begins with a greeting")

    def _read(self) -> Iterator[Tuple[str, Optional[str]]]:
        name, data, id = "", [], None
        for line in self._curl.stdout:
            field, _, value = line.rstrip("\n").partition(": ")
            if field == "data":
                data.append(value)
            elif field == "event":
                name = value
            elif field == "id":
                id = value
            elif field == "" and (data or id):
                yield name, "\n".join(data) if data else None
                name, data, id = "", [], None

    def take(self, count: int) -> List[str]:
        """The next so many messages; a notice of the server's is a failure."""
        messages = []
        for name, data in self._events:
            assert name not in ("gap", "end"), (name, data)
            messages.append(data)
            if len(messages) == count:
                break
        assert len(messages) == count, f"the stream has ended after {len(messages)} messages"
        return messages

    def close(self) -> None:
        self._curl.terminate()
        self._curl.wait(SECONDS)
        self._curl.stdout.close()

    def __enter__(self) -> "Sse":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def get(url: str, *options: str) -> Tuple[int, str]:
    """Status and body."""
    done = subprocess.run(
        [*_CURL, "--write-out", "\n%{http_code}", *options, url], capture_output=True, text=True, timeout=SECONDS * 4
    )
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def long_poll(address: str, channel: str, count: int) -> List[str]:
    """The first so many messages of a channel, one long poll after the other."""
    messages: List[str] = []
    cursor = "earliest"
    while len(messages) < count:
        status, body = get(f"http://{address}/sub{channel}?transport=long-poll&since={cursor}")
        assert status == 200, (status, body)
        batch = json.loads(body)
        assert not batch["gap"]
        messages += [message["data"] for message in batch["messages"]]
        cursor = batch["cursor"]
    return messages
