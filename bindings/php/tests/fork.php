<?php

declare(strict_types=1);

// A server in the script, and its handle in a child.

require __DIR__ . '/lib.php';

use Encke\Server;

/** What the child wrote. */
function child(callable $body): string
{
    [$ours, $theirs] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
    if (pcntl_fork() === 0) {
        try {
            $text = $body();
        } catch (Throwable $failure) {
            $text = get_class($failure) . ' ' . $failure->getCode();
        }
        fwrite($theirs, (string) $text);
        // With destructors: what they do in a child must not reach the parent.
        exit(0);
    }
    fclose($theirs);
    $text = stream_get_contents($ours);
    pcntl_wait($status);
    return $text;
}

test('in a child every call says that the server is in the parent, which goes on', function () {
    $server = new Server(['listen' => '127.0.0.1:0']);
    $channel = $server->channel('/a');
    foreach ([
        fn() => $channel->publish('x'),
        fn() => $server->channel('/a'),
        fn() => $server->reload([]),
        fn() => $server->publish('/a', 'x'),
        fn() => $server->publish('/a', ['x']),
        fn() => $server->publishMany('/a', ['x']),
        fn() => $server->flush(),
        fn() => $server->nextEvent(),
        fn() => $server->eventStream(),
        fn() => $server->stats(),
        fn() => $server->address(),
    ] as $call) {
        same('Encke\Forked -10', child($call), 'a call in the child');
    }
    same('', child(fn() => $server->stop() ? '' : 'not stopped'), 'stop in the child lets go');
    $channel->publish('parent');
    $server->flush();
    same(['parent'], by_sse($server->address(), '/a', 1), 'what was taken');
});

test('with a control socket the same object publishes from a child', function () {
    $server = new Server(['listen' => '127.0.0.1:0', 'control' => directory() . '/control']);
    $server->publish('/a', 'parent');
    // The child's messages come another way, and might overtake it.
    $server->flush();
    for ($number = 0; $number < 2; $number++) {
        same('sent', child(function () use ($server, $number) {
            $server->publish('/a', "child $number");
            $server->publishMany('/a', ["batch $number"]);
            $server->flush();
            return 'sent';
        }), 'the child');
    }
    $server->publish('/a', 'parent');
    $server->flush();
    same(['parent', 'child 0', 'batch 0', 'child 1', 'batch 1', 'parent'], by_sse($server->address(), '/a', 6), 'in order');
});

test("a connection of the library's own publishes from parent and child", function () {
    $server = new Server(['listen' => '127.0.0.1:0', 'control' => $control = directory() . '/control', 'channels_max' => 2, 'reactors' => 1]);
    $publisher = new Encke\LibraryPublisher("unix:$control");
    $channel = $publisher->channel('/a');
    $channel->publish('parent');
    $publisher->flush();
    same('sent', child(function () use ($publisher, $channel) {
        $channel->publish('child');
        $publisher->publishMany('/a', ['child']);
        $publisher->flush();
        return 'sent';
    }), 'the child');
    throws(Encke\Invalid::class, fn() => $publisher->publish('no/slash', 'x'));
    $publisher->publishPairs([['/b', 'x'], ['/c', 'x'], ['/d', 'x']]);
    throws(Encke\Invalid::class, fn() => $publisher->flush());
    $publisher->flush();
    $publisher->publish('/a', ['parent']);
    $publisher->close();
    same(['parent', 'child', 'child', '["parent"]'], by_sse($server->address(), '/a', 4), 'in order');
    throws(Encke\Closed::class, fn() => $publisher->publish('/a', 'x'));
});
