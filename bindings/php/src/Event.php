<?php

declare(strict_types=1);

namespace Encke;

/** What the server tells its host, or asks it. A copy: it may be kept. */
final class Event
{
    /**
     * @internal
     * @param string $channel the channel it is about, or nothing
     * @param string $data a client's message, a log line, or what else `kind` says
     * @param string $contentType of a client's message, if it was given one
     * @param int $client which connection; 0 if none
     * @param array{address?: string, transport?: string, query?: string, headers?: array<string, string>} $request
     *        who asks, of `Subscribe` and `Publish`
     */
    public function __construct(
        public readonly EventKind $kind,
        public readonly string $channel,
        public readonly string $data,
        public readonly string $contentType,
        public readonly int $client,
        public readonly array $request,
        private readonly int $question,
        private readonly Server $server,
    ) {
    }

    /** Lets the subscription be that was asked for. */
    public function allow(): void
    {
        $this->answer(true);
    }

    /** Refuses the subscription that was asked for: the client gets 403, or over WebSocket an error. */
    public function deny(): void
    {
        $this->answer(false);
    }

    private function answer(bool $allowed): void
    {
        if ($this->question === 0) {
            throw new Invalid("an event {$this->kind->name} asks nothing", Error::INVALID);
        }
        $this->server->answer($this->question, $allowed);
    }
}
