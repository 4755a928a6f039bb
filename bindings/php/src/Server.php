<?php

declare(strict_types=1);

namespace Encke;

/**
 * A server in this process, on threads of its own that run no PHP. For command-line programs.
 *
 * It lives as long as this object. What it has to say waits in a queue: `eventStream()` is readable while there is something,
 * `nextEvent()` takes it out.
 */
final class Server extends Handle
{
    private readonly \FFI\CData $event;
    private readonly \FFI\CData $eventAddress;

    /**
     * Starts a server. Started again with the same options in the same process, it is the same server.
     *
     * @param array<string, string|int|false|list<string>> $options as `encke serve --help` names them, with underscores:
     *        `['listen' => '127.0.0.1:0', 'history_messages' => 100]`
     * @param ?string $library the path of libencke
     * @param float $timeout how many seconds `publishMany` waits for room
     */
    public function __construct(array $options = [], ?string $library = null, float $timeout = 5.0)
    {
        parent::__construct('encke_start', self::json($options), $library, $timeout);
        $this->event = $this->ffi->new('encke_event');
        $this->eventAddress = \FFI::addr($this->event);
    }

    /** At the end of a script whoever is still connected has a moment to take what was published. In a forked child nothing is stopped. */
    public function __destruct()
    {
        try {
            $this->end(1.0);
        } catch (Error) {
            // Nobody is left who could be told.
        }
    }

    /** Where the public connects: `127.0.0.1:8080`. With several addresses, the first. */
    public function address(): string
    {
        return $this->addresses()['public'][0] ?? '';
    }

    /** @return array{public: list<string>, private: list<string>, control: ?string} all addresses, with the ports that were given out */
    public function addresses(): array
    {
        return json_decode($this->text('encke_address'), true, 8, JSON_THROW_ON_ERROR);
    }

    /** What the server counts, by name. */
    public function stats(): array
    {
        return json_decode($this->text('encke_stats'), true, 16, JSON_THROW_ON_ERROR);
    }

    /**
     * Goes on with other options, without touching a connection: new requests meet the new rules, and files that options name (keys,
     * for example) are read anew. An option that is left out has its default from then on. Waits until all of it holds.
     *
     * @param array<string, string|int|false|list<string>> $options all of them, as for the constructor
     * @return list<string> the options that were to change and last until a restart: they stay as they were
     */
    public function reload(array $options): array
    {
        $text = self::json($options);
        $kept = $this->check($this->ffi->encke_reload($this->handle, $text, strlen($text)));
        return $kept === 0 ? [] : explode("\n", $this->ffi->encke_last_error());
    }

    /** Stops the server, or what this process has of it: true if everybody took the rest within the time. The object is of no more use. */
    public function stop(float $seconds = 5.0): bool
    {
        return $this->end($seconds);
    }

    /**
     * A stream for `stream_select()` that is readable while events wait. It is never to be read: `nextEvent()` is.
     *
     * @return resource
     */
    public function eventStream()
    {
        $descriptor = $this->check($this->ffi->encke_event_fd($this->handle));
        // The stream is a duplicate, so closing it leaves the server's own one open.
        $stream = @fopen("php://fd/$descriptor", 'r');
        if ($stream === false) {
            throw new Error('no stream for the events: ' . (error_get_last()['message'] ?? ''), Error::SYSTEM);
        }
        return $stream;
    }

    /** The next event, or null when none waits. */
    public function nextEvent(): ?Event
    {
        while ($this->check($this->ffi->encke_next_event($this->handle, $this->eventAddress)) === 1) {
            try {
                $event = $this->copy();
            } finally {
                $this->ffi->encke_event_free($this->eventAddress);
            }
            if ($event !== null) {
                return $event;
            }
        }
        return null;
    }

    /** @internal for `Event::allow()` and `Event::deny()` */
    public function answer(int $question, bool $allowed): void
    {
        $this->check($this->ffi->encke_answer($this->handle, $question, (int) $allowed));
    }

    private static function json(array $options): string
    {
        $text = json_encode((object) $options, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE);
        return $text !== false ? $text : throw new Invalid('the options are no JSON: ' . json_last_error_msg(), Error::INVALID);
    }

    /** The event that the library lent; null if its kind is of a later library. */
    private function copy(): ?Event
    {
        $event = $this->event;
        $kind = EventKind::tryFrom($event->kind);
        if ($kind === null) {
            return null;
        }
        // FFI::string() takes a field by reference, and so gets the pointer. Passed on by value, a `const char *` would be read
        // up to a NUL, and none is there. Without length there may be no pointer either.
        $request = $event->request_len === 0 ? '' : \FFI::string($event->request, $event->request_len);
        return new Event(
            $kind,
            $event->channel_len === 0 ? '' : \FFI::string($event->channel, $event->channel_len),
            $event->data_len === 0 ? '' : \FFI::string($event->data, $event->data_len),
            $event->content_type_len === 0 ? '' : \FFI::string($event->content_type, $event->content_type_len),
            $event->client,
            $request === '' ? [] : json_decode($request, true, 8, JSON_INVALID_UTF8_SUBSTITUTE) ?? [],
            $event->question,
            $this,
        );
    }
}
