<?php

declare(strict_types=1);

// A server in the script: what is published arrives, complete and in order; wrong use is an exception.

require __DIR__ . '/lib.php';

use Encke\Server;

test('ten lines: a hundred thousand messages arrive by sse and by long-poll', function () {
    check(count(file(__DIR__ . '/../examples/ten_lines.php')) <= 10, 'the script has ten lines at most');
    $script = script(__DIR__ . '/../examples/ten_lines.php', '127.0.0.1:0');
    $address = $script->says('#http://([^/]+)/#')[1];
    $expected = array_map(fn($number) => "message $number", range(1, 100_000));
    check($expected === by_sse($address, '/count', 100_000), 'sse has all, in order');
    check($expected === by_long_poll($address, '/count', 100_000), 'long-poll has all, in order');
});

test('one call a message: a hundred thousand arrive in order', function () {
    $server = new Server(['listen' => '127.0.0.1:0', 'history_messages' => 100_000, 'history_bytes' => '64MiB']);
    for ($number = 0; $number < 100_000; $number++) {
        try {
            $server->publish('/count', "message $number");
        } catch (Encke\Full) {
            $server->flush();
            $number--;
        }
    }
    $got = by_sse($server->address(), '/count', 100_000);
    check($got === array_map(fn($number) => "message $number", range(0, 99_999)), 'all, in order');
    same(100_000, $server->stats()['published'], 'the server counts them');
});

test('a string goes as it is, anything else as JSON, with event and content type', function () {
    $server = new Server(['listen' => '127.0.0.1:0']);
    $url = "http://{$server->address()}/sub/a?transport=poll&since=earliest";
    $sent = ['text', '', "bin\0ary\n", ['k' => 'ü/', 'l' => [1, 2.0, null]], 7, true, null, (object) [], new ArrayObject([1])];
    foreach ($sent as $data) {
        $server->publish('/a', $data);
    }
    $server->publish('/a', '<p>', 'news', 'text/html');
    $server->publish('/a', [1], 'news');
    $server->flush();
    $messages = json_decode(fetch($url), false)->messages;
    $got = array_map(fn($message) => $message->data, $messages);
    $expected = ['text', '', "bin\0ary\n", ['k' => 'ü/', 'l' => [1, 2, null]], 7, true, null, (object) [], (object) ['0' => 1], '<p>', [1]];
    same(json_encode($expected), json_encode($got), 'data');
    same(['news', 'news'], array_values(array_filter(array_map(fn($message) => $message->event ?? null, $messages))), 'events');

    same(9, $server->publishMany('/b', $sent), 'the same in a batch');
    $server->flush();
    $batch = json_decode(fetch(str_replace('/a?', '/b?', $url)), false)->messages;
    same(json_encode(array_slice($got, 0, 9)), json_encode(array_map(fn($message) => $message->data, $batch)), 'data of the batch');

    same(3, $server->publishPairs([['/c', 'x'], ['/d', ['y']], ['/c', 'z', 'news', 'text/plain']]), 'on two channels');
    $server->flush();
    $messages = json_decode(fetch(str_replace('/a?', '/c?channel=/d&', $url)), true)['messages'];
    $channels = array_column($messages, 'channel');
    sort($channels);
    same(['/c', '/c', '/d'], $channels, 'the channels');
});

test('a channel takes what its server does, in one order with it', function () {
    $server = new Server(['listen' => '127.0.0.1:0', 'history_messages' => 2000]);
    $chat = $server->channel('/chat/rome');
    same('/chat/rome', $chat->name, 'its name');
    for ($number = 0; $number < 1000; $number += 4) {
        $chat->publish((string) $number);
        $server->publish('/chat/rome', (string) ($number + 1));
        $chat->publish($number + 2);
        same(1, $chat->publishMany([(string) ($number + 3)]), 'how many were taken');
    }
    $chat->publish("bin\0ary");
    $chat->publish('<p>', 'news', 'text/html');
    $expected = [...array_map(fn($number) => $number % 4 === 2 ? $number : "$number", range(0, 999)), "bin\0ary", '<p>'];
    same($expected, by_long_poll($server->address(), '/chat/rome', 1002), 'all, in order');

    foreach (['', 'news', '/a/', "/\xFF", '/' . str_repeat('n', 255)] as $name) {
        same(Encke\Error::INVALID, throws(Encke\Invalid::class, fn() => $server->channel($name))->getCode(), 'the code');
    }
    throws(Encke\Invalid::class, fn() => $chat->publish(str_repeat('x', 2 << 20)));
    // More than a thread remembers, and more than are ever open at once.
    for ($number = 0; $number < 10_000; $number++) {
        $server->channel('/a')->publish('x');
    }
    $many = array_map(fn($number) => $server->channel("/many/$number"), range(0, 199));
    foreach ($many as $number => $channel) {
        $channel->publish("$number");
    }
    same(['199'], by_sse($server->address(), '/many/199', 1), 'the last');
    $server->stop();
    throws(Encke\Closed::class, fn() => $chat->publish('x'));
    throws(Encke\Closed::class, fn() => $chat->publish(['x']));
    throws(Encke\Closed::class, fn() => $server->channel('/a'));
});

test('other options hold at once, and those that cannot are named', function () {
    $options = ['listen' => '127.0.0.1:0', 'reactors' => 1];
    $server = new Server($options);
    $server->publish('/a', str_repeat('x', 2000));
    same([], $server->reload(['body_bytes_max' => '1KiB'] + $options), 'what was kept');
    throws(Encke\Invalid::class, fn() => $server->publish('/a', str_repeat('x', 2000)));
    $error = throws(Encke\Misconfigured::class, fn() => $server->reload(['jitter' => 99] + $options));
    check(str_contains($error->getMessage(), '--jitter'), $error->getMessage());
    throws(Encke\Invalid::class, fn() => $server->reload(['listen' => "\xFF"]));
    same(['control', 'reactors'], $server->reload(['control' => '/nowhere/encke.sock', 'reactors' => 2] + $options), 'what was kept');
    $server->publish('/a', str_repeat('x', 2000));
});

test('a batch without room says how much of it was taken', function () {
    $server = new Server(['listen' => '127.0.0.1:0', 'mailbox_messages' => 64, 'history_messages' => 100_000, 'history_bytes' => '64MiB']);
    same(50_000, $server->publishMany('/count', (fn() => yield from range(1, 50_000))()), 'all are taken, as it waits for room');
    check(by_sse($server->address(), '/count', 50_000) === array_map('strval', range(1, 50_000)), 'all, in order');

    $server = new Server(['listen' => '127.0.0.1:0', 'mailbox_messages' => 64, 'reactors' => 1], null, 0.0);
    $taken = $server->publishMany('/count', range(1, 50_000));
    check($taken < 50_000, 'without time to wait, some are not');
    $server->flush();
    same($taken, $server->stats()['published'], 'and it says how many are');
});

test('texts in a batch come out as they went in, whatever they hold', function () {
    $server = new Server(['listen' => '127.0.0.1:0', 'history_messages' => 100_000]);
    $batches = [
        ['a'], [''], ['', ''], ['', 'a', '', 'b', ''], ["\n"], ['a', "b\nc", 'd'], ['a', "\n", ''], ['a', 'b', 7, 'c'], [],
        ['key' => 'a', 'other' => 'b'], array_fill(0, 1500, ''), array_fill(0, 3000, 'x'), array_fill(0, 4, str_repeat('x', 300_000)),
    ];
    foreach ($batches as $number => $batch) {
        same(count($batch), $server->publishMany("/$number", $batch), "how many were taken of batch $number");
        same(count($batch), $server->publishMany("/$number/generated", (fn() => yield from array_values($batch))()), 'the same, generated');
    }
    $server->flush();
    foreach ($batches as $number => $batch) {
        foreach (["/$number", "/$number/generated"] as $channel) {
            $got = $batch === [] ? [] : by_long_poll($server->address(), $channel, count($batch));
            check($got === array_values($batch), "batch $number");
        }
    }
});

test('wrong use is an exception, and nothing is taken', function () {
    $server = new Server(['listen' => '127.0.0.1:0']);
    $circle = new stdClass();
    $circle->self = $circle;
    foreach (['' => 'x', 'news' => 'x', '/' . str_repeat('n', 70_000) => 'x', "/\xFF" => 'x', '/json' => "\xFF"] as $channel => $data) {
        $error = throws(Encke\Invalid::class, fn() => $server->publish($channel, $channel === '/json' ? [$data] : $data));
        same(Encke\Error::INVALID, $error->getCode(), 'the code');
        check($error->getMessage() !== '', 'a text');
    }
    throws(Encke\Invalid::class, fn() => $server->publish('/json', $circle));
    throws(Encke\Invalid::class, fn() => $server->publish('/a', 'x', str_repeat('e', 256)));
    throws(Encke\Invalid::class, fn() => $server->publish('/a', 'x', null, str_repeat('t', 256)));
    throws(Encke\Invalid::class, fn() => $server->publish('/a', str_repeat('x', 2 << 20)));
    $server->flush();
    same(0, $server->stats()['published'], 'nothing was taken');

    $error = throws(Encke\Invalid::class, fn() => $server->publishMany('/a', ['x', 'y', NAN, 'z']));
    same(0, $error->taken, 'of a batch with a message that is no JSON');
    $error = throws(Encke\Invalid::class, fn() => $server->publishMany('/a', ['x', 'y', str_repeat('x', 2 << 20), 'z']));
    same(2, $error->taken, 'of a batch with a message that is too long');

    throws(Encke\Misconfigured::class, fn() => new Server(['listn' => '127.0.0.1:0']));
    throws(Encke\Misconfigured::class, fn() => new Server(['history_messages' => -1]));
    throws(Encke\Invalid::class, fn() => new Server(['listen' => "\xFF"]));
    throws(Encke\Error::class, fn() => new Server(['listen' => $server->address(), 'reactors' => 1]));
    throws(Encke\Invalid::class, fn() => Encke\Publisher::connect('http://127.0.0.1'));
    throws(Encke\Closed::class, fn() => Encke\Publisher::connect('unix:/nowhere/encke.sock')->publish('/a', 'x'));

    check($server->stop(), 'it stops');
    check($server->stop(), 'it has stopped');
    foreach ([fn() => $server->publish('/a', 'x'), fn() => $server->flush(), fn() => $server->nextEvent(), fn() => $server->stats()] as $call) {
        throws(Encke\Closed::class, $call);
    }
});

test('the library is the right one, or says what is wrong', function () {
    throws(Encke\Unloadable::class, fn() => new Server([], '/nowhere/libencke.so'));
    $error = throws(Encke\Unloadable::class, fn() => new Server([], 'libc.so.6'));
    check(str_contains($error->getMessage(), 'encke_'), $error->getMessage());
});

test('the same options are the same server', function () {
    $options = ['listen' => '127.0.0.1:0', 'history_messages' => 77];
    [$one, $two] = [new Server($options), new Server($options)];
    same($one->address(), $two->address(), 'the address');
    $one->stop();
    $two->publish('/a', 'x');
    $two->flush();
    check(str_contains(fetch("http://{$two->address()}/sub/a?transport=poll&since=earliest"), '"x"'), 'it runs on for the other');
});
