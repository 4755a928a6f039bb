//! A transcript: what clients do at which time, and what they must get.
//!
//! ```text
//! # a comment                                  @ heartbeat=5s jitter=10%     options, before all else
//! shards 2                                     home /chat 1                  which shard is the channel's home
//! open a public on 1                           = 1.5s                        lets time pass until then
//! a > GET / HTTP/1.1                           a client sends; lines that follow each other are one send
//! a posts /bayeux [{…}]                        a request with this JSON,  a says {…}  a message on its WebSocket
//! token ann sub=/a                             what clients can show, see `papers`
//! a eof                                        a reset
//! a takes 10                                   its socket is full after 10 more bytes,  a ready  until then
//! publish /chat type=text/plain event=e | hi   the program around the server publishes,  64 times publish …  so often
//! host allows 1                                it answers the first question,  host denies 1
//! host sleeps                                  it takes no events,  host wakes  until then
//! hold mail                                    no shard's mailbox has room,  pass mail  until then
//! drain                                        the server is to stop
//! a < HTTP/1.1 200 OK                          what a client then gets; see `notation` for how it is written
//! a !shutdown                                  a !close
//! host < subscribe 1 a /chat {…}               the program is asked the first question, about client a
//! ```
//! What clients get is told after each act, in full: what is not told must not come.
//! `@ whole: why` says that what clients get may depend on how what they send is cut.

use super::notation::{self, Epochs};
use super::papers::Papers;
use super::world::{Client, Manner, SEED, World};
use encke::Config;
use encke::base::event::{Event, EventKind};
use encke::base::payload::Parts;
use encke::engine::{Door, Engine};

/// What a transcript does not set: few connections, since room for all is made at once; no jitter, and no cookies; and that
/// strangers may read everything.
const OPTIONS: [(&str, &str); 4] =
    [("connections_max", "100"), ("jitter", "off"), ("bayeux_browser_connects", "off"), ("anonymous_subscribe", "/**")];

/// A transcript, as it was read.
pub struct Transcript {
    name: String,
    config: Config,
    shards: u16,
    /// Cutting what is sent must not change what is received.
    pub may_be_cut: bool,
    papers: Papers,
    lines: Vec<Line>,
}

/// A line that tells nothing of what clients get.
struct Line {
    number: usize,
    text: String,
    act: Option<Act>,
}

/// What somebody does, or time.
enum Act {
    Open { client: String, door: Door, shard: usize },
    Send { client: String, lines: Vec<String> },
    Post { client: String, path: String, json: String },
    Say { client: String, text: String },
    Eof { client: String },
    Reset { client: String },
    Take { client: String, room: Option<usize> },
    Publish { times: usize, channel: String, content_type: String, event: String, data: String },
    Answer { question: usize, allow: bool },
    HostSleeps(bool),
    HoldMail(bool),
    Drain,
    PassUntil(u64),
}

/// Says where a panic came from, be it the transcript's fault or an engine's.
struct Place<'a> {
    name: &'a str,
    line: usize,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("at {}.txt line {}", self.name, self.line);
        }
    }
}

/// What clients have received after an act.
pub struct Step {
    /// Where the act stands.
    pub line: usize,
    pub clients: Vec<Seen>,
}

/// What one client has received since it came.
pub struct Seen {
    pub name: String,
    pub stream: Vec<u8>,
    pub shut: bool,
    pub closed: bool,
}

impl Seen {
    /// Whether it means the same, however it was put in chunks.
    pub fn means(&self, other: &Seen) -> bool {
        let same =
            self.stream == other.stream || notation::without_chunks(&self.stream) == notation::without_chunks(&other.stream);
        same && self.shut == other.shut && self.closed == other.closed
    }
}

impl Transcript {
    /// Reads a transcript; panics, naming the line, if it is none.
    pub fn parse(name: &str, text: &str) -> Transcript {
        let mut place = Place { name, line: 0 };
        let mut config = Config::default();
        for (name, value) in OPTIONS {
            config.set(name, value).expect("our own options are right");
        }
        let mut transcript = Transcript {
            name: name.to_string(),
            config,
            shards: 1,
            may_be_cut: true,
            papers: Papers::default(),
            lines: Vec::new(),
        };
        let mut told = false;
        for (at, line) in text.lines().enumerate() {
            let number = at + 1;
            place.line = number;
            if tells(line) {
                told = true;
                continue;
            }
            let act = match line.split_once(' ') {
                _ if line.is_empty() || line.starts_with('#') => None,
                Some(("@", options)) => transcript.set(options),
                Some(("shards", count)) => {
                    transcript.shards = count.parse().expect("a count of shards");
                    None
                }
                Some(("home", words)) => transcript.check_home(words),
                Some(("token" | "key" | "name", _)) => {
                    transcript.papers.add(line).unwrap_or_else(|| panic!("{line:?} is nothing to be shown"));
                    None
                }
                _ => Some(act(line).unwrap_or_else(|| panic!("{line:?} is no act"))),
            };
            transcript.push(Line { number, text: line.to_string(), act }, told);
            told = false;
        }
        if let Err(error) = transcript.config.check() {
            panic!("{error}");
        }
        transcript
    }

    fn set(&mut self, options: &str) -> Option<Act> {
        assert!(self.lines.iter().all(|line| line.act.is_none()), "options stand before all acts");
        if options.starts_with("whole: ") {
            self.may_be_cut = false;
            return None;
        }
        for option in options.split_whitespace() {
            let (name, value) = option.split_once('=').unwrap_or_else(|| panic!("{option} has no value"));
            self.config.set(name, value).unwrap_or_else(|error| panic!("{error}"));
        }
        None
    }

    fn check_home(&self, words: &str) -> Option<Act> {
        let (channel, shard) = words.split_once(' ').unwrap_or((words, ""));
        let home = Engine::home_of(SEED, self.shards, channel).to_string();
        assert!(home == shard, "{channel} is at home on {home}");
        None
    }

    /// Adds a line; one that goes on with the send of the line before takes that over.
    fn push(&mut self, mut line: Line, told: bool) {
        if let Some(Act::Send { client, lines }) = &mut line.act
            && let Some(last) = self.lines.last_mut().filter(|_| !told)
            && let Some(Act::Send { client: sender, lines: before }) = &mut last.act
            && sender == client
        {
            before.append(lines);
            *lines = std::mem::take(before);
            last.act = None;
        }
        self.lines.push(line);
    }

    /// Where each send may be cut to see whether that matters: anywhere, but for the midst of what is shown.
    pub fn cuts(&self) -> Vec<Vec<usize>> {
        let mut sends = Vec::new();
        self.play(Manner::default(), &mut sends, |_, _, _| {});
        sends.iter().map(|bytes| self.papers.places(bytes)).collect()
    }

    /// The transcript with what clients get told as they do.
    pub fn told(&self) -> String {
        let mut text = String::new();
        let mut known: Vec<(usize, bool, bool)> = Vec::new();
        let mut heard = (0, 0);
        self.play(Manner::default(), &mut Vec::new(), |line, world, epochs| {
            text += &format!("{}\n", line.text);
            tell_host(&mut text, world, &mut heard);
            known.resize(world.clients.len(), (0, false, false));
            for (client, known) in world.clients.iter().zip(&mut known) {
                tell(&mut text, client, known, epochs, world.now().unix_ms);
            }
        });
        text
    }

    /// What clients have received after each act.
    pub fn steps(&self, manner: Manner) -> Vec<Step> {
        let mut steps = Vec::new();
        self.play(manner, &mut Vec::new(), |line, world, _| {
            if line.act.is_some() {
                let clients = world.clients.iter().map(seen).chain([heard(world)]).collect();
                steps.push(Step { line: line.number, clients });
            }
        });
        steps
    }

    /// Acts it out; `watch` is shown the world after each line.
    fn play(&self, manner: Manner, sends: &mut Vec<Vec<u8>>, mut watch: impl FnMut(&Line, &World, &Epochs)) {
        let mut world = World::new(&self.config, self.shards, manner);
        if !self.papers.is_empty() {
            world.take_keys(&self.config, self.papers.keyring());
        }
        let mut epochs = Epochs::default();
        let mut noted = Vec::new();
        let mut place = Place { name: &self.name, line: 0 };
        for line in &self.lines {
            place.line = line.number;
            if let Some(act) = &line.act {
                perform(act, &mut world, &self.papers, &epochs, sends);
                note_epochs(&mut epochs, &mut noted, &world);
            }
            watch(line, &world, &epochs);
        }
    }
}

/// Notes the epochs in what was received since it was last `noted` how much that is.
fn note_epochs(epochs: &mut Epochs, noted: &mut Vec<usize>, world: &World) {
    noted.resize(world.clients.len(), 0);
    for (client, noted) in world.clients.iter().zip(noted) {
        if *noted < client.received.len() {
            epochs.note(&client.received, *noted);
            *noted = client.received.len();
        }
    }
}

fn perform(act: &Act, world: &mut World, papers: &Papers, epochs: &Epochs, sends: &mut Vec<Vec<u8>>) {
    let mut send = |world: &mut World, client: &str, bytes: Vec<u8>| {
        world.send(world.client(client), &bytes);
        sends.push(bytes);
    };
    match act {
        Act::Open { client, door, shard } => world.open(client, *door, *shard),
        Act::Send { client, lines } => {
            let bytes = lines.iter().flat_map(|line| notation::read(&papers.show(line), epochs)).collect::<Vec<u8>>();
            send(world, client, bytes);
        }
        Act::Post { client, path, json } => {
            let (path, json) = (papers.show(path), notation::unescape(&papers.show(json), epochs));
            let fields = "Host: example.org\r\nContent-Type: application/json";
            let head = format!("POST {path} HTTP/1.1\r\n{fields}\r\nContent-Length: {}\r\n\r\n", json.len());
            send(world, client, [head.into_bytes(), json].concat());
        }
        Act::Say { client, text } => send(world, client, text_frame(&notation::unescape(&papers.show(text), epochs))),
        Act::Eof { client } => world.eof(world.client(client)),
        Act::Reset { client } => world.reset(world.client(client)),
        Act::Take { client, room } => world.take(world.client(client), *room),
        Act::Publish { times, channel, content_type, event, data } => {
            let data = notation::unescape(data, epochs);
            let unix_ms = world.now().unix_ms;
            for _ in 0..*times {
                world.publish(&Parts { channel, content_type, event, data: &data, unix_ms });
            }
        }
        Act::Answer { question, allow } => world.answer(world.host.question(*question), *allow),
        Act::HostSleeps(sleeps) => world.host_sleeps(*sleeps),
        Act::HoldMail(held) => world.hold_mail(*held),
        Act::Drain => world.drain(),
        Act::PassUntil(ms) => world.pass_until(*ms),
    }
}

/// A message as a client sends it on its WebSocket, under a mask that changes nothing.
pub fn text_frame(text: &[u8]) -> Vec<u8> {
    let length = match text.len() {
        short @ ..126 => vec![0x80 | short as u8],
        long => [&[0xfe][..], &u16::try_from(long).expect("a short text").to_be_bytes()].concat(),
    };
    [&[0x81][..], &length, &[0; 4], text].concat()
}

/// Whether a line tells what a client gets.
fn tells(line: &str) -> bool {
    let said = line.split_once(' ').map_or("", |(_, said)| said);
    !line.starts_with('#') && (said == "<" || said.starts_with("< ") || said.starts_with('!'))
}

fn act(line: &str) -> Option<Act> {
    if let Some((client, rest)) = line.split_once(" posts ")
        && let Some((path, json)) = rest.split_once(' ')
    {
        return Some(Act::Post { client: client.to_string(), path: path.to_string(), json: json.to_string() });
    }
    if let Some((client, text)) = line.split_once(" says ").filter(|(client, _)| !client.contains(' ')) {
        return Some(Act::Say { client: client.to_string(), text: text.to_string() });
    }
    if let Some((client, "") | (client, " ")) = line.split_once(" >").filter(|(client, _)| !client.contains(' ')) {
        return Some(Act::Send { client: client.to_string(), lines: vec![String::new()] });
    }
    if let Some((client, text)) = line.split_once(" > ").filter(|(client, _)| !client.contains(' ')) {
        return Some(Act::Send { client: client.to_string(), lines: vec![text.to_string()] });
    }
    if let Some((labels, data)) = line.split_once(" |").filter(|(labels, _)| labels.contains("publish ")) {
        return publish(labels, data.strip_prefix(' ').unwrap_or(data));
    }
    match line.split(' ').collect::<Vec<&str>>()[..] {
        ["open", client, door] => Some(Act::Open { client: client.to_string(), door: named_door(door)?, shard: 0 }),
        ["open", client, door, "on", shard] => {
            Some(Act::Open { client: client.to_string(), door: named_door(door)?, shard: shard.parse().ok()? })
        }
        ["=", time] => Some(Act::PassUntil(milliseconds(time)?)),
        ["drain"] => Some(Act::Drain),
        ["host", "allows", question] => Some(Act::Answer { question: question.parse().ok()?, allow: true }),
        ["host", "denies", question] => Some(Act::Answer { question: question.parse().ok()?, allow: false }),
        ["host", "sleeps"] => Some(Act::HostSleeps(true)),
        ["host", "wakes"] => Some(Act::HostSleeps(false)),
        ["hold", "mail"] => Some(Act::HoldMail(true)),
        ["pass", "mail"] => Some(Act::HoldMail(false)),
        [client, "eof"] => Some(Act::Eof { client: client.to_string() }),
        [client, "reset"] => Some(Act::Reset { client: client.to_string() }),
        [client, "takes", room] => Some(Act::Take { client: client.to_string(), room: Some(room.parse().ok()?) }),
        [client, "ready"] => Some(Act::Take { client: client.to_string(), room: None }),
        _ => None,
    }
}

fn publish(labels: &str, data: &str) -> Option<Act> {
    let (times, labels) = labels.split_once("publish ")?;
    let times = if times.is_empty() { 1 } else { times.strip_suffix(" times ")?.parse().ok()? };
    let mut words = labels.split(' ');
    let channel = words.next()?.to_string();
    let (mut content_type, mut event) = (String::new(), String::new());
    for word in words {
        match word.split_once('=')? {
            ("type", value) => content_type = value.to_string(),
            ("event", value) => event = value.to_string(),
            _ => return None,
        }
    }
    Some(Act::Publish { times, channel, content_type, event, data: data.to_string() })
}

fn named_door(name: &str) -> Option<Door> {
    match name {
        "public" => Some(Door::Public),
        "loopback" => Some(Door::PublicLoopback),
        "private" => Some(Door::Private),
        "private-loopback" => Some(Door::PrivateLoopback),
        "control" => Some(Door::Control),
        _ => None,
    }
}

/// The same in whole seconds.
pub fn seconds(text: &str) -> Option<u64> {
    milliseconds(text).map(|ms| ms / 1000)
}

/// `1.5s`, `250ms`, `2m`, `1h`.
fn milliseconds(text: &str) -> Option<u64> {
    let units = [("ms", 1.0), ("s", 1_000.0), ("m", 60_000.0), ("h", 3_600_000.0)];
    let (number, unit) = units.iter().find_map(|(name, unit)| text.strip_suffix(name).zip(Some(unit)))?;
    number.parse::<f64>().ok().map(|number| (number * unit).round() as u64)
}

/// Writes what is new with a client since what was `known` of it: bytes, end, close.
fn tell(text: &mut String, client: &Client, known: &mut (usize, bool, bool), epochs: &Epochs, unix_ms: u64) {
    let name = &client.name;
    for line in notation::write(&client.received[known.0..], epochs, unix_ms) {
        *text += format!("{name} < {line}").trim_end();
        text.push('\n');
    }
    if client.shut && !known.1 {
        *text += &format!("{name} !shutdown\n");
    }
    if client.closed && !known.2 {
        *text += &format!("{name} !close\n");
    }
    *known = (client.received.len(), client.shut, client.closed);
}

/// Writes what the program around the server heard since it had heard so many events, and so many questions.
fn tell_host(text: &mut String, world: &World, (events, questions): &mut (usize, usize)) {
    for event in &world.host.heard[*events..] {
        *questions += usize::from(event.kind == EventKind::Subscribe);
        *text += &format!("host < {}\n", event_line(event, *questions, world));
    }
    *events = world.host.heard.len();
}

fn event_line(event: &Event, question: usize, world: &World) -> String {
    let (channel, content_type, data) = (event.channel(), event.content_type(), notation::escape(event.data()));
    match event.kind {
        EventKind::Subscribe => format!("subscribe {question} {} {channel} {}", world.client_of(event), event.request()),
        EventKind::Publish => {
            format!("publish {} {channel} {} {content_type} | {data}", world.client_of(event), event.request())
        }
        EventKind::Subscribed => format!("subscribed {} {channel}", world.client_of(event)),
        EventKind::Unsubscribed => format!("unsubscribed {} {channel}", world.client_of(event)),
        EventKind::Gone => format!("gone {}", world.client_of(event)),
        EventKind::Log => format!("log {data}"),
        EventKind::Overflow => format!("overflow {data}"),
        EventKind::Failed => format!("failed {data}"),
        EventKind::Joined => format!("joined {channel} {data}"),
        EventKind::Left => format!("left {channel} {data}"),
    }
}

/// What the program around the server heard, as if it were a client.
fn heard(world: &World) -> Seen {
    let mut text = String::new();
    tell_host(&mut text, world, &mut (0, 0));
    Seen { name: "host".to_string(), stream: text.into_bytes(), shut: false, closed: false }
}

fn seen(client: &Client) -> Seen {
    Seen { name: client.name.clone(), stream: client.received.clone(), shut: client.shut, closed: client.closed }
}
