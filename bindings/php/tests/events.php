<?php

declare(strict_types=1);

// What the server tells and asks its host.

require __DIR__ . '/lib.php';

use Encke\Event;
use Encke\EventKind;
use Encke\Server;

/** Waits for the next event, as a plain loop would. */
function next_event(Server $server, EventKind $kind): Event
{
    static $streams = new WeakMap();
    $streams[$server] ??= $server->eventStream();
    $deadline = microtime(true) + DEADLINE;
    while (($event = $server->nextEvent()) === null) {
        [$read, $none] = [[$streams[$server]], null];
        stream_select($read, $none, $none, 1);
        microtime(true) < $deadline || throw new Exception("no event {$kind->name} came");
    }
    same($kind, $event->kind, 'the kind of the event');
    return $event;
}

/** Whether events wait, as the stream says. */
function waits($stream): bool
{
    [$read, $none] = [[$stream], null];
    return stream_select($read, $none, $none, 0) === 1;
}

test("the example's judge allows one user's subscription and denies another's", function () {
    $judge = script(__DIR__ . '/../examples/judge.php', '127.0.0.1:0');
    $address = $judge->says('#http://(\S+)#')[1];
    $ann = curl('--include', "http://$address/sub/rooms/ann?transport=sse&user=ann");
    $ann->says('#^HTTP/1.1 200 .*retry#s');
    [$status, $body] = ask("http://$address/sub/rooms/ann?transport=sse&user=bob");
    same([403, 'forbidden'], [$status, json_decode($body, true)['error']], 'the answer to another');
    same(200, ask("http://$address/sub/rooms/open/to/all?transport=poll&since=earliest")[0], 'what is not judged');
});

test('who is present is told by name', function () {
    $keys = directory() . '/keys.json';
    file_put_contents($keys, '{"keys":[{"kty":"oct","alg":"HS256","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}]}');
    // Of the user ann, who may subscribe to /chat/*; signed with that key.
    $token = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4iLCJlbmNrZSI6eyJzdWJzY3JpYmUiOlsiL2NoYXQvKiJdfX0.'
        . '6JAQ2XGiKbBk3FIVyDe2xJI1yDdtmCDvZuZR4SkCTp8';
    $options = ['token_keys' => $keys, 'token_expiry' => 'optional', 'presence' => '/chat/*', 'presence_grace' => '100ms'];
    $server = new Server(['listen' => '127.0.0.1:0', 'events' => 'presence', ...$options]);
    same(200, ask("http://{$server->address()}/sub/chat/rome?transport=poll&token=$token")[0], 'a poll');
    foreach ([EventKind::Joined, EventKind::Left] as $kind) {
        $event = next_event($server, $kind);
        same(['/chat/rome', 'ann'], [$event->channel, $event->data], 'who, and where');
    }
});

test('a question says who asks, and may be kept while the loop goes on', function () {
    $server = new Server(['listen' => '127.0.0.1:0', 'judge' => '/rooms/**']);
    $stream = $server->eventStream();
    same(false, waits($stream), 'nothing waits');
    $query = 'channel=/rooms/two&channel=/free&user=zo%C3%AB&transport=sse&since=earliest';
    $client = curl('--cookie', 'a=1', '--user-agent', 'test', "http://{$server->address()}/sub/rooms/one?$query");
    $first = next_event($server, EventKind::Subscribe);
    $second = next_event($server, EventKind::Subscribe);
    // The stream may be told of an event that was taken before it was told.
    until(fn() => $server->nextEvent() === null && !waits($stream), 'nothing waits when all was taken');
    $channels = [$first->channel, $second->channel];
    sort($channels);
    same(['/rooms/one', '/rooms/two'], $channels, 'what is asked for');
    same($first->client, $second->client, 'one client asks');
    check($first->client !== 0, 'which has a number');
    ['transport' => $transport, 'headers' => $headers] = $first->request;
    same(['sse', 'a=1', 'test'], [$transport, $headers['cookie'], $headers['user-agent']], 'who asks');
    check(str_contains($first->request['query'], 'user=zo%C3%AB'), 'how it asks');
    check(str_starts_with($first->request['address'], '127.0.0.1:'), 'from where it asks');
    $server->publish('/rooms/two', 'hello');
    $first->allow();
    same('', $client->output(), 'it waits for both answers');
    $second->allow();
    $client->says('/data: hello/');
    $second->deny();
    $server->publish('/rooms/two', 'still there');
    $client->says('/data: still there/');
});

test('a host that never answers: the default holds after the limit', function () {
    foreach (['deny' => 403, 'allow' => 200] as $default => $status) {
        $server = new Server(['listen' => '127.0.0.1:0', 'judge' => '/rooms/*', 'judge_timeout' => '200ms', 'judge_default' => $default]);
        $start = microtime(true);
        same($status, ask("http://{$server->address()}/sub/rooms/one?transport=poll&since=earliest")[0], "the answer by default, $default");
        check(microtime(true) - $start >= 0.2, 'after the limit');
        $late = next_event($server, EventKind::Subscribe);
        $default === 'deny' ? $late->allow() : $late->deny();
        $server->flush();
    }
});

test('what clients publish to the host comes to the host, and to nobody else', function () {
    $server = new Server(['listen' => '127.0.0.1:0', 'host_channels' => '/host/*']);
    $url = "http://{$server->address()}/pub/host/a";
    [$status, $body] = ask('--header', 'Content-Type: application/json', '--data-binary', '{"n":1}', $url);
    same([202, '{"taken":true}'], [$status, $body], 'the answer');
    $event = next_event($server, EventKind::Publish);
    same(['/host/a', '{"n":1}', 'application/json'], [$event->channel, $event->data, $event->contentType], 'the message');
    check(str_starts_with($event->request['address'], '127.0.0.1:'), 'who sent it');
    same(202, ask('--header', 'Content-Type:', '--data-binary', "@" . __FILE__, $url)[0], 'the answer to a longer one');
    same(file_get_contents(__FILE__), next_event($server, EventKind::Publish)->data, 'the longer one');
    throws(Encke\Invalid::class, fn() => $event->allow());
    same(0, $server->stats()['published'], 'nothing was published');
});

test('a queue without room is told to the client, and the host', function () {
    $server = new Server(['listen' => '127.0.0.1:0', 'host_channels' => '/host/*', 'events_max' => 64, 'reactors' => 1]);
    $answers = fetch('--data', 'x', '--write-out', ' %{http_code}\n', "http://{$server->address()}/pub/host/[1-80]");
    $taken = substr_count($answers, ' 202');
    same(80, $taken + substr_count($answers, ' 503'), 'taken or busy');
    check($taken < 80, 'not all were taken');
    for ($count = 0; ($event = $server->nextEvent()) !== null;) {
        $count += (int) ($event->kind === EventKind::Publish);
    }
    same($taken, $count, 'what was taken comes');
});

test('comings and goings are told to a host that asked for them', function () {
    $server = new Server(['listen' => '127.0.0.1:0', 'reactors' => 1, 'events' => ['subscribed', 'unsubscribed', 'gone']]);
    $client = curl("http://{$server->address()}/sub/a?transport=sse");
    $subscribed = next_event($server, EventKind::Subscribed);
    same('/a', $subscribed->channel, 'the channel');
    $client->signal(SIGTERM);
    $kinds = [];
    for ($number = 0; $number < 2; $number++) {
        $event = null;
        until(function () use ($server, &$event) {
            return $event = $server->nextEvent();
        }, 'an event');
        same($subscribed->client, $event->client, 'the client');
        $kinds[] = $event->kind->name;
    }
    sort($kinds);
    same(['Gone', 'Unsubscribed'], $kinds, 'how it went');
});

test('the chat: what is said is moderated and read, by POST and over a WebSocket', function () {
    $chat = script(__DIR__ . '/../examples/chat.php', '127.0.0.1:0', '127.0.0.1:0');
    [, $pages, $encke] = $chat->says('#(http://\S+) for people, http://(\S+) for#');
    $page = fetch($pages);
    check(str_contains($page, "'http://$encke/encke.js'"), 'the page knows where to read');

    $reader = curl("http://$encke/sub/chat/lobby?transport=sse&since=earliest");
    $post = ['--header', 'Content-Type: text/plain;charset=UTF-8', '--data-binary'];
    $say = fn(array $said) => ask(...$post, ...[json_encode($said), "http://$encke/pub/say/lobby"]);
    same(202, $say(['name' => 'Ann', 'text' => 'hello'])[0], 'the answer');
    $reader->says('/data: {"name":"Ann","text":"hello"}/');
    chdir(__DIR__ . '/../../..');
    check(str_contains((new Program(['node', 'tests/client/example.mjs', $pages, 'Ann hello']))->ends(), 'shown: Ann hello'), 'the page shows it');
    foreach ([['name' => 'Bob', 'text' => ''], ['name' => ['Bob'], 'text' => 'x'], []] as $nothing) {
        same(202, $say($nothing)[0], 'the answer to nothing');
    }
    $say(['name' => 'Bob', 'text' => 'oh bother that']);
    $reader->says('/^data: .*Ann.*\n\n[^\n]*\ndata: {"name":"Bob","text":"oh \*\*\* that"/m');

    $socket = stream_socket_client("tcp://$encke");
    fwrite($socket, "GET /ws HTTP/1.1\r\nHost: $encke\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        . "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " . base64_encode(random_bytes(16)) . "\r\n\r\n");
    $message = json_encode(['publish' => '/say/lobby', 'data' => ['name' => 'Zoë', 'text' => 'over a socket']]);
    $mask = random_bytes(4);
    fwrite($socket, "\x81" . chr(0x80 | strlen($message)) . $mask . ($message ^ str_repeat($mask, 32)));
    $reader->says('/data: {"name":"Zoë","text":"over a socket"/');
    same(3, substr_count($reader->output(), 'data: '), 'what was published');
});
