"""What the server tells its host: subscriptions to judge, messages of clients, who came and went."""

from __future__ import annotations

import enum
import json
from typing import TYPE_CHECKING, Any, Dict, Tuple

from .errors import Invalid

if TYPE_CHECKING:
    from .server import Server


class EventKind(enum.IntEnum):
    """What happened; the numbers are those of the C ABI."""

    SUBSCRIBE = 1
    """A client asks for a channel that the option `judge` names: answer with `allow` or `deny`."""
    PUBLISH = 2
    """A client published to a channel that the option `host_channels` names."""
    SUBSCRIBED = 3
    """A client now reads a channel."""
    UNSUBSCRIBED = 4
    """A client reads a channel no longer."""
    GONE = 5
    """A client's connection is closed."""
    LOG = 6
    """A line of the log, in `text`."""
    OVERFLOW = 7
    """The queue was full; `text` says how many events were missed."""
    FAILED = 8
    """A reactor failed and the server stops; `text` says why."""
    JOINED = 9
    """The user that `text` names is present in a channel that the option `presence` names."""
    LEFT = 10
    """The user has left it, on all connections."""


_DENY, _ALLOW = 0, 1

#: kind, client, question, channel, data, content type, request: as the extension module hands an event over.
RawEvent = Tuple[int, int, int, str, bytes, str, bytes]


class Event:
    """One event. Plain data, but for `allow` and `deny`, which answer a `SUBSCRIBE`."""

    __slots__ = ("kind", "client", "channel", "data", "content_type", "_question", "_request", "_server")

    kind: EventKind
    client: int
    channel: str
    data: bytes
    content_type: str

    def __init__(self, server: "Server", raw: RawEvent) -> None:
        kind, self.client, self._question, self.channel, self.data, self.content_type, self._request = raw
        self.kind = EventKind(kind)
        self._server = server

    @property
    def request(self) -> Dict[str, Any]:
        """Who asks, of a `SUBSCRIBE` or a `PUBLISH`: `address`, `transport`, `query`, `headers`. Else empty."""
        request: Dict[str, Any] = json.loads(self._request or b"{}")
        return request

    @property
    def text(self) -> str:
        """The data as text; bytes that are no UTF-8 are replaced."""
        return self.data.decode("utf-8", "replace")

    def json(self) -> Any:
        """The data, parsed as JSON."""
        return json.loads(self.data)

    def allow(self) -> None:
        """Lets the client subscribe. An answer that comes too late, or twice, changes nothing."""
        self._answer(_ALLOW)

    def deny(self) -> None:
        """Refuses the subscription. An answer that comes too late, or twice, changes nothing."""
        self._answer(_DENY)

    def _answer(self, verdict: int) -> None:
        if self._question == 0:
            raise Invalid(f"{self.kind.name}: nothing was asked")
        self._server._answer(self._question, verdict)

    def __repr__(self) -> str:
        return f"<encke.Event {self.kind.name} {self.channel} client={self.client}>"
