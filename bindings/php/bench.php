<?php

declare(strict_types=1);

// What a publish costs in PHP: nanoseconds a message, beside the floor, which is one call through FFI that does nothing.
//
//     ENCKE_LIBRARY=… php bench.php [messages]
//
// Each row is the median of seven rounds. "Until taken" is the time until the server has given all their places, divided by
// the messages. The socket rows go to a server in a process of its own, which ENCKE_BINARY names; without it they are left out.

require __DIR__ . '/autoload.php';

use Encke\Publisher;
use Encke\Server;

const ROUNDS = 7;
const CHANNEL = '/bench/one';
const DATA = 100;

$messages = (int) ($argv[1] ?? 200_000);

/** Prints a row: nanoseconds a message. */
function row(string $name, int $messages, callable $round, ?callable $settle = null): void
{
    [$calls, $taken] = [[], []];
    for ($number = 0; $number <= ROUNDS; $number++) {
        $start = hrtime(true);
        $round($messages);
        $calls[] = (hrtime(true) - $start) / $messages;
        if ($settle !== null) {
            $settle();
            $taken[] = (hrtime(true) - $start) / $messages;
        }
    }
    // The first round warms up.
    printf("%-42s %8s %12s\n", $name, median(array_slice($calls, 1)), $settle === null ? '' : median(array_slice($taken, 1)));
}

function median(array $times): string
{
    sort($times);
    return number_format($times[intdiv(count($times), 2)]);
}

/** Rows of one publisher; `$wait` is what to do when there is no room. */
function rows(string $kind, Publisher $publisher, int $messages): void
{
    $data = str_repeat('x', DATA);
    $settle = fn() => $publisher->flush(30);
    row("$kind, one a call", $messages, function (int $count) use ($publisher, $data) {
        while ($count > 0) {
            try {
                for (; $count > 0; $count--) {
                    $publisher->publish(CHANNEL, $data);
                }
            } catch (Encke\Full) {
                $publisher->flush(30);
            }
        }
    }, $settle);
    foreach ([100, 1000] as $size) {
        $batch = array_fill(0, $size, $data);
        row("$kind, $size a call", $messages, function (int $count) use ($publisher, $batch, $size) {
            for ($number = 0; $number < $count; $number += $size) {
                $publisher->publishMany(CHANNEL, $batch);
            }
        }, $settle);
    }
}

printf("%-42s %8s %12s\n", 'nanoseconds a message of ' . DATA . ' bytes', 'call', 'until taken');

$ffi = Encke\Library::load();
row('floor: a call that does nothing', $messages, function (int $count) use ($ffi) {
    for (; $count > 0; $count--) {
        $ffi->encke_abi_version();
    }
});
rows('server in the script', new Server(['listen' => '127.0.0.1:0']), $messages);

$binary = getenv('ENCKE_BINARY');
if ($binary !== false) {
    $control = sys_get_temp_dir() . '/encke-bench-' . getmypid();
    $server = proc_open([$binary, 'serve', '--listen', '127.0.0.1:0', '--private', 'off', '--control', $control], [2 => ['pipe', 'w']], $pipes);
    while (!str_contains((string) fgets($pipes[2]), "publish at unix:$control")) {
        // It says so when it is ready.
    }
    rows('control socket, PHP alone', Publisher::connect("unix:$control"), $messages);
    try {
        rows('control socket, by the library', new Encke\LibraryPublisher("unix:$control"), $messages);
    } finally {
        proc_terminate($server);
        proc_close($server);
        @unlink($control);
    }
}
