<?php

declare(strict_types=1);

namespace Encke;

/** An option is unknown or out of its bounds; the message names it. */
final class Misconfigured extends Error
{
}
