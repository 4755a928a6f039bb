<?php

declare(strict_types=1);

namespace Encke;

/** An argument is not what it must be; nothing was taken. */
final class Invalid extends Error
{
}
