<?php

declare(strict_types=1);

namespace Encke;

/** The C library cannot be used here: not found, not ours, too old, or FFI is off. */
final class Unloadable extends Error
{
}
