<?php

declare(strict_types=1);

/** Loads the classes of `src` where composer's autoloader is not at hand. */
spl_autoload_register(static function (string $class): void {
    if (str_starts_with($class, 'Encke\\')) {
        $file = __DIR__ . '/src/' . strtr(substr($class, 6), '\\', '/') . '.php';
        if (is_file($file)) {
            require $file;
        }
    }
});
