<?php

declare(strict_types=1);

namespace Encke;

/**
 * Not all that was published since the last flush was taken by the server. Told by `flush()`, once.
 *
 * Refused messages were not taken. Doubtful ones were under way when the connection broke: each may or may not have been
 * taken, so none was sent again.
 */
final class Incomplete extends Error
{
    /** @param array{error?: string, detail?: string} $refusal why the first of the refused messages was */
    public function __construct(
        public readonly int $refused,
        public readonly int $doubtful,
        public readonly array $refusal = [],
    ) {
        $parts = [];
        if ($refused > 0) {
            $why = implode(': ', array_filter([$refusal['error'] ?? null, $refusal['detail'] ?? null], is_string(...)));
            $parts[] = "the server refused $refused" . ($why === '' ? '' : " (the first one: $why)");
        }
        if ($doubtful > 0) {
            $parts[] = "the connection broke with $doubtful under way, which may or may not have been taken";
        }
        parent::__construct('not all messages were taken: ' . implode('; ', $parts), $doubtful > 0 ? self::CLOSED : self::INVALID);
    }
}
