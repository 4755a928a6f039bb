<?php

declare(strict_types=1);

// What the tests need: a runner of one function, checks that say what they saw, programs beside the test, and clients.
// Whatever is waited for has a deadline, so nothing hangs; whatever is started ends with the test.

require __DIR__ . '/../autoload.php';

error_reporting(E_ALL);
set_error_handler(static function (int $level, string $text, string $file, int $line): bool {
    // Silenced with @ where it is looked for: that leaves these levels.
    if ((error_reporting() & $level) === 0) {
        return false;
    }
    throw new ErrorException($text, 0, $level, $file, $line);
});

const DEADLINE = 20.0;

/** Runs a test. A failed one ends the script. */
function test(string $name, callable $body): void
{
    $start = microtime(true);
    try {
        $body();
    } catch (Throwable $failure) {
        echo "FAILED  $name\n", $failure, "\n";
        exit(1);
    }
    printf("ok      %s (%.1f s)\n", $name, microtime(true) - $start);
}

function check(bool $holds, string $what): void
{
    $holds || throw new Exception("does not hold: $what");
}

function same(mixed $expected, mixed $actual, string $what): void
{
    $expected === $actual
        || throw new Exception("$what: " . substr(var_export($actual, true), 0, 2000) . ', and not ' . substr(var_export($expected, true), 0, 2000));
}

/** Runs what must throw `$class`, and gives what it threw. */
function throws(string $class, callable $body): Throwable
{
    try {
        $body();
    } catch (Throwable $thrown) {
        $thrown instanceof $class || throw $thrown;
        return $thrown;
    }
    throw new Exception("$class was not thrown");
}

/** Asks until the answer is not false, null or empty. */
function until(callable $ask, string $what, float $seconds = DEADLINE): mixed
{
    for ($deadline = microtime(true) + $seconds; !($answer = $ask()); usleep(2000)) {
        microtime(true) < $deadline || throw new Exception("in $seconds seconds it did not happen: $what");
    }
    return $answer;
}

/** A new empty directory, gone with the test. */
function directory(): string
{
    $path = sys_get_temp_dir() . '/encke-' . bin2hex(random_bytes(6));
    mkdir($path, 0700);
    $process = getmypid();
    register_shutdown_function(static function () use ($path, $process): void {
        if (getmypid() === $process) {
            exec('rm -rf ' . escapeshellarg($path));
        }
    });
    return $path;
}

/** A port that was free a moment ago, for programs that cannot take port 0. */
function free_port(): int
{
    $socket = stream_socket_server('tcp://127.0.0.1:0');
    return (int) substr(strrchr(stream_socket_get_name($socket, false), ':'), 1);
}

/** A program beside the test. Its output is read as it comes; it is killed when this object goes. */
final class Program
{
    public readonly int $pid;
    private $process;
    private array $pipes = [];
    private string $output = '';
    private readonly int $owner;

    /** @param list<string> $command */
    public function __construct(private readonly array $command)
    {
        $this->owner = getmypid();
        $descriptors = [['pipe', 'r'], ['pipe', 'w'], ['redirect', 1]];
        $this->process = proc_open($command, $descriptors, $this->pipes);
        $this->pid = proc_get_status($this->process)['pid'];
        stream_set_blocking($this->pipes[1], false);
    }

    public function __destruct()
    {
        if (getmypid() === $this->owner && is_resource($this->process)) {
            proc_terminate($this->process, SIGKILL);
            proc_close($this->process);
        }
    }

    /** What it wrote so far. */
    public function output(): string
    {
        return $this->output .= stream_get_contents($this->pipes[1]);
    }

    /** Waits until it has written something that fits the pattern: the match. */
    public function says(string $pattern, float $seconds = DEADLINE): array
    {
        $deadline = microtime(true) + $seconds;
        while (!preg_match($pattern, $this->output(), $match)) {
            $wait = $deadline - microtime(true);
            if ($wait <= 0 || feof($this->pipes[1])) {
                throw new Exception(implode(' ', $this->command) . " did not say $pattern, but:\n" . substr($this->output, -2000));
            }
            [$read, $none] = [[$this->pipes[1]], null];
            stream_select($read, $none, $none, 0, (int) (min($wait, 0.5) * 1e6));
        }
        return $match;
    }

    /** Waits for its end: all that it wrote. */
    public function ends(float $seconds = DEADLINE): string
    {
        $deadline = microtime(true) + $seconds;
        for ($this->output(); !feof($this->pipes[1]); $this->output()) {
            microtime(true) < $deadline || throw new Exception(implode(' ', $this->command) . " goes on:\n" . substr($this->output, -2000));
            [$read, $none] = [[$this->pipes[1]], null];
            stream_select($read, $none, $none, 0, 100_000);
        }
        // Its output may end before its sockets do.
        until(fn() => !proc_get_status($this->process)['running'], 'it has ended', max(0.0, $deadline - microtime(true)));
        return $this->output;
    }

    public function signal(int $signal): void
    {
        posix_kill($this->pid, $signal);
    }

    /** Stops it. The signal is taken by one of its threads; the others may run on until that one has its turn. */
    public function stands_still(): void
    {
        $this->signal(SIGSTOP);
        $stopped = fn(string $stat) => preg_match('/.*\) T /s', file_get_contents($stat)) === 1;
        until(fn() => array_filter(glob("/proc/{$this->pid}/task/*/stat"), fn($stat) => !$stopped($stat)) === [], 'it stands still');
    }
}

/** A PHP script beside the test. */
function script(string $file, string ...$arguments): Program
{
    return new Program([PHP_BINARY, $file, ...$arguments]);
}

/** A client. */
function curl(string ...$arguments): Program
{
    return new Program(['curl', '--silent', '--show-error', '--no-buffer', '--max-time', '60', ...$arguments]);
}

/** What a client gets, from the beginning to the end of the answer. */
function fetch(string ...$arguments): string
{
    return curl(...$arguments)->ends();
}

/** The status of an answer and its body. */
function ask(string ...$arguments): array
{
    [$head, $body] = explode("\r\n\r\n", fetch('--include', ...$arguments), 2) + [1 => ''];
    return [(int) (explode(' ', $head)[1] ?? 0), $body];
}

/**
 * The data of `$count` messages, from the beginning, by server-sent events.
 *
 * @return list<string>
 */
function by_sse(string $address, string $channel, int $count, float $seconds = 60): array
{
    $client = curl("http://$address/sub$channel?transport=sse&since=earliest");
    $deadline = microtime(true) + $seconds;
    for ($seen = $from = 0; $seen < $count;) {
        microtime(true) < $deadline || throw new Exception("only $seen of $count messages came by sse");
        $output = $client->output();
        $seen += substr_count($output, "\ndata:", $from);
        $from = max(0, strlen($output) - 5);
        usleep(1000);
    }
    preg_match_all('/^data: ?(.*)$/m', $client->says('/\n\n\z/')[0] ? $client->output() : '', $data);
    same(false, str_contains($client->output(), 'event: gap'), 'a gap was told');
    return $data[1];
}

/**
 * The same by one long poll after the other.
 *
 * @return list<mixed>
 */
function by_long_poll(string $address, string $channel, int $count): array
{
    for ($data = [], $cursor = 'earliest'; count($data) < $count; $cursor = $answer['cursor']) {
        $body = fetch("http://$address/sub$channel?transport=long-poll&since=" . rawurlencode($cursor));
        $answer = json_decode($body, true) ?? throw new Exception("no batch: $body");
        same(false, $answer['gap'], 'a gap was told');
        array_push($data, ...array_column($answer['messages'], 'data'));
    }
    return $data;
}

/** The `encke` command as a server with a control socket, in a process of its own. */
final class Served
{
    public readonly Program $program;
    public readonly string $address;

    public function __construct(public readonly string $control, string ...$options)
    {
        $binary = getenv('ENCKE_BINARY') ?: throw new Exception('ENCKE_BINARY names no program');
        $this->program = new Program([
            $binary, 'serve', '--listen', '127.0.0.1:0', '--private', 'off', '--control', $control,
            '--history-messages', '1000000', '--history-bytes', '128MiB', ...$options,
        ]);
        $this->address = $this->program->says('#subscribe at http://([^/,\s]+)#')[1];
    }

    public function publisher(float $timeout = 5.0): Encke\Publisher
    {
        return Encke\Publisher::connect("unix:{$this->control}", $timeout);
    }
}
