<?php

declare(strict_types=1);

namespace Encke;

/** What an event tells. The numbers are the C library's. */
enum EventKind: int
{
    /** A client asks for a channel that `judge` names; it waits for `allow()` or `deny()`. */
    case Subscribe = 1;
    /** A client published on a channel that `host_channels` names: `data` is its message. */
    case Publish = 2;
    /** A client has a subscription now. Told if `events` names `subscribed`. */
    case Subscribed = 3;
    /** A client has it no more. Told if `events` names `unsubscribed`. */
    case Unsubscribed = 4;
    /** A client's connection is over. Told if `events` names `gone`. */
    case Gone = 5;
    /** A line of the server's log is in `data`. Told if `events` names `log`. */
    case Log = 6;
    /** The queue was full; `data` is how many events were missed. */
    case Overflow = 7;
    /** The server failed, `data` says how, and it stops. */
    case Failed = 8;
    /** The user that `data` names is present in a channel that `presence` names. Told if `events` names `presence`. */
    case Joined = 9;
    /** The user has left it, on all connections. Told if `events` names `presence`. */
    case Left = 10;
}
