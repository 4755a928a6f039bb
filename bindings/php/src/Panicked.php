<?php

declare(strict_types=1);

namespace Encke;

/** The server failed by its own fault; stop it and start anew. */
final class Panicked extends Error
{
}
