<?php

declare(strict_types=1);

namespace Encke;

/**
 * What went wrong, with the code that the C library gives it (`getCode()`).
 *
 * A code with a class of its own is thrown as that class, any other one as this.
 */
class Error extends \RuntimeException
{
    public const SYSTEM = -5;
    public const FORKED = -10;
    public const FULL = -11;
    public const INVALID = -22;
    public const CLOSED = -32;
    public const CONFIG = -78;
    public const PANIC = -99;
    public const TIMED_OUT = -110;

    /** How many messages of the batch that failed were taken, counted from its front. */
    public int $taken = 0;

    /** The error of a code. */
    final public static function of(int $code, string $text): self
    {
        return match ($code) {
            self::FORKED => new Forked($text, $code),
            self::FULL => new Full($text, $code),
            self::INVALID => new Invalid($text, $code),
            self::CLOSED => new Closed($text, $code),
            self::CONFIG => new Misconfigured($text, $code),
            self::PANIC => new Panicked($text, $code),
            self::TIMED_OUT => new TimedOut($text, $code),
            default => new self($text, $code),
        };
    }
}
