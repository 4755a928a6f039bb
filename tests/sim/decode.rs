//! What a client makes of a response's body, for each transport but the event stream, which stands beside HTTP.
//!
//! Written from the descriptions alone, sharing no line with the code under test, and strict.

use super::picture;
use super::socket::{Frames, Said};
use super::wire::{Event, Events};
use serde_json::Value;

/// How one event of a `stream` is told from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Separator {
    Line,
    Length,
    Text(&'static str),
}

/// What a stream tells.
#[derive(Debug)]
pub enum News {
    /// Of an event stream.
    Event(Event),
    /// An envelope, or what a transport of envelopes says of itself.
    Json(Value),
    /// Published bytes alone, under their type where that is told.
    Plain { media_type: Option<String>, bytes: Vec<u8> },
    /// The rows of a picture.
    Picture(Vec<String>),
    /// A WebSocket's server wants to know whether anybody is there.
    Ping(Vec<u8>),
    /// A WebSocket's server closes it, or agrees that it is closed.
    Close,
}

/// Takes a stream apart, in whatever pieces it comes.
pub enum Decoder {
    /// Nothing may come.
    Nothing,
    Sse(Events),
    Stream {
        separator: Separator,
        raw: bool,
        bytes: Vec<u8>,
    },
    Iframe {
        bytes: Vec<u8>,
        begun: bool,
    },
    Parts {
        delimiter: Vec<u8>,
        part: Option<String>,
        bytes: Vec<u8>,
        over: bool,
        /// They replace each other, and none is ever empty.
        replaced: bool,
    },
    Gif(picture::Frames),
    Socket {
        frames: Frames,
        raw: bool,
    },
}

impl Decoder {
    pub fn stream(separator: Separator, raw: bool) -> Decoder {
        Decoder::Stream { separator, raw, bytes: Vec::new() }
    }

    pub fn iframe() -> Decoder {
        Decoder::Iframe { bytes: Vec::new(), begun: false }
    }

    /// `media_type` is that of the whole body, which is to be of this `kind`.
    pub fn parts(media_type: &str, kind: &str) -> Decoder {
        let boundary = media_type.strip_prefix(kind).and_then(|rest| rest.strip_prefix("; boundary=")).expect("a multipart body");
        Decoder::Parts {
            delimiter: format!("\r\n--{boundary}").into_bytes(),
            part: None,
            bytes: Vec::new(),
            over: false,
            replaced: kind == "multipart/x-mixed-replace",
        }
    }

    /// A picture of this size.
    pub fn gif(media_type: &str, size: (u16, u16)) -> Decoder {
        assert_eq!(media_type, "image/gif");
        Decoder::Gif(picture::Frames::new(size))
    }

    pub fn socket(raw: bool, deflate: bool) -> Decoder {
        Decoder::Socket { frames: Frames::new(deflate), raw }
    }

    pub fn take(&mut self, piece: &[u8]) -> Vec<News> {
        match self {
            Decoder::Nothing => panic!("a body where none is read"),
            Decoder::Sse(events) => events.take(piece).into_iter().map(News::Event).collect(),
            Decoder::Stream { separator, raw, bytes } => {
                bytes.extend(piece);
                let events = std::iter::from_fn(|| next_event(bytes, *separator));
                events.filter_map(|event| if *raw { Some(raw_news(event)) } else { json_news(&event) }).collect()
            }
            Decoder::Iframe { bytes, begun } => {
                bytes.extend(piece);
                let lines = std::iter::from_fn(|| until(bytes, b"\n"));
                lines.filter_map(|line| script_news(&line, begun)).collect()
            }
            Decoder::Parts { delimiter, part, bytes, over, replaced } => {
                bytes.extend(piece);
                let mut news = Vec::new();
                while let Some(next) = next_part(delimiter, part, bytes, over) {
                    assert!(!*replaced || *over || !next.is_empty_part(), "an empty part breaks the picture that it replaces");
                    news.extend(next.news());
                }
                assert!(!*over || bytes.is_empty(), "bytes behind the last part");
                news
            }
            Decoder::Gif(frames) => frames.take(piece).into_iter().map(News::Picture).collect(),
            Decoder::Socket { frames, raw } => {
                frames.take(piece).into_iter().filter_map(|said| socket_news(said, *raw)).collect()
            }
        }
    }
}

/// The next event's bytes, without what parts it from others.
fn next_event(bytes: &mut Vec<u8>, separator: Separator) -> Option<Vec<u8>> {
    match separator {
        Separator::Line => until(bytes, b"\n"),
        Separator::Text(text) => until(bytes, text.as_bytes()),
        Separator::Length => {
            // A preamble is white space.
            let blank = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            let end = blank + bytes[blank..].iter().position(|&byte| byte == b'\n')?;
            let digits = std::str::from_utf8(&bytes[blank..end]).expect("a length is digits");
            let length: usize = digits.parse().unwrap_or_else(|_| panic!("a length: {digits:?}"));
            if bytes.len() < end + 1 + length {
                return None;
            }
            bytes.drain(..=end);
            Some(bytes.drain(..length).collect())
        }
    }
}

/// An envelope or a notice; an empty event means nothing.
fn json_news(event: &[u8]) -> Option<News> {
    if event.iter().all(u8::is_ascii_whitespace) {
        return None;
    }
    let json = serde_json::from_slice(event);
    Some(News::Json(json.unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(event)))))
}

/// Nothing that is published here looks like a notice.
fn raw_news(event: Vec<u8>) -> News {
    let json: Option<Value> = serde_json::from_slice(&event).ok();
    match json.filter(|json| ["gap", "end", "heartbeat"].iter().any(|name| json.get(name).is_some())) {
        Some(notice) => News::Json(notice),
        None => News::Plain { media_type: None, bytes: event },
    }
}

/// A line of an endless document: its beginning, or a script that calls what was made there.
fn script_news(line: &[u8], begun: &mut bool) -> Option<News> {
    let line = std::str::from_utf8(line).expect("a document is UTF-8").trim_end_matches(' ');
    if !std::mem::replace(begun, true) {
        assert!(line.starts_with("<!doctype html>") && line.ends_with("</script>"), "a document begins: {line:?}");
        assert_eq!(line.matches("<script>").count(), 1);
        assert!(line.contains("function e(m){parent."));
        return None;
    }
    if line.is_empty() {
        return None;
    }
    let call = line.strip_prefix("<script>e(").and_then(|line| line.strip_suffix(")</script>"));
    let json = call.unwrap_or_else(|| panic!("no script: {line:?}"));
    assert!(!json.contains(['<', '>', '&', '\u{2028}', '\u{2029}']), "what a script must not have in it: {json:?}");
    json_news(json.as_bytes())
}

/// What a step through a body of parts comes to.
enum Part {
    /// What stands before the first part.
    Preamble,
    /// One that was announced to be of a type that nothing was of.
    Empty,
    Full(News),
}

impl Part {
    fn is_empty_part(&self) -> bool {
        matches!(self, Part::Empty)
    }

    fn news(self) -> Option<News> {
        match self {
            Part::Preamble | Part::Empty => None,
            Part::Full(news) => Some(news),
        }
    }
}

/// One step through a body of parts (RFC 2046, section 5.1).
fn next_part(delimiter: &[u8], part: &mut Option<String>, bytes: &mut Vec<u8>, over: &mut bool) -> Option<Part> {
    let at = find(bytes, delimiter)?;
    let behind = &bytes[at + delimiter.len()..];
    let last = behind.starts_with(b"--\r\n");
    let fields = if last { 4 } else { find(behind, b"\r\n\r\n")? + 4 };
    let head = String::from_utf8(behind[..fields].to_vec()).expect("fields are ASCII");
    let data = bytes[..at].to_vec();
    bytes.drain(..at + delimiter.len() + fields);
    *over = last;
    let announced = head.strip_prefix("\r\nContent-Type: ").and_then(|rest| rest.strip_suffix("\r\n\r\n"));
    assert!(last || announced.is_some_and(|announced| !announced.contains('\r')), "a part's fields: {head:?}");
    let media_type = std::mem::replace(part, announced.map(str::to_owned));
    Some(match media_type {
        None => {
            assert!(data.iter().all(|&byte| byte == b' '), "a preamble is blank");
            Part::Preamble
        }
        Some(_) if data.is_empty() => Part::Empty,
        Some(media_type) if media_type == "application/vnd.encke.notice+json" => json_news(&data).map_or(Part::Empty, Part::Full),
        media_type => Part::Full(News::Plain { media_type, bytes: data }),
    })
}

/// What a WebSocket's server says; a pong means nothing to anybody else.
fn socket_news(said: Said, raw: bool) -> Option<News> {
    match said {
        Said::Text(text) if raw => Some(raw_news(text.into_bytes())),
        Said::Text(text) => json_news(text.as_bytes()),
        Said::Binary(bytes) => {
            assert!(raw && std::str::from_utf8(&bytes).is_err(), "what is text is sent as text");
            Some(News::Plain { media_type: None, bytes })
        }
        Said::Ping(data) => Some(News::Ping(data)),
        Said::Pong => None,
        Said::Close => Some(News::Close),
    }
}

/// The batch in a script that calls `callback` with it.
pub fn jsonp<'a>(body: &'a [u8], callback: &str) -> &'a [u8] {
    let call = body.strip_prefix(format!("/**/{callback}(").as_bytes()).and_then(|rest| rest.strip_suffix(b");"));
    let json = call.unwrap_or_else(|| panic!("no call of {callback}: {:?}", String::from_utf8_lossy(body)));
    assert!(!json.iter().any(|byte| b"<>&\n".contains(byte)));
    json
}

/// What a page shows: a channel and a text each, the newest first; `None` for bytes that are no text.
pub fn page(body: &[u8]) -> Vec<(String, Option<String>)> {
    let body = std::str::from_utf8(body).expect("a page is UTF-8");
    let (_, list) = body.split_once("<ol>").expect("a list");
    let (list, behind) = list.split_once("</ol>").expect("the end of a list");
    assert_eq!(list.is_empty(), behind.contains("nothing yet"));
    let item = |item: &str| {
        let (channel, shown) = item.strip_prefix("<small>").and_then(|item| item.split_once("</small> ")).expect("a channel");
        let bytes = shown.strip_prefix("<small>").is_some_and(|shown| shown.contains(" bytes of "));
        (plain(channel), (!bytes).then(|| plain(shown)))
    };
    list.split("<li>").skip(1).map(item).collect()
}

/// HTML's references as what they stand for.
fn plain(html: &str) -> String {
    assert!(!html.contains(['<', '>', '"', '\'']), "markup in a text: {html:?}");
    let references = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    references.iter().fold(html.to_owned(), |html, (reference, letter)| html.replace(reference, letter))
}

/// Takes what stands before `end`, and `end`.
fn until(bytes: &mut Vec<u8>, end: &[u8]) -> Option<Vec<u8>> {
    let at = find(bytes, end)?;
    let before = bytes.drain(..at).collect();
    bytes.drain(..end.len());
    Some(before)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
