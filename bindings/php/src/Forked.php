<?php

declare(strict_types=1);

namespace Encke;

/** The server was started before a fork, and this is the child: its threads are in the parent. */
final class Forked extends Error
{
}
