<?php

declare(strict_types=1);

// The example's PHP-FPM pool behind the example's nginx, on addresses of the test: pages publish, workers die.

require __DIR__ . '/lib.php';

/** The line with `$old` in it must be there; it becomes `$new`. */
function changed(string $text, array $changes): string
{
    foreach ($changes as $old => $new) {
        check(str_contains($text, $old), "the example's configuration has: $old");
        $text = str_replace($old, $new, $text);
    }
    return $text;
}

/** Encke, PHP-FPM and nginx. */
final class Site
{
    public readonly Served $encke;
    public readonly Program $fpm;
    public readonly Program $nginx;
    public readonly string $url;

    public function __construct(int $workers)
    {
        $directory = directory();
        mkdir("$directory/public");
        copy(__DIR__ . '/../examples/fpm/publish.php', "$directory/public/publish.php");
        copy(__DIR__ . '/fixtures/page.php', "$directory/public/page.php");
        $this->encke = new Served("$directory/control");

        $user = posix_getpwuid(posix_geteuid())['name'];
        $group = posix_getgrgid(posix_getegid())['name'];
        $pool = changed(file_get_contents(__DIR__ . '/../examples/fpm/pool.conf'), [
            "\nuser = www-data" => "\nuser = $user",
            "\ngroup = www-data" => "\ngroup = $group",
            'listen.owner = www-data' => "listen.owner = $user",
            'listen.group = www-data' => "listen.group = $group",
            '/run/php/encke.sock' => "$directory/fpm.sock",
            'pm.max_children = 4' => "pm.max_children = $workers",
            '/run/encke/control.sock' => "$directory/control",
            '/srv/app/vendor/encke/encke' => dirname(__DIR__),
        ]);
        file_put_contents("$directory/fpm.conf", "[global]\nerror_log = /proc/self/fd/2\ndaemonize = no\n$pool\ncatch_workers_output = yes\n");
        // As root it must be told that root is meant.
        $root = posix_geteuid() === 0 ? ['--allow-to-run-as-root'] : [];
        $this->fpm = new Program([glob('/usr/sbin/php-fpm*')[0], '--nodaemonize', '--fpm-config', "$directory/fpm.conf", ...$root]);
        $this->fpm->says('/ready to handle connections/');

        $this->nginx = $this->nginx($directory, $user, $group);
    }

    /** Starts nginx on a port that was free a moment ago; should it be taken meanwhile, on another. */
    private function nginx(string $directory, string $user, string $group, int $tries = 5): Program
    {
        $port = free_port();
        $server = changed(file_get_contents(__DIR__ . '/../examples/fpm/nginx.conf'), [
            '127.0.0.1:8080' => $this->encke->address,
            '127.0.0.1:8000' => "127.0.0.1:$port",
            '/srv/app/public' => "$directory/public",
            '/run/php/encke.sock' => "$directory/fpm.sock",
            'include fastcgi_params' => 'include /etc/nginx/fastcgi_params',
        ]);
        $kinds = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
        $places = implode(' ', array_map(fn($kind) => "{$kind}_temp_path $directory/$kind;", $kinds));
        $user = posix_geteuid() === 0 ? "user $user $group;" : '';
        file_put_contents("$directory/nginx.conf", <<<NGINX
            $user
            pid $directory/nginx.pid;
            error_log stderr notice;
            daemon off;
            events {}
            http {
                access_log off;
                $places
                $server
            }
            NGINX);
        $nginx = new Program(['/usr/sbin/nginx', '-e', 'stderr', '-c', "$directory/nginx.conf"]);
        if (isset($nginx->says('/start worker process \d+|(Address already in use)/')[1]) && $tries > 1) {
            return $this->nginx($directory, $user, $group, $tries - 1);
        }
        $this->url = "http://127.0.0.1:$port";
        return $nginx;
    }

    /** Ends nginx and PHP-FPM with their workers. */
    public function __destruct()
    {
        foreach ([$this->nginx, $this->fpm] as $program) {
            $program->signal(SIGTERM);
            $program->ends();
        }
    }

    /** @return list<int> the workers of PHP-FPM */
    public function workers(): array
    {
        $children = file_get_contents("/proc/{$this->fpm->pid}/task/{$this->fpm->pid}/children");
        return array_map('intval', preg_split('/\s+/', $children, -1, PREG_SPLIT_NO_EMPTY));
    }

    /** What a page answers. */
    public function page(string $query): string
    {
        return fetch("{$this->url}/page.php?$query");
    }

    /** How many connections are open to the control socket. */
    public function connections(): int
    {
        // A line for each end that has the path: the listener's, and the server's of each connection.
        return substr_count(file_get_contents('/proc/net/unix'), " {$this->encke->control}\n") - 1;
    }
}

test("the example's page publishes, and a client reads it from the same address", function () {
    $site = new Site(workers: 2);
    $reader = curl("$site->url/sub/news?transport=sse&since=now");
    $reader->says('/retry/');
    same("published\n", fetch('--data', 'text=hello', "$site->url/publish.php"), 'the answer');
    $reader->says('/data: {"text":"hello","at":\d+}/');
});

test('four workers publish from four hundred requests, each over one connection: all arrive', function () {
    $site = new Site(workers: 4);
    $answers = fetch('--parallel', '--parallel-max', '8', "$site->url/page.php?count=5&name=[0-399]");
    same(400, substr_count($answers, ' published'), 'answers');
    preg_match_all('/^(\d+) published/m', $answers, $workers);
    $workers = count(array_unique($workers[1]));
    same($workers, $site->connections(), 'connections that are open, one a worker');
    $got = array_count_values(array_map('rtrim', by_sse($site->encke->address, '/pages', 2000)));
    same([2000, 1], [count($got), max($got)], 'messages, each once');
});

test('workers are killed in the middle and come back: what was confirmed arrived, nothing twice, nothing hangs', function () {
    $site = new Site(workers: 4);
    $start = microtime(true);
    [$clients, $confirmed] = [[], []];
    $options = ['--parallel', '--parallel-max', '2', '--write-out', '\nstatus %{http_code} %{url_effective}\n'];
    // Before each killing a client comes, and is answered: no worker dies before it did anything, and none after all is done.
    for ($number = 0; $number < 12; $number++) {
        $clients[] = $client = curl(...$options, ...["$site->url/page.php?count=40&size=8000&name=$number.[0-24]"]);
        $client->says('/ published/');
        $workers = until(fn() => $site->workers(), 'workers');
        posix_kill($workers[$number % count($workers)], SIGKILL);
    }
    $output = implode('', array_map(fn($client) => $client->ends(60), $clients));
    preg_match_all('/^status (\d+) \S*name=(\S+)$/m', $output, $statuses, PREG_SET_ORDER);
    same(300, count($statuses), 'answers, good or bad');
    foreach ($statuses as [, $status, $name]) {
        if ($status === '200') {
            $confirmed[$name] = true;
        }
    }
    check(count($confirmed) >= 200 && count($confirmed) < 300, count($confirmed) . ' of 300 requests were answered well');
    $site->page('name=last');

    $next = [];
    $client = curl("http://{$site->encke->address}/sub/pages?transport=sse&since=earliest");
    $client->says('/data: last 0 /');
    preg_match_all('/^data: (\S+) (\d+) (x*)$/m', $client->output(), $messages, PREG_SET_ORDER);
    foreach ($messages as [, $name, $number, $filling]) {
        same($next[$name] ?? 0, (int) $number, "the next message of $name");
        same($name === 'last' ? 0 : 8_000, strlen($filling), 'the length of a message');
        $next[$name] = $number + 1;
    }
    foreach ($confirmed as $name => $_) {
        same(40, $next[$name] ?? 0, "messages of $name, whose page was answered");
    }
    check(microtime(true) - $start < 60, 'in time');
});

test('a request that dies in the middle of a frame leaves nothing behind which the next could write', function () {
    foreach (['exit', 'error', 'hard'] as $end) {
        $site = new Site(workers: 1);
        $site->page('name=first');
        $site->encke->program->stands_still();
        try {
            // The buffers fill up in the middle of a message; the page dies with the rest of it in hand.
            check(preg_match('/full at (\d+)/', $site->page("name=cut&count=100&size=40011&end=$end"), $full) === 1, "the page finds no room: $end");
        } finally {
            $site->encke->program->signal(SIGCONT);
        }
        same(sprintf("%d published\n", $site->workers()[0]), $site->page('name=next&count=3'), 'the next page of the same worker');
        $client = curl("http://{$site->encke->address}/sub/pages?transport=sse&since=earliest");
        $client->says('/data: next 2 /');
        preg_match_all('/^data: (\S+ \d+) (x*)$/m', $client->output(), $messages);
        // All that were written whole; the last one was not, and is dropped with its connection.
        $names = array_map(fn($number) => "cut $number", range(0, $full[1] - 2));
        same(['first 0', ...$names, 'next 0', 'next 1', 'next 2'], $messages[1], "all messages, after $end");
        same([0, 40011], array_values(array_unique(array_map('strlen', $messages[2]))), 'their lengths');
        if ($end !== 'hard') {
            $site->fpm->says('/Encke: .* has not confirmed \d+ messages in time/');
        }
    }
});

test('a server that starts anew is found by workers that were connected to the old one', function () {
    $site = new Site(workers: 2);
    $site->page('name=old');
    $site->encke->program->signal(SIGKILL);
    $site->encke->program->ends();
    check(str_contains(fetch('--include', "$site->url/page.php?name=none"), ' 500 '), 'without a server the page fails');
    $again = new Served($site->encke->control);
    for ($number = 0; $number < 8; $number++) {
        check(str_contains($site->page("name=new.$number"), ' published'), 'a page publishes');
    }
    same(8, count(by_sse($again->address, '/pages', 8)), 'messages');
});
