<?php

declare(strict_types=1);

namespace Encke;

use function count;
use function is_string;
use function strlen;

/**
 * Whoever can publish: a server in this process (`Server`), or a connection to one elsewhere.
 *
 * What is published by one publisher is kept in its order. A string goes as it is; anything else goes as JSON.
 */
abstract class Publisher
{
    /** One batch is one call, or one write: large enough that the call costs nothing, small enough to stay in the cache. */
    private const BATCH_MESSAGES = 1024;
    private const BATCH_BYTES = 65536;

    /** The longest message that is even tried. */
    protected int $messageMax = 0xFFFFFFFF;

    /**
     * A publisher to the server whose control socket is at `$address`: `unix:/run/encke.sock`. It connects when it is first
     * used, and anew when the server went away in between.
     *
     * `$timeout` is how many seconds a call may wait for room, or to be let in. `$bodyBytesMax` is the server's
     * `body_bytes_max`; a longer message is refused here, as it would end the connection.
     * Outside the command line the connection outlives the request, and there is one a process for each address, with the
     * settings it was first asked for.
     */
    final public static function connect(string $address, float $timeout = 5.0, int $bodyBytesMax = 1048576): self
    {
        return SocketPublisher::to($address, $timeout, $bodyBytesMax);
    }

    /** Publishes one message. It is taken when this returns, or this throws: `Full` where there was no room. */
    abstract public function publish(
        string $channel,
        mixed $data,
        ?string $event = null,
        ?string $contentType = null,
    ): void;

    /**
     * A channel to publish to without naming it each time. Over the socket nothing is asked for that: what is wrong with a name is
     * told by `flush()`. A server in this process, and the library, say so at once (`Invalid`).
     */
    public function channel(string $name): Channel
    {
        return new Channel($this, $name);
    }

    /** Waits until all that was published before has its place in its channel, or throws: what was not taken, and why. */
    abstract public function flush(float $seconds = 5.0): void;

    /** Flushes, and ends the connection, or leaves it to the process's next request.. */
    abstract public function close(float $seconds = 5.0): void;

    /** Takes as many of `$count` frames as there is room for within the time allowed; from the front. */
    abstract protected function take(string $frames, int $count): int;

    /**
     * Publishes many messages on one channel, a batch a call. It waits for room; when there is none for too long, it
     * returns how many were taken, counted from the front. An error says the same in its `taken`.
     *
     * @param iterable<mixed> $messages
     */
    public function publishMany(string $channel, iterable $messages): int
    {
        return $this->batches($this->framed($channel, $messages));
    }

    /**
     * The same for messages on many channels: each a list of `publish()`'s arguments, `[$channel, $data]` at least.
     *
     * @param iterable<array{0: string, 1: mixed, 2?: ?string, 3?: ?string}> $pairs
     */
    public function publishPairs(iterable $pairs): int
    {
        return $this->batches($this->framedPairs($pairs));
    }

    /** @param iterable<int, string> $batches how many frames => the frames */
    private function batches(iterable $batches): int
    {
        $taken = 0;
        try {
            foreach ($batches as $count => $frames) {
                $part = $this->take($frames, $count);
                $taken += $part;
                if ($part < $count) {
                    break;
                }
            }
        } catch (Error $error) {
            $error->taken += $taken;
            throw $error;
        }
        return $taken;
    }

    /** @return \Generator<int, string> */
    private function framed(string $channel, iterable $messages): \Generator
    {
        $max = $this->messageMax;
        [$frames, $count, $starts] = ['', 0, []];
        foreach ($messages as $message) {
            if (is_string($message)) {
                // Messages of a channel are often of few lengths, and a look-up costs a third of a pack().
                $size = strlen($message);
                $frames .= ($starts[$size] ??= Frame::start($channel, $size, $max)) . $message;
            } else {
                $frames .= Frame::encode($channel, $message, null, null, $max);
            }
            if (++$count === self::BATCH_MESSAGES || isset($frames[self::BATCH_BYTES])) {
                yield $count => $frames;
                [$frames, $count] = ['', 0];
                if (count($starts) > self::BATCH_MESSAGES) {
                    $starts = [];
                }
            }
        }
        if ($count > 0) {
            yield $count => $frames;
        }
    }

    /** @return \Generator<int, string> */
    private function framedPairs(iterable $pairs): \Generator
    {
        [$frames, $count] = ['', 0];
        foreach ($pairs as $pair) {
            $frames .= Frame::encode($pair[0], $pair[1], $pair[2] ?? null, $pair[3] ?? null, $this->messageMax);
            if (++$count === self::BATCH_MESSAGES || isset($frames[self::BATCH_BYTES])) {
                yield $count => $frames;
                [$frames, $count] = ['', 0];
            }
        }
        if ($count > 0) {
            yield $count => $frames;
        }
    }
}
