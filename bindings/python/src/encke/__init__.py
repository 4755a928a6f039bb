"""Encke, a Comet server, inside a Python process; or, in another process, a publisher to it.

import encke
with encke.Server("127.0.0.1:8080") as server:
    server.publish("/chat/rome", "hello")

encke.Publisher("unix:/run/encke.sock").publish("/chat/rome", {"text": "hello"})
"""

from ._native import AVAILABLE as _NATIVE_IS_THERE
from .errors import (
    Closed,
    ConfigError,
    Error,
    Forked,
    Full,
    Invalid,
    Panicked,
    SystemFailure,
    TimedOut,
    Unconfirmed,
)
from .event import Event, EventKind
from .native_publisher import NativePublisher
from .server import Server
from .socket_publisher import SocketPublisher
from .version import VERSION as __version__

#: The publisher of this installation: native if its library is there, else in plain Python.
Publisher = NativePublisher if _NATIVE_IS_THERE else SocketPublisher

__all__ = [
    "Closed",
    "ConfigError",
    "Error",
    "Event",
    "EventKind",
    "Forked",
    "Full",
    "Invalid",
    "NativePublisher",
    "Panicked",
    "Publisher",
    "Server",
    "SocketPublisher",
    "SystemFailure",
    "TimedOut",
    "Unconfirmed",
    "__version__",
]
