<?php

declare(strict_types=1);

namespace Encke;

/** It took longer than allowed; what was waited for may still happen. */
final class TimedOut extends Error
{
}
