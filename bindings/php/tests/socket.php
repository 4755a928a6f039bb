<?php

declare(strict_types=1);

// Publishing over the control socket, in PHP alone: from several processes, to a server that stands still, goes away, refuses.

require __DIR__ . '/lib.php';

/** Runs each in a child of its own; all must end well. */
function children(callable ...$bodies): void
{
    foreach ($bodies as $body) {
        if (pcntl_fork() === 0) {
            try {
                $body();
                posix_kill(getmypid(), SIGUSR1);
            } catch (Throwable $failure) {
                fwrite(STDERR, "$failure\n");
            }
            posix_kill(getmypid(), SIGKILL);
        }
    }
    foreach ($bodies as $_) {
        pcntl_wait($status);
        check(pcntl_wifsignaled($status) && pcntl_wtermsig($status) === SIGUSR1, 'the child ended well');
    }
}

/** Has a child do something once this process, which has found no room, sleeps in the kernel: the child. */
function when_the_parent_waits_for_room(callable $do): int
{
    $child = pcntl_fork();
    if ($child === 0) {
        until(fn() => str_contains(file_get_contents('/proc/' . posix_getppid() . '/wchan'), 'poll'), 'the parent waits for room');
        $do();
        posix_kill(getmypid(), SIGKILL);
    }
    return $child;
}

test('four processes publish twenty-five thousand each: complete, each in its order', function () {
    $served = new Served(directory() . '/control');
    $inherited = $served->publisher();
    $inherited->publish('/parent', 'before');
    children(...array_map(fn($child) => function () use ($inherited, $child) {
        for ($number = 0; $number < 15_000; $number++) {
            $inherited->publish('/count', "$child $number");
        }
        $inherited->publishMany('/count', (function () use ($child) {
            for ($number = 15_000; $number < 25_000; $number++) {
                yield "$child $number";
            }
        })());
        $inherited->flush();
    }, range(0, 3)));
    $inherited->publish('/parent', 'after');
    $inherited->flush();

    $next = [0, 0, 0, 0];
    foreach (by_sse($served->address, '/count', 100_000) as $message) {
        [$child, $number] = explode(' ', $message);
        same($next[$child]++, (int) $number, "the next message of child $child");
    }
    same([25_000, 25_000, 25_000, 25_000], $next, 'how many each published');
    same(['before', 'after'], by_sse($served->address, '/parent', 2), "the parent's own");
});

test("a channel takes what its publisher does, and the flush tells what is wrong with its name", function () {
    $served = new Served(directory() . '/control');
    $publisher = $served->publisher();
    $channel = $publisher->channel('/a');
    $channel->publish('1');
    $publisher->publish('/a', '2');
    $channel->publish([3], 'news');
    same(2, $channel->publishMany(['4', 5]), 'how many were taken');
    $publisher->flush();
    same(['1', '2', '[3]', '4', '5'], by_sse($served->address, '/a', 5), 'all, in order');
    $publisher->channel('no slash')->publish('x');
    throws(Encke\Incomplete::class, fn() => $publisher->flush());
});

test('a server that stands still is waited for, then there is no room; nothing is lost or doubled', function () {
    $served = new Served(directory() . '/control');
    $publisher = $served->publisher(0.2);
    $publisher->publish('/count', '0 ');
    $publisher->flush();
    $served->program->stands_still();
    try {
        $full = throws(Encke\Full::class, function () use ($publisher, &$count) {
            // Of a length that no buffer is a multiple of, so that it fills up in the middle of a frame.
            for ($count = 1; $count < 1000; $count++) {
                $publisher->publish('/count', "$count " . str_repeat('x', 30_011));
            }
        });
        same(Encke\Error::FULL, $full->getCode(), 'the code');
        check($count > 1, 'some were taken');
        throws(Encke\Full::class, fn() => $publisher->publish('/count', 'not taken'));
        same(0, $publisher->publishMany('/count', ['not', 'taken']), 'a batch without room');
        throws(Encke\TimedOut::class, fn() => $publisher->flush(0.1));
    } finally {
        $served->program->signal(SIGCONT);
    }
    $publisher->publishMany('/count', array_map(fn($number) => "$number ", range($count, $count + 99)));
    $publisher->flush();
    $got = by_sse($served->address, '/count', $count + 100);
    same(range(0, $count + 99), array_map('intval', $got), 'all that was taken, and nothing else');
});

test('a large batch to a server that stands still: as many as were said to be taken', function () {
    $served = new Served(directory() . '/control');
    $publisher = $served->publisher(0.2);
    $publisher->publish('/count', '0');
    $publisher->flush();
    $served->program->stands_still();
    try {
        $taken = $publisher->publishMany('/count', array_map(fn($number) => "$number " . str_repeat('x', 777), range(1, 5000)));
        check($taken > 0 && $taken < 5000, "$taken were taken");
    } finally {
        $served->program->signal(SIGCONT);
    }
    $publisher->publish('/count', (string) ($taken + 1));
    $publisher->flush();
    same(range(0, $taken + 1), array_map('intval', by_sse($served->address, '/count', $taken + 2)), 'all that was taken');
});

test('a server that goes away leaves doubts that are told once; the next one is found', function () {
    $control = directory() . '/control';
    $served = new Served($control);
    $publisher = $served->publisher();
    $publisher->publish('/a', 'sure');
    $publisher->flush();
    $publisher->publishMany('/a', ['doubtful', 'doubtful']);
    $served->program->signal(SIGKILL);
    $served->program->ends();
    $error = throws(Encke\Closed::class, fn() => $publisher->publish('/a', 'not taken'));
    same(0, $error->taken, 'taken');

    $served = new Served($control);
    $publisher->publish('/a', 'sure');
    $incomplete = throws(Encke\Incomplete::class, fn() => $publisher->flush());
    same([2, 0], [$incomplete->doubtful, $incomplete->refused], 'the doubts');
    $publisher->flush();
    same(['sure'], by_sse($served->address, '/a', 1), 'what the new server has');

    $served->program->signal(SIGKILL);
    $served->program->ends();
    $served = new Served($control);
    $publisher->publish('/a', 'goes over');
    $publisher->flush();
    same(['goes over'], by_sse($served->address, '/a', 1), 'without doubts, as nothing was under way');
});

test('a large message that a dying server cut off is sent whole to the next, once', function () {
    $control = directory() . '/control';
    $served = new Served($control);
    $publisher = $served->publisher(20.0);
    $publisher->publish('/a', 'first');
    $publisher->flush();
    $served->program->stands_still();
    $killer = when_the_parent_waits_for_room(fn() => $served->program->signal(SIGKILL));
    // It is gone before it is there again; a publisher that comes in between is told that nobody answers.
    $error = throws(Encke\Closed::class, fn() => $publisher->publish('/a', str_repeat('x', 900_000)));
    same(0, $error->taken, 'taken');
    pcntl_waitpid($killer, $status);
    $served->program->ends();
    $served = new Served($control);
    $publisher->publish('/a', str_repeat('x', 900_000));
    $publisher->flush();
    same([900_000], array_map('strlen', by_sse($served->address, '/a', 1)), 'what the new server has');
});

test('an exception in the middle of a write leaves doubts, and no half frame', function () {
    $served = new Served(directory() . '/control');
    // PHP attends to the signal when the time of the write is up.
    $publisher = $served->publisher(4.0);
    $publisher->publish('/a', 'first');
    $publisher->flush();
    $served->program->stands_still();
    pcntl_async_signals(true);
    pcntl_signal(SIGUSR1, fn() => throw new LogicException('interrupted'));
    $interrupter = when_the_parent_waits_for_room(fn() => posix_kill(posix_getppid(), SIGUSR1));
    try {
        throws(LogicException::class, fn() => $publisher->publish('/a', str_repeat('x', 900_000)));
    } finally {
        pcntl_signal(SIGUSR1, SIG_DFL);
        pcntl_async_signals(false);
        $served->program->signal(SIGCONT);
    }
    pcntl_waitpid($interrupter, $status);
    $publisher->publish('/a', 'next');
    $doubts = throws(Encke\Incomplete::class, fn() => $publisher->flush());
    same([1, 0], [$doubts->doubtful, $doubts->refused], 'the doubts');
    same(['first', 'next'], by_sse($served->address, '/a', 2), 'what was written whole');
});

test('what the server refuses is told by the flush, and by none after it', function () {
    $served = new Served(directory() . '/control', '--channels-max', '2');
    $publisher = $served->publisher();
    $publisher->publishMany('no/slash', ['x', 'y']);
    $publisher->publish('/a', 'good');
    $incomplete = throws(Encke\Incomplete::class, fn() => $publisher->flush());
    same([2, 0], [$incomplete->refused, $incomplete->doubtful], 'how many');
    same('bad_channel', $incomplete->refusal['error'], 'why');
    $publisher->flush();
    $publisher->publishMany('/a', ['more', 'still more']);
    $publisher->flush();
    same(['good', 'more', 'still more'], by_sse($served->address, '/a', 3), 'what was taken');
});

test('a message that the server would end the connection for is refused here', function () {
    $served = new Served(directory() . '/control');
    $publisher = $served->publisher();
    throws(Encke\Invalid::class, fn() => $publisher->publish('/a', str_repeat('x', (1 << 20) + 1)));
    $error = throws(Encke\Invalid::class, fn() => $publisher->publishMany('/a', ['x', 'y', str_repeat('x', 2 << 20)]));
    same(0, $error->taken, 'of a batch');
    throws(Encke\Invalid::class, fn() => $publisher->publish('', 'x'));
    throws(Encke\Invalid::class, fn() => $publisher->publish('/' . str_repeat('n', 65_535), 'x'));
    $publisher->publish('/a', str_repeat('x', 1 << 20));
    $publisher->flush();
    same([1 << 20], array_map('strlen', by_sse($served->address, '/a', 1)), 'the longest message');

    $publisher = Encke\Publisher::connect("unix:{$served->control}", bodyBytesMax: 4 << 20);
    $closed = throws(Encke\Closed::class, fn() => $publisher->publish('/a', str_repeat('x', 3 << 20)));
    same(0, $closed->taken, 'of a message that only the server finds too long');
});

test('what was published and not asked about is told at the end of the script', function () {
    $control = directory() . '/control';
    $served = new Served($control);
    $autoload = var_export(__DIR__ . '/../autoload.php', true);
    $address = var_export("unix:$control", true);
    $start = "require $autoload; \$publisher = Encke\\Publisher::connect($address);";
    $run = fn(string $code) => (new Program([PHP_BINARY, '-d', 'display_errors=stderr', '-r', "$start $code"]))->ends();
    same('', $run('$publisher->publish("/a", "x");'), 'all was well');
    check(str_contains($run('$publisher->publish("a", "x");'), 'Warning: Encke: not all messages were taken: the server refused 1'), 'a warning');
    same(['x'], by_sse($served->address, '/a', 1), 'what was taken');
});
