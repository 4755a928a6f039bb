<?php

declare(strict_types=1);

namespace Encke;

/**
 * A connection to a server elsewhere that the C library holds. For command-line programs that publish much;
 * `Publisher::connect()` needs no library and does for all others.
 */
final class LibraryPublisher extends Handle
{
    /** `$address` is `unix:/run/encke.sock`; `$library` the path of libencke; `$timeout` how long `publishMany` waits for room. */
    public function __construct(string $address, ?string $library = null, float $timeout = 5.0)
    {
        parent::__construct('encke_connect', $address, $library, $timeout);
    }

    /** What the connection still holds is sent; what cannot be is told, as nobody else asks any more. */
    public function __destruct()
    {
        try {
            $this->end(5.0) || trigger_error('Encke: not all messages were sent in time', E_USER_WARNING);
        } catch (Error $error) {
            trigger_error("Encke: {$error->getMessage()}", E_USER_WARNING);
        }
    }
}
