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
  encke key NAME PATTERNS           make an application's key  encke key --help
  encke token --keys FILE           sign a token               encke token --help
  encke healthy [URL]               ask whether it serves      encke healthy --help
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
SIGHUP reads the options anew, and nobody is dropped. SIGUSR2 has a new process take over the sockets and all channels.
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

/// `encke healthy --help`.
pub fn healthy() -> String {
    "\
encke healthy [URL]

Exits with 0 if the server at URL (http://HOST:PORT or unix:PATH) serves, else with 1, and says why.
[the first address of ENCKE_LISTEN, or http://127.0.0.1:8080]
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

/// `encke key --help`.
pub fn key() -> String {
    "\
encke key NAME PATTERNS

Makes a key for an application called NAME, which may publish to the channels of PATTERNS, inspect and drop them.
Prints the key, which is shown to nobody but the application, and the line for the server's file of --api-keys.
PATTERNS are channels (/shop/orders), /shop/* (one segment more) or /shop/** (any more), parted by commas.
"
    .into()
}

/// `encke token --help`.
pub fn token() -> String {
    "\
encke token --keys FILE [OPTIONS]

Prints a token (JWT) signed with a secret of a key set, for tests and for trying things out. Applications make their
tokens themselves, with any library for JWT.

  --keys FILE
      The server's file of --token-keys, with a key of alg HS256.
  --kid KID
      Which of its keys signs. [the first of HS256]
  --user NAME
      Who it is for: the claim sub. [nobody]
  --subscribe PATTERNS, --publish PATTERNS
      The channels: /chat/rome, /chat/* (one segment more) or /chat/** (any more), parted by commas. [none]
  --expires DURATION
      How long it is good. [1h]
  --audience NAME, --issuer NAME
      The claims aud and iss, if the server asks for them. [none]
  --name CHANNEL
      Print the signed name of a channel or pattern instead, as templates put it into pages.
"
    .into()
}
