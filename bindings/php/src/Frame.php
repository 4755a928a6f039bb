<?php

declare(strict_types=1);

namespace Encke;

use function is_string;
use function pack;
use function strlen;

/**
 * Messages as bytes, the form that both the control socket and the C library take. Little-endian:
 *
 *     channel_len u16 | type_len u8 | event_len u8 | data_len u32 | channel | content type | event | data
 *
 * Invariant: whatever comes out of here is one whole frame; a length that its field cannot hold is `Invalid`.
 * Whether the name of a channel is a good one is for the server to say.
 *
 * @internal
 */
final class Frame
{
    /** The four lengths in front. */
    public const HEAD = 8;

    private const JSON = JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_PRESERVE_ZERO_FRACTION;

    /** One message: a string goes as it is, anything else as JSON. */
    public static function encode(string $channel, mixed $data, ?string $event, ?string $contentType, int $max): string
    {
        if (!is_string($data)) {
            $data = self::json($data);
            $contentType ??= 'application/json';
        }
        $type = $contentType ?? '';
        $event ??= '';
        $size = strlen($data);
        if ($channel === '' || $size > $max || isset($channel[65535]) || isset($type[255]) || isset($event[255])) {
            throw self::fault($channel, $event, $type, $size, $max);
        }
        return pack('vCCV', strlen($channel), strlen($type), strlen($event), $size) . $channel . $type . $event . $data;
    }

    /** All of a message of `$size` bytes that stands before them, if it is data alone: for many of the same channel. */
    public static function start(string $channel, int $size, int $max): string
    {
        if ($channel === '' || $size > $max || isset($channel[65535])) {
            throw self::fault($channel, '', '', $size, $max);
        }
        return pack('vCCV', strlen($channel), 0, 0, $size) . $channel;
    }

    /** Asks the server to say, with these eight bytes, when it has taken all that stands before. */
    public static function flush(string $token): string
    {
        return pack('vCCV', 0, 1, 0, strlen($token)) . $token;
    }

    /**
     * How many of the frames are whole in the first `$length` bytes, and where the last of them ends.
     *
     * @return array{int, int}
     */
    public static function whole(string $frames, int $length): array
    {
        for ($count = 0, $at = 0; $at < $length; $count++, $at = $end) {
            $end = $at + self::length($frames, $at);
            if ($end > $length) {
                break;
            }
        }
        return [$count, $at];
    }

    /** The frames without the first `$count`. */
    public static function after(string $frames, int $count): string
    {
        for ($at = 0; $count > 0; $count--) {
            $at += self::length($frames, $at);
        }
        return substr($frames, $at);
    }

    /** How long the frame is whose head starts at `$at`. */
    public static function length(string $frames, int $at): int
    {
        $part = unpack('vchannel/Ctype/Cevent/Vdata', $frames, $at);
        return self::HEAD + ($part['channel'] > 0 ? $part['channel'] + $part['type'] + $part['event'] : 0) + $part['data'];
    }

    private static function json(mixed $data): string
    {
        try {
            return json_encode($data, self::JSON);
        } catch (\JsonException $cause) {
            throw new Invalid("the message is no JSON: {$cause->getMessage()}", Error::INVALID, $cause);
        }
    }

    private static function fault(string $channel, string $event, string $type, int $size, int $max): Invalid
    {
        return new Invalid(match (true) {
            $channel === '' => 'a channel has a name',
            $size > $max => "the message has $size bytes, the most is $max",
            isset($event[255]) => 'the name of the event has more than 255 bytes',
            isset($type[255]) => 'the content type has more than 255 bytes',
            default => 'the name of the channel has more than 65,535 bytes',
        }, Error::INVALID);
    }
}
