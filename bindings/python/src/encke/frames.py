"""The bytes of the framed stream that the control socket speaks; nothing here knows a socket.

```text
preface = NUL "encke1" LF
frame   = channel_len u16, type_len u8, event_len u8, data_len u32, channel, content type, event, data    little-endian
flush   = a frame without a channel, whose type_len is 1 and whose data is 8 bytes: here, a number
answer  = the same shape, its data: those 8 bytes, refused u32, JSON of the first refusal or nothing
```
"""

from __future__ import annotations

import json
import struct
from typing import Any, Iterator, NamedTuple, Optional, Tuple

from .errors import Invalid
from .values import JSON, to_json

PREFACE = b"\0encke1\n"

_HEAD = struct.Struct("<HBBI")
_pack_plain_head = struct.Struct("<II").pack
_FLUSH = struct.Struct("<HBBIQ")
_ANSWER = struct.Struct("<QI")

#: The longest channel name that a server takes.
CHANNEL_BYTES_MAX = 255
_LABEL_BYTES_MAX = 255
#: No answer is longer: a number, a count, and the text of one refusal.
ANSWER_BYTES_MAX = 64 * 1024


def message(channel: str, data: Any, event: Optional[str], content_type: Optional[str], bytes_max: int) -> bytes:
    """One message as a frame; what no server would take raises `Invalid`."""
    try:
        name = channel.encode()
        if isinstance(data, str):
            data = data.encode()
        elif not isinstance(data, bytes):
            data, is_json = _payload(data)
            if is_json and content_type is None:
                content_type = JSON
        if not 0 < len(name) <= CHANNEL_BYTES_MAX:
            raise Invalid(f"a channel name is 1 to {CHANNEL_BYTES_MAX} bytes long")
        if len(data) > bytes_max:
            raise Invalid(f"the message has {len(data)} bytes, and the longest allowed here has {bytes_max}")
        if event is None and content_type is None:
            # The usual case: without labels the head is two numbers.
            frame: bytes = _pack_plain_head(len(name), len(data)) + name + data
            return frame
        kind, title = _label(content_type), _label(event)
        return b"".join((_HEAD.pack(len(name), len(kind), len(title), len(data)), name, kind, title, data))
    except UnicodeEncodeError:
        raise Invalid("text with a lone surrogate has no UTF-8") from None
    except AttributeError:
        raise TypeError("channel, event and content type must be str") from None


def _label(text: Optional[str]) -> bytes:
    label = b"" if text is None else text.encode()
    if len(label) > _LABEL_BYTES_MAX:
        raise Invalid(f"a content type and an event name are at most {_LABEL_BYTES_MAX} bytes long")
    return label


def _payload(data: Any) -> Tuple[bytes, bool]:
    try:
        return bytes(memoryview(data)), False
    except TypeError:
        return to_json(data), True


def flush(number: int) -> bytes:
    """The question that an `Answer` with the same number answers."""
    return _FLUSH.pack(0, 1, 0, 8, number)


def is_message(frame: bytes) -> bool:
    """Whether a frame has a channel: all but the questions have."""
    return frame[:2] != b"\0\0"


class Answer(NamedTuple):
    """What a server says to a flush."""

    number: int
    refused: int
    reason: str


class Answers:
    """Cuts what a server sends into answers."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, received: bytes) -> Iterator[Answer]:
        """The answers that are complete now. Bytes that are none raise `ValueError`."""
        self._bytes += received
        while len(self._bytes) >= _HEAD.size:
            channel_len, kind, event_len, data_len = _HEAD.unpack_from(self._bytes)
            if (channel_len, kind, event_len) != (0, 1, 0) or not _ANSWER.size <= data_len <= ANSWER_BYTES_MAX:
                raise ValueError("the peer does not speak the framed stream")
            end = _HEAD.size + data_len
            if len(self._bytes) < end:
                return
            number, refused = _ANSWER.unpack_from(self._bytes, _HEAD.size)
            reason = _reason(bytes(self._bytes[_HEAD.size + _ANSWER.size : end]))
            del self._bytes[:end]
            yield Answer(number, refused, reason)


def _reason(text: bytes) -> str:
    """A refusal for people: its code, and the detail if there is one."""
    if not text:
        return ""
    refusal = json.loads(text)
    return ": ".join(str(refusal[key]) for key in ("error", "detail") if refusal.get(key))
