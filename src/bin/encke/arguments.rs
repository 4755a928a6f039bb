//! Arguments, environment and file to one command with all its options.
//!
//! Nothing is connected to or started here; only the options file is read.

use crate::address::Address;
use crate::serve::reachable;
use crate::sources::Sources;
use crate::{help, keys};
use encke::Config;
use encke::base::config::{Opt, nearest};
use lexopt::{Arg, Parser, ValueExt};
use std::ffi::OsString;
use std::path::PathBuf;

/// What the process is to do.
#[derive(Debug)]
pub enum Command {
    Print(String),
    Serve(Box<Serve>),
    Publish(Publish),
    Subscribe(Subscribe),
    Top(Top),
    Check(PathBuf),
    Key(keys::Key),
    Token(keys::Token),
    Healthy(Address),
}

/// A server to run.
#[derive(Debug)]
pub struct Serve {
    pub config: Config,
    /// Where its options came from, to be read again.
    pub sources: Sources,
    pub log_level: log::LevelFilter,
}

/// What to publish, and where.
#[derive(Debug)]
pub struct Publish {
    pub to: Address,
    pub channel: String,
    /// The message; without it stdin is read.
    pub data: Option<Vec<u8>>,
    pub content_type: Option<String>,
    pub event: Option<String>,
    /// Whether each line of stdin is a message.
    pub lines: bool,
}

/// What to read, and where.
#[derive(Debug)]
pub struct Subscribe {
    pub to: Address,
    pub channels: Vec<String>,
    /// A cursor, `earliest` or `now`.
    pub since: String,
    pub transport: Transport,
    /// Whether to print envelopes instead of data.
    pub json: bool,
    /// After how many messages to stop.
    pub count: Option<u64>,
}

/// Whose numbers to show, and how.
#[derive(Debug)]
pub struct Top {
    pub to: Address,
    /// Whether to print them once instead of showing them as they change.
    pub once: bool,
}

/// How a subscription is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Sse,
    LongPoll,
    Poll,
}

/// A look into the environment.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

const PRIVATE_ADDRESS: &str = "http://127.0.0.1:8081";
const PUBLIC_ADDRESS: &str = "http://127.0.0.1:8080";
const COMMANDS: [&str; 8] = ["serve", "publish", "subscribe", "top", "check", "healthy", "key", "token"];

/// The command that `arguments` (without the program's name) call for. `Err` says what is wrong with them.
pub fn parse(arguments: impl Iterator<Item = OsString>, environment: Environment) -> Result<Command, String> {
    let mut arguments = arguments.peekable();
    let word = match arguments.peek().and_then(|first| first.to_str()) {
        Some(first) if !first.starts_with('-') => arguments.next().and_then(|first| first.into_string().ok()),
        _ => None,
    };
    let parser = Parser::from_args(arguments);
    match word.as_deref() {
        None => serve(parser, environment, help::command),
        Some("serve") => serve(parser, environment, help::serve),
        Some("publish") => publish(parser, environment),
        Some("subscribe") => subscribe(parser),
        Some("top") => top(parser, environment),
        Some("check") => check(parser),
        Some("key") => keys::parse_key(parser),
        Some("token") => keys::parse_token(parser),
        Some("healthy") => healthy(parser, environment),
        Some(other) => {
            let hint = nearest(other, COMMANDS.iter().copied()).map(|near| format!(" (did you mean {near}?)"));
            Err(format!("there is no command {other:?}{}", hint.unwrap_or_default()))
        }
    }
}

fn version() -> Command {
    Command::Print(format!("encke {}\n", env!("CARGO_PKG_VERSION")))
}

fn serve(mut parser: Parser, environment: Environment, help: fn() -> String) -> Result<Command, String> {
    let mut sources = Sources::of(environment("ENCKE_CONFIG"));
    let mut level = environment("ENCKE_LOG_LEVEL");
    while let Some(argument) = parser.next().map_err(plain)? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Print(help())),
            Arg::Short('V') | Arg::Long("version") => return Ok(version()),
            Arg::Short('c') | Arg::Long("config") => sources = sources.with_file(text(&mut parser)?),
            Arg::Long("log-level") => level = Some(text(&mut parser)?),
            Arg::Long(name) => {
                let opt = Opt::find(name).map_err(plain)?;
                let value = if is_alone(opt, &mut parser) { "on".into() } else { text(&mut parser)? };
                sources.give(opt, value);
            }
            other => return Err(plain(other.unexpected())),
        }
    }
    let config = sources.read(environment)?;
    let log_level = log_level(level.as_deref().unwrap_or("warn"))?;
    Ok(Command::Serve(Box::new(Serve { config, sources, log_level })))
}

/// Whether `--demo` stands without a value, which turns it on; every other option has one.
fn is_alone(opt: &Opt, parser: &mut Parser) -> bool {
    let is_option = |next: &std::ffi::OsStr| next.as_encoded_bytes().starts_with(b"-");
    opt.key == "demo" && parser.try_raw_args().is_some_and(|rest| rest.peek().is_none_or(is_option))
}

fn log_level(text: &str) -> Result<log::LevelFilter, String> {
    text.parse().map_err(|_| format!("--log-level: {text:?} is none of off, error, warn, info, debug, trace"))
}

fn publish(mut parser: Parser, environment: Environment) -> Result<Command, String> {
    let mut to = environment("ENCKE_TO").unwrap_or_else(|| PRIVATE_ADDRESS.into());
    let (mut channel, mut data, mut content_type, mut event, mut lines) = (None, None, None, None, false);
    while let Some(argument) = parser.next().map_err(plain)? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Print(help::publish())),
            Arg::Long("to") => to = text(&mut parser)?,
            Arg::Long("type") => content_type = Some(media_type(text(&mut parser)?)?),
            Arg::Long("event") => event = Some(text(&mut parser)?),
            Arg::Long("lines") => lines = true,
            Arg::Value(value) if channel.is_none() => channel = Some(value.string().map_err(plain)?),
            Arg::Value(value) if data.is_none() => data = Some(bytes(value)),
            other => return Err(plain(other.unexpected())),
        }
    }
    let channel = rooted(&channel.ok_or("publish: which channel? (encke publish CHANNEL [DATA])")?);
    if lines && data.is_some() {
        return Err("publish: --lines reads stdin, so there can be no DATA beside it".into());
    }
    Ok(Command::Publish(Publish { to: address(&to)?, channel, data, content_type, event, lines }))
}

fn subscribe(mut parser: Parser) -> Result<Command, String> {
    let mut to = PUBLIC_ADDRESS.to_string();
    let (mut channels, mut since, mut transport) = (Vec::new(), "now".to_string(), Transport::Sse);
    let (mut json, mut count) = (false, None);
    while let Some(argument) = parser.next().map_err(plain)? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Print(help::subscribe())),
            Arg::Long("to") => to = text(&mut parser)?,
            Arg::Long("since") => since = text(&mut parser)?,
            Arg::Long("transport") => transport = held(&text(&mut parser)?)?,
            Arg::Long("json") => json = true,
            Arg::Long("count") => count = Some(counted(&text(&mut parser)?)?),
            Arg::Value(value) => channels.push(rooted(&value.string().map_err(plain)?)),
            other => return Err(plain(other.unexpected())),
        }
    }
    if channels.is_empty() {
        return Err("subscribe: which channel? (encke subscribe CHANNEL…)".into());
    }
    Ok(Command::Subscribe(Subscribe { to: address(&to)?, channels, since, transport, json, count }))
}

fn top(mut parser: Parser, environment: Environment) -> Result<Command, String> {
    let mut to = None;
    let mut once = false;
    while let Some(argument) = parser.next().map_err(plain)? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Print(help::top())),
            Arg::Long("once") => once = true,
            Arg::Long("to") => to = Some(text(&mut parser)?),
            Arg::Value(value) if to.is_none() => to = Some(value.string().map_err(plain)?),
            other => return Err(plain(other.unexpected())),
        }
    }
    let to = to.or_else(|| environment("ENCKE_TO"));
    Ok(Command::Top(Top { to: address(to.as_deref().unwrap_or(PRIVATE_ADDRESS))?, once }))
}

fn check(mut parser: Parser) -> Result<Command, String> {
    let mut path = None;
    while let Some(argument) = parser.next().map_err(plain)? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Print(help::check())),
            Arg::Value(value) if path.is_none() => path = Some(PathBuf::from(value)),
            other => return Err(plain(other.unexpected())),
        }
    }
    path.map(Command::Check).ok_or_else(|| "check: which file? (encke check CONFIG)".into())
}

/// Without an address it is the server that runs with this environment, as in a container, or else where one is by default.
fn healthy(mut parser: Parser, environment: Environment) -> Result<Command, String> {
    let mut server = None;
    while let Some(argument) = parser.next().map_err(plain)? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Print(help::healthy())),
            Arg::Value(value) if server.is_none() => server = Some(value.string().map_err(plain)?),
            other => return Err(plain(other.unexpected())),
        }
    }
    let server = server.or_else(|| environment("ENCKE_LISTEN").and_then(|list| address_of_first(&list)));
    Ok(Command::Healthy(address(server.as_deref().unwrap_or(PUBLIC_ADDRESS))?))
}

fn held(text: &str) -> Result<Transport, String> {
    match text {
        "sse" => Ok(Transport::Sse),
        "long-poll" => Ok(Transport::LongPoll),
        "poll" => Ok(Transport::Poll),
        other => Err(format!("--transport: {other:?} is none of sse, long-poll, poll")),
    }
}

fn counted(text: &str) -> Result<u64, String> {
    let count = text.parse().ok().filter(|count| *count > 0);
    count.ok_or_else(|| format!("--count: {text:?} is not a count (write 1 or more)"))
}

fn media_type(text: String) -> Result<String, String> {
    match !text.is_empty() && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        true => Ok(text),
        false => Err(format!("--type: {text:?} is not a content type (write text/plain)")),
    }
}

fn address(text: &str) -> Result<Address, String> {
    text.parse().map_err(|what| format!("--to: {text:?} {what}"))
}

/// Where the first of the addresses that a server listens on is reached from its own machine; `None` if it is none.
fn address_of_first(listen: &str) -> Option<String> {
    let address = listen.split(',').next()?.trim().parse().ok()?;
    Some(format!("http://{}", reachable(address)))
}

/// A channel's name starts with a slash; in a shell it need not be typed.
fn rooted(channel: &str) -> String {
    if channel.starts_with('/') { channel.into() } else { format!("/{channel}") }
}

/// The bytes of an argument as they were given: a message need not be UTF-8.
fn bytes(value: OsString) -> Vec<u8> {
    std::os::unix::ffi::OsStringExt::into_vec(value)
}

pub fn text(parser: &mut Parser) -> Result<String, String> {
    parser.value().and_then(|value| value.string()).map_err(plain)
}

pub fn plain(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use encke::base::config::OPTIONS;
    use std::collections::HashMap;

    fn parse_with(line: &str, environment: &[(&str, &str)]) -> Result<Command, String> {
        let environment: HashMap<&str, &str> = environment.iter().copied().collect();
        let look = |name: &str| environment.get(name).map(|value| value.to_string());
        parse(line.split_whitespace().map(OsString::from), &look)
    }

    fn config(line: &str, environment: &[(&str, &str)]) -> Config {
        match parse_with(line, environment) {
            Ok(Command::Serve(serve)) => serve.config,
            other => panic!("{other:?}"),
        }
    }

    fn published(line: &str) -> Publish {
        match parse_with(line, &[]) {
            Ok(Command::Publish(options)) => options,
            other => panic!("{other:?}"),
        }
    }

    fn subscribed(line: &str) -> Subscribe {
        match parse_with(line, &[]) {
            Ok(Command::Subscribe(options)) => options,
            other => panic!("{other:?}"),
        }
    }

    fn printed(line: &str) -> String {
        match parse_with(line, &[]) {
            Ok(Command::Print(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn demonstrations_are_turned_on_by_a_word_alone() {
        for (line, expected) in [
            ("serve", "loopback"),
            ("serve --demo", "on"),
            ("--demo --reactors 1", "on"),
            ("serve --demo off --reactors 1", ""),
            ("serve --demo=off", ""),
        ] {
            assert_eq!(config(line, &[]).demo, expected, "{line}");
        }
    }

    #[test]
    fn each_source_goes_over_the_one_before() {
        let scratch = crate::file::tests::Scratch::new("heartbeat = \"2s\"\nretry = \"2s\"\nidle_timeout = \"2s\"\n");
        let line = format!("serve --config {} --heartbeat 4s", scratch.path());
        let environment = [("ENCKE_HEARTBEAT", "3s"), ("ENCKE_RETRY", "3s")];
        let config = config(&line, &environment);
        assert_eq!((config.heartbeat_ms, config.retry_ms, config.idle_timeout_ms), (4_000, 3_000, 2_000));
        assert_eq!(config.life_span_ms, Config::default().life_span_ms);
    }

    #[test]
    fn the_file_may_be_named_by_the_environment() {
        let scratch = crate::file::tests::Scratch::new("retry = \"7s\"\n");
        assert_eq!(config("", &[("ENCKE_CONFIG", scratch.path())]).retry_ms, 7_000);
    }

    #[test]
    fn serving_needs_no_command() {
        assert_eq!(config("--reactors 3", &[]).reactors, 3);
        assert_eq!(config("serve --reactors=3", &[]).reactors, 3);
    }

    #[test]
    fn a_list_may_be_given_piece_by_piece_and_a_number_again() {
        let config = config("--listen 127.0.0.1:1 --retry 1s --listen [::1]:2 --retry 2s", &[]);
        assert_eq!(config.listen, ["127.0.0.1:1", "[::1]:2"]);
        assert_eq!(config.retry_ms, 2_000);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, expected) in [
            ("--hartbeat 3s", "--hartbeat: there is no such option (did you mean --heartbeat?)"),
            ("--heartbeat", "missing argument for option '--heartbeat'"),
            ("--heartbeat 2d", "--heartbeat: 2d is out of bounds (off, or 100ms to 1d)"),
            ("--line-bytes-max 32KiB", "--line-bytes-max: 32KiB is more than --head-bytes-max"),
            ("serve now", "unexpected argument \"now\""),
            ("--log-level loud", "--log-level: \"loud\" is none of off"),
            ("subscrib /a", "there is no command \"subscrib\" (did you mean subscribe?)"),
            ("publish", "publish: which channel?"),
            ("publish /a hello --lines", "publish: --lines reads stdin"),
            ("publish /a --to https://x", "--to: \"https://x\" is not an address"),
            ("publish /a --type caffè", "--type: \"caffè\" is not a content type"),
            ("subscribe", "subscribe: which channel?"),
            ("subscribe /a --transport smoke", "--transport: \"smoke\" is none of sse, long-poll, poll"),
            ("subscribe /a --count 0", "--count: \"0\" is not a count"),
            ("check", "check: which file?"),
            ("key", "key: for whom, and which channels?"),
            ("key shop", "key: for whom, and which channels?"),
            ("key shop /a /b", "unexpected argument \"/b\""),
            ("token", "token: signed with what?"),
            ("token --keys k --expires soon", "--expires: \"soon\" is not a duration"),
            ("token --keys k --subscribe a", "--subscribe: \"a\" is no pattern"),
            ("token --keys k --name /a --publish /a", "token: --name is for reading one channel or pattern"),
        ] {
            let error = parse_with(line, &[]).unwrap_err();
            assert!(error.starts_with(expected), "{line}: {error}");
        }
        let error = parse_with("", &[("ENCKE_RETRY", "soon")]).unwrap_err();
        assert!(error.starts_with("--retry: \"soon\" is not a duration") && error.ends_with("(from ENCKE_RETRY)"), "{error}");
    }

    #[test]
    fn a_publisher_speaks_to_the_private_listener_unless_told() {
        let options = published("publish host/vmstat 42 --type application/json --event tick");
        assert_eq!((options.channel.as_str(), options.data.as_deref()), ("/host/vmstat", Some(&b"42"[..])));
        assert_eq!(options.content_type.as_deref(), Some("application/json"));
        assert_eq!(options.event.as_deref(), Some("tick"));
        assert_eq!(options.to, PRIVATE_ADDRESS.parse().unwrap());
        assert!(published("publish /a --lines").lines);
        match parse_with("publish /a b", &[("ENCKE_TO", "unix:/run/encke.sock")]) {
            Ok(Command::Publish(options)) => assert_eq!(options.to, Address::Unix("/run/encke.sock".into())),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_health_of_a_server_is_asked_for_where_it_listens() {
        let asked = |line: &str, listen: &str| match parse_with(line, &[("ENCKE_LISTEN", listen)]) {
            Ok(Command::Healthy(address)) => address.to_string(),
            other => panic!("{other:?}"),
        };
        for (line, listen, expected) in [
            ("healthy", "", "http://127.0.0.1:8080"),
            ("healthy", "0.0.0.0:9000", "http://127.0.0.1:9000"),
            ("healthy", "[::]:9000, 10.0.0.1:80", "http://[::1]:9000"),
            ("healthy", "nonsense", "http://127.0.0.1:8080"),
            ("healthy http://10.0.0.1", "0.0.0.0:9000", "http://10.0.0.1:80"),
        ] {
            assert_eq!(asked(line, listen), expected, "{line} {listen}");
        }
    }

    #[test]
    fn numbers_are_shown_of_the_private_listener_unless_told() {
        let top = |line: &str, environment: &[(&str, &str)]| match parse_with(line, environment) {
            Ok(Command::Top(options)) => (options.to.to_string(), options.once),
            other => panic!("{other:?}"),
        };
        let environment = [("ENCKE_TO", "unix:/run/encke.sock")];
        assert_eq!(top("top", &[]), (PRIVATE_ADDRESS.into(), false));
        assert_eq!(top("top --once", &environment), ("unix:/run/encke.sock".into(), true));
        assert_eq!(top("top http://[::1]:9", &environment), ("http://[::1]:9".into(), false));
        assert_eq!(top("top --to http://[::1]:9", &[]), ("http://[::1]:9".into(), false));
    }

    #[test]
    fn a_reader_names_channels_and_the_rest_has_defaults() {
        let options = subscribed("subscribe /a b --json --count 3 --transport long-poll --since earliest");
        assert_eq!(options.channels, ["/a", "/b"]);
        assert_eq!((options.json, options.count, options.transport), (true, Some(3), Transport::LongPoll));
        assert_eq!(options.since, "earliest");
        let options = subscribed("subscribe /a");
        assert_eq!((options.since.as_str(), options.transport, options.count), ("now", Transport::Sse, None));
    }

    #[test]
    fn every_command_has_help() {
        for (line, expected) in [
            ("--help", "encke publish"),
            ("-h", "encke subscribe"),
            ("serve --help", "--heartbeat DURATION"),
            ("publish --help", "--lines"),
            ("subscribe --help", "--since"),
            ("top --help", "--once"),
            ("check --help", "encke check"),
            ("key --help", "encke key"),
            ("token --help", "--expires"),
            ("healthy --help", "encke healthy"),
            ("--version", "encke 0."),
        ] {
            assert!(printed(line).contains(expected), "{line}");
        }
        for opt in OPTIONS {
            assert!(printed("serve --help").contains(&format!("--{} ", opt.name())), "{}", opt.field);
        }
    }
}
