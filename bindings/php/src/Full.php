<?php

declare(strict_types=1);

namespace Encke;

/** There was no room, and nothing was taken: try again, or flush first. */
final class Full extends Error
{
}
