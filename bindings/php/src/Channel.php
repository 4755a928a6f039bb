<?php

declare(strict_types=1);

namespace Encke;

/**
 * A channel that a publisher publishes to, without naming it each time: `$chat = $publisher->channel('/chat/rome')`.
 *
 * It takes what its publisher does, and its messages stand in one order with those that its publisher is given. It is of use as
 * long as its publisher is, and keeps that alive.
 */
class Channel
{
    /** @internal from `Publisher::channel()` */
    public function __construct(private readonly Publisher $publisher, public readonly string $name)
    {
    }

    /** Publishes one message, as `Publisher::publish()` does. */
    public function publish(mixed $data, ?string $event = null, ?string $contentType = null): void
    {
        $this->publisher->publish($this->name, $data, $event, $contentType);
    }

    /**
     * Publishes many, as `Publisher::publishMany()` does.
     *
     * @param iterable<mixed> $messages
     */
    final public function publishMany(iterable $messages): int
    {
        return $this->publisher->publishMany($this->name, $messages);
    }
}
