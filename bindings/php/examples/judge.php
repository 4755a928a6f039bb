<?php

declare(strict_types=1);

// Who may read what: the server asks, this loop answers. Here everybody has a room of their own, and says who they are; a
// real judge looks at a cookie or a token instead.
//
//     php judge.php
//     curl -N 'http://127.0.0.1:8080/sub/rooms/ann?transport=sse&user=ann'    allowed
//     curl -i 'http://127.0.0.1:8080/sub/rooms/ann?transport=sse&user=bob'    403

require __DIR__ . '/../autoload.php';

use Encke\EventKind;

$server = new Encke\Server(['listen' => $argv[1] ?? '127.0.0.1:8080', 'judge' => '/rooms/*']);
echo "http://{$server->address()}\n";

$events = $server->eventStream();
while (true) {
    [$read, $write, $except] = [[$events], null, null];
    stream_select($read, $write, $except, null);
    while ($event = $server->nextEvent()) {
        if ($event->kind !== EventKind::Subscribe) {
            continue;
        }
        parse_str($event->request['query'] ?? '', $query);
        if ($event->channel === '/rooms/' . ($query['user'] ?? '')) {
            $event->allow();
        } else {
            $event->deny();
        }
    }
}
