<?php

declare(strict_types=1);

namespace Encke;

use function is_string;
use function strlen;

/**
 * A channel that the C library holds open: it has checked the name, and a message goes to it by two arguments fewer, which is a
 * quarter of what a publish costs.
 *
 * Like a handle it is a value that the library looks up, so nothing is checked here before a call.
 *
 * @internal
 */
final class LibraryChannel extends Channel
{
    private readonly \FFI\CData $channel;
    /** The functions themselves: a call of them looks for no name. */
    private readonly \FFI\CData $publish;
    private readonly \FFI\CData $close;

    public function __construct(private readonly Handle $handle, string $name, \FFI $ffi, \FFI\CData $encke)
    {
        parent::__construct($handle, $name);
        $channel = $ffi->new('encke_channel *');
        $code = $ffi->encke_channel_open($encke, $name, strlen($name), \FFI::addr($channel));
        if ($code < 0) {
            throw $handle->error($code);
        }
        $this->channel = $channel;
        $this->publish = $ffi->encke_channel_publish;
        $this->close = $ffi->encke_channel_close;
    }

    public function __destruct()
    {
        // Where it was never opened there is nothing to close; where its handle was stopped, the library says so.
        if (isset($this->close)) {
            ($this->close)($this->channel);
        }
    }

    public function publish(mixed $data, ?string $event = null, ?string $contentType = null): void
    {
        if ($event === null && $contentType === null && is_string($data)) {
            $code = ($this->publish)($this->channel, $data, strlen($data));
            if ($code < 0) {
                throw $this->handle->error($code);
            }
        } else {
            parent::publish($data, $event, $contentType);
        }
    }
}
