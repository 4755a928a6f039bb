<?php

declare(strict_types=1);

namespace Encke;

use function count;
use function is_string;
use function strlen;

/**
 * A handle of the C library, and the calls that a server and a connection have in common.
 *
 * The handle is a value that the library looks up: one that was stopped, or came through a fork, gets a code and no crash, so
 * nothing is checked here before a call.
 *
 * @internal
 */
abstract class Handle extends Publisher
{
    /** What `encke_stats` and `encke_address` at most need. */
    private const TEXT_BYTES = 4096;

    /** How many texts go joined, and how long they are together at most: a copy of them is made. */
    private const TEXTS = 1024;
    private const TEXTS_BYTES = 1 << 20;

    protected readonly \FFI $ffi;
    protected readonly \FFI\CData $handle;
    /** The function itself: a call of it looks for no name, which takes a twentieth off a publish. */
    private readonly \FFI\CData $publish;
    private bool $open = false;

    /** Asks the library for a handle: `$verb` is `encke_start` or `encke_connect`, `$text` what it is told. */
    protected function __construct(string $verb, string $text, ?string $library, private readonly float $timeout)
    {
        $this->ffi = Library::load($library);
        $handle = $this->ffi->new('encke *');
        $this->check($this->ffi->$verb($text, strlen($text), \FFI::addr($handle)));
        $this->handle = $handle;
        $this->publish = $this->ffi->encke_publish;
        $this->open = true;
    }

    /** Publishes one message, without ever waiting. It is taken when this returns, or this throws: `Full` where there was no room. */
    final public function publish(
        string $channel,
        mixed $data,
        ?string $event = null,
        ?string $contentType = null,
    ): void {
        if ($event === null && $contentType === null && is_string($data)) {
            $code = ($this->publish)($this->handle, $channel, strlen($channel), $data, strlen($data));
        } else {
            $frame = Frame::encode($channel, $data, $event, $contentType, $this->messageMax);
            $code = $this->ffi->encke_publish_packed($this->handle, $frame, strlen($frame));
        }
        if ($code < 0) {
            throw $this->error($code);
        }
    }

    /** A channel that is found once, to which a publish costs a quarter less. It is of use until the handle is stopped or closed. */
    final public function channel(string $name): Channel
    {
        return new LibraryChannel($this, $name, $this->ffi, $this->handle);
    }

    final public function publishMany(string $channel, iterable $messages): int
    {
        if (!is_array($messages)) {
            return parent::publishMany($channel, $messages);
        }
        $taken = 0;
        try {
            foreach (array_chunk($messages, self::TEXTS) as $batch) {
                $part = $this->takeTexts($channel, $batch);
                $taken += $part;
                $rest = count($batch) - $part;
                if ($rest > 0) {
                    $part = parent::publishMany($channel, array_slice($batch, $part));
                    $taken += $part;
                    if ($part < $rest) {
                        break;
                    }
                }
            }
        } catch (Error $error) {
            $error->taken += $taken;
            throw $error;
        }
        return $taken;
    }

    final public function flush(float $seconds = 5.0): void
    {
        $this->check($this->ffi->encke_flush($this->handle, self::milliseconds($seconds)));
    }

    /** Flushes, and lets the handle go: it is of no more use. */
    public function close(float $seconds = 5.0): void
    {
        try {
            $this->flush($seconds);
        } finally {
            $this->end($seconds);
        }
    }

    final protected function take(string $frames, int $count): int
    {
        $taken = 0;
        $deadline = null;
        while (true) {
            $part = $this->ffi->encke_publish_packed($this->handle, $frames, strlen($frames));
            if ($part < 0 && $part !== Error::FULL) {
                $error = $this->error($part);
                $error->taken = $taken;
                throw $error;
            }
            $taken += max($part, 0);
            if ($taken === $count) {
                return $taken;
            }
            $left = ($deadline ??= microtime(true) + $this->timeout) - microtime(true);
            if ($left <= 0) {
                return $taken;
            }
            $frames = Frame::after($frames, max($part, 0));
            $this->awaitRoom($left);
        }
    }

    /**
     * Publishes a batch of texts as one, joined by line feeds: a third less work than a frame for each. For what cannot go
     * that way, frames remain: so this says how many were taken, none perhaps, and never why not more.
     */
    private function takeTexts(string $channel, array $batch): int
    {
        $size = 0;
        foreach ($batch as $text) {
            if (!is_string($text)) {
                return 0;
            }
            $size += strlen($text);
        }
        if ($size > self::TEXTS_BYTES) {
            return 0;
        }
        $joined = implode("\n", $batch);
        if (substr_count($joined, "\n") !== count($batch) - 1) {
            return 0;
        }
        $taken = $this->ffi->encke_publish_split($this->handle, $channel, strlen($channel), $joined, strlen($joined), 10);
        return max($taken, 0);
    }

    /** Ends it: true if all was done within the time. The handle is gone in any case; a second call does nothing. */
    protected function end(float $seconds): bool
    {
        if (!$this->open) {
            return true;
        }
        $this->open = false;
        $code = $this->ffi->encke_stop($this->handle, self::milliseconds($seconds));
        if ($code < 0 && $code !== Error::TIMED_OUT) {
            throw $this->error($code);
        }
        return $code === 0;
    }

    /** The text that a call of the library writes to a buffer. */
    final protected function text(string $verb): string
    {
        $buffer = $this->ffi->new('char[' . self::TEXT_BYTES . ']');
        $length = $this->check($this->ffi->$verb($this->handle, $buffer, self::TEXT_BYTES));
        return \FFI::string($buffer, $length);
    }

    /** The code that a call returned, unless it is an error. */
    final protected function check(int $code): int
    {
        return $code < 0 ? throw $this->error($code) : $code;
    }

    /** @internal for `LibraryChannel` too */
    final public function error(int $code): Error
    {
        $detail = $this->ffi->encke_last_error();
        return Error::of($code, $detail === '' || $detail === null ? $this->ffi->encke_strerror($code) : $detail);
    }

    /** When the reactors have taken what is there, there is room. That they need longer is no error here. */
    private function awaitRoom(float $seconds): void
    {
        $code = $this->ffi->encke_flush($this->handle, self::milliseconds($seconds));
        if ($code < 0 && $code !== Error::TIMED_OUT && $code !== Error::FULL) {
            throw $this->error($code);
        }
    }

    private static function milliseconds(float $seconds): int
    {
        return (int) max(0, min($seconds * 1000, 0xFFFFFFFF));
    }
}
