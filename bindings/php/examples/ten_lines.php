<?php

require __DIR__ . '/../autoload.php';

$server = new Encke\Server(['listen' => $argv[1] ?? '127.0.0.1:8080', 'history_messages' => 100_000, 'history_bytes' => '64MiB']);
echo "curl -N 'http://{$server->address()}/sub/count?transport=sse&since=earliest'\n";
$server->publishMany('/count', array_map(fn($number) => "message $number", range(1, 100_000)));
fgets(STDIN); // The server runs for as long as the script does.
