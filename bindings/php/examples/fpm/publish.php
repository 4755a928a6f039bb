<?php

declare(strict_types=1);

// A page under PHP-FPM that publishes what it is posted:
//
//     curl -d text=hello http://127.0.0.1:8000/publish.php
//
// The worker's connection to Encke stays open from request to request.

require getenv('ENCKE_PHP') . '/autoload.php';

$news = Encke\Publisher::connect(getenv('ENCKE_CONTROL'));
$news->publish('/news', ['text' => $_POST['text'] ?? '', 'at' => time()]);
$news->flush(); // Without it the same happens when the request ends, and a failure is a warning in the log.

header('Content-Type: text/plain');
echo "published\n";
