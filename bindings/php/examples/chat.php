<?php

declare(strict_types=1);

// A chat in one process. Clients publish on /say/<room>, by POST or over a WebSocket, which nobody reads but this loop; what
// it lets pass it publishes on /chat/<room>, where the clients read. The same loop serves the page.
//
//     php chat.php [address of the page] [address of Encke]

require __DIR__ . '/../autoload.php';

use Encke\EventKind;

const RUDE = ['blast', 'bother'];

$server = new Encke\Server([
    'listen' => $argv[2] ?? '127.0.0.1:8080',
    'host_channels' => '/say/*',
]);
$pages = stream_socket_server('tcp://' . ($argv[1] ?? '127.0.0.1:8000'));
echo 'http://', stream_socket_get_name($pages, false), " for people, http://{$server->address()} for their messages\n";

$events = $server->eventStream();
while (true) {
    [$read, $write, $except] = [[$events, $pages], null, null];
    stream_select($read, $write, $except, null);
    while ($event = $server->nextEvent()) {
        match ($event->kind) {
            EventKind::Publish => hear($server, $event),
            EventKind::Failed => exit("{$event->data}\n"),
            default => null,
        };
    }
    if (in_array($pages, $read, true)) {
        show($pages, $server->address());
    }
}

/** Publishes what somebody said, if it is anything, and milder if it must be. */
function hear(Encke\Server $server, Encke\Event $event): void
{
    $said = json_decode($event->data, true);
    [$name, $text] = [word($said['name'] ?? null, 40), word($said['text'] ?? null, 1000)];
    if ($name !== '' && $text !== '') {
        $server->publish('/chat/' . basename($event->channel), ['name' => $name, 'text' => str_ireplace(RUDE, '***', $text)]);
    }
}

/** What a stranger sent, if it is text: at most so many letters of it. */
function word(mixed $sent, int $letters): string
{
    return is_string($sent) && preg_match("/^.{0,$letters}/us", trim($sent), $start) ? $start[0] : '';
}

/** Gives the page to whoever asks; it tells the page where Encke is. */
function show($pages, string $encke): void
{
    $visitor = @stream_socket_accept($pages, 0);
    if ($visitor === false) {
        return;
    }
    stream_set_timeout($visitor, 1);
    while (!in_array(fgets($visitor), ["\r\n", "\n", false], true)) {
        // The page is the same whatever is asked for.
    }
    $page = str_replace('{ENCKE}', "http://$encke", file_get_contents(__DIR__ . '/chat.html'));
    fwrite($visitor, "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close\r\n"
        . 'Content-Length: ' . strlen($page) . "\r\n\r\n$page");
    fclose($visitor);
}
