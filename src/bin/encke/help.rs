//! What `--help` prints. The server's options are printed from their table.

use encke::base::config;

/// `encke --help`.
pub fn command() -> String {
    "\
Encke, a Comet server: it parks connections, orders messages, remembers them, resumes readers and fans out.

  encke [serve] [OPTIONS]           run a server               encke serve --help
  encke publish CHANNEL [DATA]      publish to a server        encke publish --help
  encke subscribe CHANNEL…          read from a server         encke subscribe --help
  encke top [ADDRESS]               show a server's numbers  encke top --help
  encke check CONFIG                read an options file       encke check --help
  encke --version

Try it:
  encke &
  vmstat 1 | encke publish /host/vmstat --lines &
  encke subscribe /host/vmstat

It exits with 0 when all went well, 1 when something failed, 2 when it was called wrongly.
"
    .into()
}

/// `encke serve --help`.
pub fn serve() -> String {
    format!(
        "\
encke [serve] [OPTIONS]

Runs a server until SIGINT or SIGTERM, then lets answers under way finish; a second signal ends it at once.
Each option may also stand in a TOML file (heartbeat = \"25s\") or in the environment (ENCKE_HEARTBEAT=25s).
The command line goes over the environment, the environment over the file.

  -c, --config PATH
      An options file. [none; also ENCKE_CONFIG]
  --log-level LEVEL
      What to write to stderr beside the first lines. [warn; off, error, warn, info, debug, trace; also ENCKE_LOG_LEVEL]
{}",
        config::help()
    )
}

/// `encke publish --help`.
pub fn publish() -> String {
    "\
encke publish CHANNEL [DATA]

Publishes DATA, or all of stdin as one message, and prints the server's answer: the message's id and how many
subscribers there were. While the server is full or away it tries again for some minutes; it exits with 0 only
if everything was taken.

  --lines
      Publish each line of stdin as it comes, in order. A line whose answer was lost is sent again.
  --to URL
      The server: http://HOST:PORT or unix:PATH. [http://127.0.0.1:8081; also ENCKE_TO]
  --type TYPE
      The content type. Data of type application/json appears as JSON to readers. [found from the data]
  --event NAME
      The event's name, which EventSource listeners tell messages apart by. [none]
"
    .into()
}

/// `encke subscribe --help`.
pub fn subscribe() -> String {
    "\
encke subscribe CHANNEL…

Prints the data of each message on a line; with several channels CHANNEL, a tab and the data. A lost connection is
made anew and goes on where it was; what the server no longer has is told on stderr.

  --since CURSOR
      Where to start: a cursor, earliest or now. [now]
  --transport NAME
      How to be held: sse, long-poll or poll. [sse]
  --json
      Print {\"channel\",\"id\",\"data\"} a line instead.
  --count N
      Stop after so many messages. [never]
  --to URL
      The server: http://HOST:PORT or unix:PATH. [http://127.0.0.1:8080]
"
    .into()
}

/// `encke top --help`.
pub fn top() -> String {
    "\
encke top [ADDRESS]

Shows what a server does, anew each second: connections by transport, publishes, deliveries and bytes a second, gaps,
refusals, lag of slow readers, time of turns, memory, and the busiest channels. ADDRESS is its private listener or its
control socket. A server that goes away is waited for. It ends with q or Ctrl-C.

  --once
      Print the numbers of one second and end, without a terminal's signs.
  --to URL
      The same as ADDRESS: http://HOST:PORT or unix:PATH. [http://127.0.0.1:8081; also ENCKE_TO]
"
    .into()
}

/// `encke check --help`.
pub fn check() -> String {
    "\
encke check CONFIG

Reads an options file as `encke serve --config CONFIG` would, and says ok, or all that is wrong with it.
"
    .into()
}
