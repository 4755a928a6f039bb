<?php

declare(strict_types=1);

namespace Encke;

/** The server is gone: stopped, or nobody answers at its address. */
final class Closed extends Error
{
}
