<?php

declare(strict_types=1);

namespace Encke;

use function fwrite;
use function getmypid;
use function strlen;

/**
 * A publisher over the server's control socket, in PHP alone: frames go out, and nothing comes back but answers to flushes.
 *
 * Outside the command line the socket is persistent: the next request of the same worker goes on with it. It does so only if
 * this request handed it back whole, which is the last thing it does; one that died meanwhile leaves a mark on it, and the
 * next request closes it and connects anew. So no request ever writes behind half a frame of another.
 *
 * Invariants:
 * - Behind a frame that is not written to its end comes its rest, or nothing: the server drops a frame whose connection ends.
 * - A message is written a second time only if its frame was cut off the first time. What was written whole and was not
 *   confirmed before the connection broke is counted as doubtful, and told by `flush()`.
 * - A server that takes nothing is waited for on the same connection: a new one could overtake it.
 * - A process writes only to a connection that it opened itself.
 *
 * @internal
 */
final class SocketPublisher extends Publisher
{
    private const PREFACE = "\0encke1\n";

    /** A stream's chunk size means nothing for us, but PHP keeps it with a persistent stream: there we write whether it is whole. */
    private const MARK_WHOLE = 8192;
    private const MARK_IN_USE = 8191;

    /** The queue of those who want to be let in is full (EAGAIN, here and on BSD), or a signal came (EINTR). */
    private const TRY_AGAIN = [4, 11, 35];

    /** @var array<string, \WeakReference<self>> the persistent ones, by address: two would share a stream */
    private static array $shared = [];

    /** @var resource|null */
    private $stream = null;

    /** Which process opened the stream. */
    private int $process = 0;

    /** Whether the stream stands between two frames, and can be written to. */
    private bool $ready = false;

    /**
     * While a write or a read is under way, how many messages are in it. Still there when the next begins, it means that an
     * exception (a signal's, an error handler's) left the last one somewhere in the middle.
     */
    private ?int $underWay = null;

    /** The end of a frame that the server has yet to make room for. */
    private string $rest = '';

    /** How many messages were written to this connection since its last flush, and to former ones that broke. */
    private int $unconfirmed = 0;
    private int $doubtful = 0;

    /** Answers to flushes: bytes that came, how many are still to come, and what those that came said. */
    private string $inbox = '';
    private int $awaited = 0;
    private int $refused = 0;
    private array $refusal = [];

    public static function to(string $address, float $timeout, int $bodyBytesMax): self
    {
        if (!str_starts_with($address, 'unix:/')) {
            throw new Invalid("$address is no address of a control socket: write unix:/run/encke.sock", Error::INVALID);
        }
        // A command-line program ends with its only request.
        if (in_array(PHP_SAPI, ['cli', 'phpdbg'], true)) {
            return new self($address, $timeout, $bodyBytesMax, false);
        }
        $publisher = (self::$shared[$address] ?? null)?->get();
        if ($publisher === null) {
            $publisher = new self($address, $timeout, $bodyBytesMax, true);
            self::$shared[$address] = $reference = \WeakReference::create($publisher);
            // After a fatal error there are no destructors, but there is this.
            register_shutdown_function(static fn() => $reference->get()?->__destruct());
        }
        return $publisher;
    }

    private function __construct(
        private readonly string $address,
        private readonly float $timeout,
        int $bodyBytesMax,
        private readonly bool $persistent,
    ) {
        $this->messageMax = $bodyBytesMax;
    }

    public function __destruct()
    {
        if ($this->process !== getmypid()) {
            return;
        }
        try {
            $this->close($this->timeout);
        } catch (Error $error) {
            trigger_error("Encke: {$error->getMessage()}", E_USER_WARNING);
        }
    }

    public function publish(
        string $channel,
        mixed $data,
        ?string $event = null,
        ?string $contentType = null,
    ): void {
        if ($this->take(Frame::encode($channel, $data, $event, $contentType, $this->messageMax), 1) === 0) {
            throw new Full("the server has taken nothing for {$this->timeout} seconds", Error::FULL);
        }
    }

    public function flush(float $seconds = 5.0): void
    {
        try {
            $this->allow($seconds);
            $this->settle();
            if ($this->unconfirmed > 0) {
                $this->confirm(microtime(true) + $seconds);
            }
        } finally {
            $this->allow($this->timeout);
        }
        [$refused, $doubtful, $refusal] = [$this->refused, $this->doubtful, $this->refusal];
        [$this->refused, $this->doubtful, $this->refusal] = [0, 0, []];
        if ($refused > 0 || $doubtful > 0) {
            throw new Incomplete($refused, $doubtful, $refusal);
        }
    }

    public function close(float $seconds = 5.0): void
    {
        try {
            $this->flush($seconds);
        } finally {
            $this->handBack();
        }
    }

    protected function take(string $frames, int $count): int
    {
        if ((!$this->ready || getmypid() !== $this->process) && !$this->prepare()) {
            return 0;
        }
        $taken = $this->write($frames, $count);
        if ($taken === $count || $this->stream !== null) {
            return $taken;
        }
        // The connection broke. A new one gets what was not written whole; once, as a server that ends each has its reason.
        try {
            $this->open();
            $taken += $this->write(Frame::after($frames, $taken), $count - $taken);
            return $this->stream !== null ? $taken : throw new Closed("{$this->address} ends the connection", Error::CLOSED);
        } catch (Error $error) {
            $error->taken = $taken;
            throw $error;
        }
    }

    /** Writes frames, and says how many of them need no second try: all but those that a full or broken connection left out. */
    private function write(string $frames, int $count): int
    {
        $this->ready = false;
        $this->underWay = $count;
        // PHP goes on until all is written, nothing has moved for the time allowed, or the connection is broken.
        $written = @fwrite($this->stream, $frames);
        if ($written === strlen($frames)) {
            $this->underWay = null;
            $this->ready = true;
            $this->unconfirmed += $count;
            return $count;
        }
        $written = (int) $written;
        [$whole, $end] = Frame::whole($frames, $written);
        if (!$this->isAlive()) {
            $this->underWay = $whole;
            $this->abandon();
            return $whole;
        }
        if ($end < $written) {
            $whole++;
            $this->rest = substr($frames, $written, $end + Frame::length($frames, $end) - $written);
        }
        $this->unconfirmed += $whole;
        $this->underWay = null;
        $this->ready = $this->rest === '';
        return $whole;
    }

    /** Makes the stream ready; false while the server takes nothing. */
    private function prepare(): bool
    {
        $this->settle();
        if ($this->stream === null) {
            $this->open();
        }
        return $this->ready;
    }

    /** Ends what must not go on: another process's connection, a write that was left, a frame that waits for room. */
    private function settle(): void
    {
        if (getmypid() !== $this->process) {
            $this->forget();
        } elseif ($this->underWay !== null) {
            $this->abandon();
        } elseif ($this->rest !== '') {
            $this->underWay = 0;
            $this->rest = substr($this->rest, (int) @fwrite($this->stream, $this->rest));
            if ($this->rest !== '' && !$this->isAlive()) {
                $this->abandon();
                return;
            }
            $this->underWay = null;
            $this->ready = $this->rest === '';
        }
    }

    /** Asks whether all was taken, and waits for the answer. A connection that breaks instead leaves doubts. */
    private function confirm(float $deadline): void
    {
        // Written like a message, and counted like one until here.
        $asked = $this->ready ? $this->write(Frame::flush('confirm?'), 1) : 0;
        $this->unconfirmed -= $asked;
        $this->awaited += $asked;
        while ($this->stream !== null && ($asked === 0 || $this->awaited > 0)) {
            $left = $deadline - microtime(true);
            if ($asked === 0 || $this->rest !== '' || $left <= 0) {
                throw new TimedOut("{$this->address} has not confirmed {$this->unconfirmed} messages in time", Error::TIMED_OUT);
            }
            $this->allow($left);
            $this->read();
        }
        $this->unconfirmed = 0;
    }

    /** Reads answers, and waits for the first. */
    private function read(): void
    {
        $this->ready = false;
        $this->underWay = 0;
        $bytes = @fread($this->stream, 8192);
        if ($bytes === '' || $bytes === false) {
            if (!$this->isAlive()) {
                $this->abandon();
                return;
            }
            $bytes = '';
        }
        $this->inbox .= $bytes;
        while (strlen($this->inbox) >= Frame::HEAD && strlen($this->inbox) >= $length = Frame::length($this->inbox, 0)) {
            $answer = substr($this->inbox, Frame::HEAD, $length - Frame::HEAD);
            $this->inbox = substr($this->inbox, $length);
            $this->awaited--;
            $this->refused += unpack('V', $answer, 8)[1];
            $this->refusal = $this->refusal ?: json_decode(substr($answer, 12), true) ?? [];
        }
        $this->underWay = null;
        $this->ready = true;
    }

    /** Connects, or takes the process's persistent connection over if it was handed back whole. */
    private function open(): void
    {
        do {
            $stream = $this->dial();
            $fresh = ftell($stream) === 0;
            $left = $this->persistent && stream_set_chunk_size($stream, self::MARK_IN_USE) === self::MARK_IN_USE && !$fresh;
        } while ($left && fclose($stream));
        $this->stream = $stream;
        $this->process = getmypid();
        $this->allow($this->timeout);
        if ($fresh && @fwrite($stream, self::PREFACE) !== strlen(self::PREFACE)) {
            $this->abandon();
            throw new Closed("{$this->address} ends the connection", Error::CLOSED);
        }
        $this->ready = true;
    }

    /** @return resource */
    private function dial()
    {
        $deadline = microtime(true) + $this->timeout;
        $flags = STREAM_CLIENT_CONNECT | ($this->persistent ? STREAM_CLIENT_PERSISTENT : 0);
        for ($pause = 500; ; $pause = min(2 * $pause, 20000)) {
            $stream = @stream_socket_client('unix://' . substr($this->address, 5), $code, $text, $this->timeout, $flags);
            if ($stream !== false) {
                return $stream;
            }
            if (!in_array($code, self::TRY_AGAIN, true)) {
                throw new Closed("nobody answers at {$this->address}: $text", Error::CLOSED);
            }
            if (microtime(true) > $deadline) {
                throw new Full("{$this->address} has let nobody in for {$this->timeout} seconds: $text", Error::FULL);
            }
            usleep($pause);
        }
    }

    /** Whether the other end is still there: to be asked when nothing could be written or read. */
    private function isAlive(): bool
    {
        [$read, $write, $except] = [[$this->stream], null, null];
        return @stream_select($read, $write, $except, 0) === 0
            || strlen((string) @stream_socket_recvfrom($this->stream, 1, STREAM_PEEK)) > 0;
    }

    /** How long a write or a read may wait for the other end. */
    private function allow(float $seconds): void
    {
        if ($this->stream !== null) {
            stream_set_timeout($this->stream, (int) $seconds, (int) (fmod($seconds, 1) * 1e6));
        }
    }

    /** Ends a connection that broke, or that stands in the middle of a frame. */
    private function abandon(): void
    {
        $this->doubtful += $this->unconfirmed + ($this->underWay ?? 0);
        $this->end();
    }

    /** Lets go, in a child, of what its parent has open: whether that was taken is the parent's to ask. */
    private function forget(): void
    {
        [$this->doubtful, $this->refused, $this->refusal] = [0, 0, []];
        $this->end();
    }

    /** Leaves a persistent connection to the next request, if it is as it should be; ends any other. */
    private function handBack(): void
    {
        if ($this->stream === null) {
            return;
        }
        if ($this->persistent && $this->ready && $this->underWay === null && $this->unconfirmed === 0) {
            stream_set_chunk_size($this->stream, self::MARK_WHOLE);
            $this->stream = null;
        }
        $this->end();
    }

    private function end(): void
    {
        if ($this->stream !== null) {
            fclose($this->stream);
        }
        [$this->stream, $this->ready, $this->rest, $this->inbox] = [null, false, '', ''];
        [$this->underWay, $this->unconfirmed, $this->awaited] = [null, 0, 0];
    }
}
