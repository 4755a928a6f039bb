"""What publishing from Python costs: nanoseconds a message, beside a call that does nothing.

    python bench.py [messages]

Each row is the median of nine rounds (and the best of them); between rounds the server takes what was published. The
messages have 100 bytes, the channel's name has 9.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any, Callable, List

import encke
from encke import _encke, frames

ROUNDS = 9
CHANNEL = "/chat/all"
TEXT = "x" * 100
HOST = "import encke, sys\nwith encke.Server('127.0.0.1:0', control=sys.argv[1]): print('ready', flush=True); input()"


def calls(count: int, call: Callable[..., Any], *arguments: Any) -> float:
    """Nanoseconds a call; the loop itself is counted, too."""
    rounds = range(count)
    begin = time.perf_counter_ns()
    for _ in rounds:
        call(*arguments)
    return (time.perf_counter_ns() - begin) / count


def batches(count: int, call: Callable[..., int], *arguments: Any) -> float:
    """Nanoseconds a message, of one call with all of them."""
    begin = time.perf_counter_ns()
    taken = call(*arguments)
    took = time.perf_counter_ns() - begin
    assert taken == count, f"{taken} of {count} were taken: fewer messages, please"
    return took / count


def row(name: str, measure: Callable[[], float], settle: Callable[[], None]) -> None:
    times: List[float] = []
    for _ in range(ROUNDS + 1):
        times.append(measure())
        settle()
    times = times[1:]  # the first one warms up
    print(f"| {name:<58} | {statistics.median(times):>6.0f} | {min(times):>6.0f} |")


def publisher_rows(name: str, publisher: Any, count: int) -> None:
    texts = [TEXT] * count
    pairs = [(CHANNEL, TEXT)] * count
    row(f"{name}: publish, str", lambda: calls(count, publisher.publish, CHANNEL, TEXT), publisher.flush)
    row(f"{name}: publish, bytes", lambda: calls(count, publisher.publish, CHANNEL, TEXT.encode()), publisher.flush)
    channel = publisher.channel(CHANNEL)
    row(f"{name}: publish, str, by a channel", lambda: calls(count, channel.publish, TEXT), publisher.flush)
    row(f"{name}: publish_many, str", lambda: batches(count, publisher.publish_many, CHANNEL, texts), publisher.flush)
    row(f"{name}: publish_pairs, str", lambda: batches(count, publisher.publish_pairs, pairs), publisher.flush)


def socket_floor(path: str, count: int) -> None:
    """What no publisher over the socket can be cheaper than: the system call, which also wakes the server."""
    frame = frames.message(CHANNEL, TEXT, None, None, 1 << 20)
    with socket.socket(socket.AF_UNIX) as plain:
        plain.connect(path)
        plain.sendall(frames.PREFACE)
        row(
            "send of a frame on the control socket, nothing else",
            lambda: calls(count, plain.sendall, frame),
            lambda: None,
        )


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
    print(f"| {count} messages of 100 bytes a round; ns a message {'':<10} | median |   best |")
    print(f"|{'-' * 60}|-------:|-------:|")
    row("a call into the library that does nothing", lambda: calls(count, _encke.noop, CHANNEL, TEXT), lambda: None)
    with encke.Server("127.0.0.1:0") as server:
        publisher_rows("Server", server, count)
        row(
            "Server: publish, str, with event and content type",
            lambda: calls(count, lambda: server.publish(CHANNEL, TEXT, event="tick", content_type="text/plain")),
            server.flush,
        )
        row(
            "Server: publish, dict of two, as JSON",
            lambda: calls(count, server.publish, CHANNEL, {"a": 1, "b": TEXT}),
            server.flush,
        )
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "encke.sock")
        host = subprocess.Popen([sys.executable, "-c", HOST, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        with host:
            assert host.stdout is not None and host.stdout.readline() == b"ready\n"
            socket_floor(path, count)
            for kind in (encke.NativePublisher, encke.SocketPublisher):
                with kind(f"unix:{path}") as publisher:
                    publisher_rows(kind.__name__, publisher, count)
            host.communicate(b"\n")


if __name__ == "__main__":
    main()
