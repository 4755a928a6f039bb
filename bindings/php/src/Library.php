<?php

declare(strict_types=1);

namespace Encke;

/**
 * Finds the C library and loads it, once a path. The declarations come out of the library itself, so that it and they cannot
 * differ; what this package was written for is checked before any other call.
 *
 * @internal
 */
final class Library
{
    /** The contract that this package speaks, and the first version of the library that has all it calls. */
    private const ABI = 1;
    private const VERSION = '0.1.0';

    /** All that must be known before the rest can be asked for. */
    private const FIRST = 'int32_t encke_abi_version(void); const char *encke_version(void); const char *encke_cdef(void);';

    /** @var array<string, \FFI> */
    private static array $loaded = [];

    /** The library at `$path`; else the one that ENCKE_LIBRARY names; else from the usual places. */
    public static function load(?string $path = null): \FFI
    {
        if (!extension_loaded('ffi')) {
            throw self::unloadable('PHP runs without its extension ffi');
        }
        $named = $path ?? (getenv('ENCKE_LIBRARY') ?: null);
        $faults = [];
        foreach ($named !== null ? [$named] : self::usual() as $file) {
            try {
                return self::$loaded[$file] ??= self::open($file);
            } catch (\FFI\Exception $cause) {
                $faults[] = $cause->getMessage();
            }
        }
        $hint = $named !== null ? '' : ' (name it: constructor, or environment variable ENCKE_LIBRARY)';
        throw self::unloadable(implode('; ', array_unique($faults)) . $hint);
    }

    /** Beside this package, then wherever the system's loader looks. */
    private static function usual(): array
    {
        $name = PHP_OS_FAMILY === 'Darwin' ? 'libencke.dylib' : 'libencke.so';
        return [...array_filter([dirname(__DIR__) . "/lib/$name", "/usr/local/lib/$name"], is_file(...)), $name];
    }

    private static function open(string $file): \FFI
    {
        $first = \FFI::cdef(self::FIRST, $file);
        $abi = $first->encke_abi_version();
        if ($abi !== self::ABI) {
            throw self::unloadable("$file speaks version $abi of the C interface, this package speaks " . self::ABI);
        }
        $version = $first->encke_version();
        if (version_compare($version, self::VERSION, '<')) {
            throw self::unloadable("$file is version $version, this package needs " . self::VERSION . ' or later');
        }
        return \FFI::cdef($first->encke_cdef(), $file);
    }

    private static function unloadable(string $why): Unloadable
    {
        return new Unloadable("cannot use libencke: $why", Error::SYSTEM);
    }
}
