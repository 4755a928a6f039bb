"""A server of the framed stream that does what no real one can be made to do: it stops reading, or breaks off."""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import threading
from typing import List, Optional, Tuple

HEAD = struct.Struct("<HBBI")
PREFACE = b"\0encke1\n"

Message = Tuple[str, str, str, bytes]  # channel, content type, event, data


class Peer:
    """Listens at `path`, and keeps what it reads in `messages`. One connection after the other."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.messages: List[Message] = []
        self.connections = 0
        self.refuse: Optional[bytes] = None  # data that is refused
        self.break_after: Optional[int] = None  # bytes of the stream, then the connection is closed
        self.data_max = 1 << 30  # a longer message closes the connection
        self.reading = threading.Event()
        self.reading.set()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        self._wake, self._stopped = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"unix:{self.path}"

    @property
    def data(self) -> List[bytes]:
        return [message[3] for message in self.messages]

    def stop(self) -> None:
        self._wake.send(b"\0")
        self.reading.set()
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._listener.close()
        self._wake.close()
        self._stopped.close()
        os.unlink(self.path)

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _serve(self) -> None:
        while self._readable(self._listener):
            connection, _ = self._listener.accept()
            self.connections += 1
            with connection:
                self._read(connection)

    def _readable(self, what: socket.socket) -> bool:
        """Waits until there is something to read, and it may be read. False: it is to stop."""
        while True:
            self.reading.wait()
            ready = select.select([what, self._stopped], [], [])[0]
            if self._stopped in ready:
                return False
            if self.reading.is_set():
                return True

    def _read(self, connection: socket.socket) -> None:
        stream, self._refused, total = bytearray(), 0, 0
        while self._readable(connection):
            room = 65536 if self.break_after is None else min(65536, self.break_after - total)
            if room == 0:
                self.break_after = None
                return
            try:
                piece = connection.recv(room)
                total += len(piece)
                stream += piece
                if total >= len(PREFACE) > total - len(piece):
                    assert stream[: len(PREFACE)] == PREFACE
                    del stream[: len(PREFACE)]
                if not piece or total >= len(PREFACE) and not self._take(connection, stream):
                    return
            except ConnectionError:
                return

    def _take(self, connection: socket.socket, stream: bytearray) -> bool:
        """Whether the connection may go on, once all that is complete has been cut off the stream."""
        while len(stream) >= HEAD.size:
            channel, kind, event, data = HEAD.unpack_from(stream)
            if data > self.data_max:
                return False
            ends = [HEAD.size]
            for size in (channel, 0 if channel == 0 else kind, event, data):
                ends.append(ends[-1] + size)
            if len(stream) < ends[-1]:
                break
            parts = [bytes(stream[start:end]) for start, end in zip(ends, ends[1:])]
            del stream[: ends[-1]]
            if channel == 0:
                assert (kind, event, data) == (1, 0, 8)
                self._answer(connection, parts[3])
            elif parts[3] == self.refuse:
                self._refused += 1
            else:
                self.messages.append((parts[0].decode(), parts[1].decode(), parts[2].decode(), parts[3]))
        return True

    def _answer(self, connection: socket.socket, mark: bytes) -> None:
        detail = json.dumps({"error": "bad", "detail": "not wanted"}).encode() if self._refused else b""
        answer = mark + struct.pack("<I", self._refused) + detail
        self._refused = 0
        connection.sendall(HEAD.pack(0, 1, 0, len(answer)) + answer)
