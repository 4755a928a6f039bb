<?php

declare(strict_types=1);

// What a publish costs in PHP: nanoseconds a message, beside the floor, which is one call through FFI that does nothing.
//
//     ENCKE_LIBRARY=… php bench.php [messages]
//
// Medians of eleven rounds. "CPU" is what the calling thread used, system calls included; on a machine that does other things
// too it is the steadier figure. "Until taken" is the time until the server has given all their places,
// divided by the messages. The socket rows go to a server in a process of its own, which ENCKE_BINARY names; without it they
// are left out.

require __DIR__ . '/autoload.php';

use Encke\Publisher;
use Encke\Server;

const ROUNDS = 11;
const CHANNEL = '/bench/one';
const DATA = 100;
const LINE = "%-44s %8s %8s %12s\n";

$messages = (int) ($argv[1] ?? 50_000);

/** Prints a row: nanoseconds a message. */
function row(string $name, int $messages, callable $round, ?callable $settle = null): void
{
    [$cpu, $calls, $taken] = [[], [], []];
    // The first round warms up.
    for ($number = 0; $number <= ROUNDS; $number++) {
        $cpuStart = cpu();
        $start = hrtime(true);
        $round($messages);
        $calls[] = (hrtime(true) - $start) / $messages;
        $cpu[] = (cpu() - $cpuStart) / $messages;
        if ($settle !== null) {
            $settle();
            $taken[] = (hrtime(true) - $start) / $messages;
        }
    }
    printf(LINE, $name, median($cpu), median($calls), $settle === null ? '' : median($taken));
}

/** Nanoseconds of CPU that this thread has used: told by Linux alone, and exactly only after a pause. */
function cpu(): int
{
    usleep(1);
    return (int) strtok((string) @file_get_contents('/proc/thread-self/schedstat'), ' ');
}

function median(array $times): string
{
    $times = array_slice($times, 1);
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
    $channel = $publisher->channel(CHANNEL);
    row("$kind, one a call, by a channel", $messages, function (int $count) use ($publisher, $channel, $data) {
        while ($count > 0) {
            try {
                for (; $count > 0; $count--) {
                    $channel->publish($data);
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

printf(LINE, 'nanoseconds a message of ' . DATA . ' bytes', 'CPU', 'time', 'until taken');

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
