//! How bytes are written down in a transcript.
//!
//! ```text
//! text            a line that ends with CR LF
//! text\n          a line that ends with LF
//! text\           a line that does not end, or where another answer begins on it
//! \r \t \\ \$ \xff  bytes that would not show
//! \{x*600\}       600 times the same; \{/\#,*3\} is /0,/1,/2,
//! Date: now       the right date
//! (fields)        three fields that every answer to a reader carries, see FIELDS
//! $A-3            message 3 of the first epoch that was seen; $B is the second, and so on
//! $a              the first Bayeux client id that was seen; $b is the second, and so on
//! $1              the first browser's cookie that was seen; $2 is the second, and so on
//! ```

use std::time::{Duration, UNIX_EPOCH};

/// What stands for [`FIELDS`].
const FIELDS_SHORT: &str = "(fields)";
/// The fields that every answer to a reader carries, one after the other.
const FIELDS: [&str; 3] = [
    "X-Content-Type-Options: nosniff",
    "Access-Control-Allow-Origin: *",
    "Access-Control-Expose-Headers: ETag, Last-Modified, Date, Encke-Channel, Encke-Event, Encke-Gap",
];
/// So many equal letters are not worth writing down.
const LONG_RUN: usize = 30;
/// What an answer begins with.
const ANSWER: &[u8] = b"HTTP/1.1 ";
const EPOCH_CHARS: usize = 12;

/// What stands before a client id, and how long that is.
const CLIENT: &[u8] = b"\"clientId\":\"";
const CLIENT_CHARS: usize = 44;

/// The same for a browser's cookie.
const BROWSER: &[u8] = b"BAYEUX_BROWSER=";
const BROWSER_CHARS: usize = 36;

/// So far behind its beginning any of these has ended.
const SEEN_WITHIN: usize = CLIENT.len() + CLIENT_CHARS;

/// The epochs that were seen, by the order in which they came; the client ids; the browsers.
#[derive(Default)]
pub struct Epochs(Vec<String>, Vec<String>, Vec<String>);

impl Epochs {
    /// Notes what epochs stand in `bytes`, of which so many were `known` before.
    pub fn note(&mut self, bytes: &[u8], known: usize) {
        for at in known.saturating_sub(SEEN_WITHIN)..bytes.len() {
            if let Some(epoch) = epoch_at(bytes, at)
                && !self.0.contains(&epoch)
            {
                self.0.push(epoch);
            }
            note(&mut self.1, &bytes[at..], CLIENT, CLIENT_CHARS);
            note(&mut self.2, &bytes[at..], BROWSER, BROWSER_CHARS);
        }
    }

    /// `epoch-` to `$A-`.
    fn shorten(&self, mut line: String) -> String {
        for (epoch, letter) in self.0.iter().zip('A'..='Z') {
            line = line.replace(&format!("{epoch}-"), &format!("${letter}-"));
        }
        for (client, letter) in self.1.iter().zip('a'..='z') {
            line = line.replace(client, &format!("${letter}"));
        }
        for (browser, digit) in self.2.iter().zip('1'..='9') {
            line = line.replace(browser, &format!("${digit}"));
        }
        line
    }

    fn named(&self, letter: char) -> Option<&str> {
        let epoch = ('A'..='Z').position(|known| known == letter).and_then(|place| self.0.get(place));
        let client = || ('a'..='z').position(|known| known == letter).and_then(|place| self.1.get(place));
        let browser = || ('1'..='9').position(|known| known == letter).and_then(|place| self.2.get(place));
        epoch.or_else(client).or_else(browser).map(String::as_str)
    }
}

/// Notes the `chars` characters behind `prefix`, if `bytes` begin with that.
fn note(seen: &mut Vec<String>, bytes: &[u8], prefix: &[u8], chars: usize) {
    let Some(text) = bytes.strip_prefix(prefix).and_then(|rest| rest.get(..chars)) else { return };
    let text = String::from_utf8_lossy(text).into_owned();
    if !seen.contains(&text) {
        seen.push(text);
    }
}

/// The epoch of an id that begins at `at`.
fn epoch_at(bytes: &[u8], at: usize) -> Option<String> {
    let digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'v');
    let text = bytes.get(at..at + EPOCH_CHARS).filter(|text| text.iter().all(digit))?;
    let begins = at == 0 || !bytes[at - 1].is_ascii_alphanumeric();
    let goes_on = matches!(bytes.get(at + EPOCH_CHARS..)?, [b'-', b'0'..=b'9', ..]);
    (begins && goes_on).then(|| String::from_utf8_lossy(text).into_owned())
}

/// Received bytes as lines of a transcript.
pub fn write(bytes: &[u8], epochs: &Epochs, unix_ms: u64) -> Vec<String> {
    let date = format!("Date: {}", httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(unix_ms / 1000)));
    let mut lines: Vec<String> = Vec::new();
    for line in bytes.split_inclusive(|&byte| byte == b'\n').flat_map(split_answer) {
        let line = epochs.shorten(write_line(line));
        lines.push(if line == date { "Date: now".to_string() } else { line });
        if lines.ends_with(&FIELDS.map(str::to_string)) {
            lines.truncate(lines.len() - FIELDS.len());
            lines.push(FIELDS_SHORT.to_string());
        }
    }
    lines
}

/// A body without a line end, and the answer behind it.
fn split_answer(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let begins = |&at: &usize| matches!(line[at..].strip_prefix(ANSWER), Some([b'1'..=b'9', ..]));
    let (before, answer) = line.split_at((0..line.len()).find(begins).unwrap_or(0));
    [before, answer].into_iter().filter(|part| !part.is_empty())
}

fn write_line(line: &[u8]) -> String {
    match line {
        [text @ .., b'\r', b'\n'] => match escape(text) {
            // Spaces at the end of a line would not show.
            text if text.ends_with(' ') => {
                let kept = text.trim_end_matches(' ').len();
                format!("{}{}", &text[..kept], "\\x20".repeat(text.len() - kept))
            }
            text => text,
        },
        [text @ .., b'\n'] => escape(text) + "\\n",
        text => escape(text) + "\\",
    }
}

/// Bytes as a part of a line.
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        let mut valid = chunk.valid();
        while let Some(letter) = valid.chars().next() {
            let rest = valid.trim_start_matches(letter);
            let count = (valid.len() - rest.len()) / letter.len_utf8();
            if (letter.is_ascii_alphanumeric() || letter == ' ') && count >= LONG_RUN {
                text += &format!("\\{{{letter}*{count}\\}}");
                valid = rest;
                continue;
            }
            valid = &valid[letter.len_utf8()..];
            match letter {
                '\r' => text += "\\r",
                '\t' => text += "\\t",
                '\\' => text += "\\\\",
                '$' => text += "\\$",
                '\0'..='\x1f' | '\x7f' => text += &format!("\\x{:02x}", letter as u32),
                _ => text.push(letter),
            }
        }
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

/// A transcript's line as the bytes to be sent.
pub fn read(line: &str, epochs: &Epochs) -> Vec<u8> {
    let (text, end) = match line.strip_suffix('\\') {
        Some(text) if !text.ends_with('\\') => (text, ""),
        _ if line.ends_with("\\n") && !line.ends_with("\\\\n") => (line, ""),
        _ => (line, "\r\n"),
    };
    let mut bytes = unescape(text, epochs);
    bytes.extend_from_slice(end.as_bytes());
    bytes
}

/// Undoes [`escape`], and what only senders write.
pub fn unescape(text: &str, epochs: &Epochs) -> Vec<u8> {
    let bad = |what: &str| -> ! { panic!("{what} in {text:?}") };
    let mut bytes = Vec::new();
    let mut rest = text.chars();
    while let Some(letter) = rest.next() {
        match letter {
            '$' => match rest.next().and_then(|letter| epochs.named(letter)) {
                Some(epoch) => bytes.extend_from_slice(epoch.as_bytes()),
                None => bad("an epoch, a client or a browser that was not seen"),
            },
            '\\' => match rest.next() {
                Some('r') => bytes.push(b'\r'),
                Some('n') => bytes.push(b'\n'),
                Some('t') => bytes.push(b'\t'),
                Some(plain @ ('\\' | '$')) => bytes.push(plain as u8),
                Some('x') => {
                    let digits: String = rest.by_ref().take(2).collect();
                    bytes.push(u8::from_str_radix(&digits, 16).unwrap_or_else(|_| bad("no byte")));
                }
                Some('{') => {
                    let (inside, behind) = repetition(rest.as_str()).unwrap_or_else(|| bad("no end of a repetition"));
                    let (what, count) = inside.rsplit_once('*').unwrap_or_else(|| bad("no repetition"));
                    let count = count.parse().unwrap_or_else(|_| bad("no count"));
                    match what.contains("\\#") {
                        false => bytes.extend(unescape(what, epochs).repeat(count)),
                        true => (0..count).for_each(|at| bytes.extend(unescape(&what.replace("\\#", &at.to_string()), epochs))),
                    }
                    rest = behind.chars();
                }
                _ => bad("an unknown escape"),
            },
            _ => bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

/// What stands before the end of a repetition, which may have others in it, and what stands behind.
fn repetition(text: &str) -> Option<(&str, &str)> {
    let (mut depth, mut at) = (0, 0);
    loop {
        at += text[at..].find('\\')?;
        match text[at..].chars().nth(1)? {
            '{' => depth += 1,
            '}' if depth == 0 => return Some((&text[..at], &text[at + 2..])),
            '}' => depth -= 1,
            _ => {}
        }
        at += 2;
    }
}

/// Takes the chunks' borders out of a stream of responses: whether news came in one chunk or in two depends on
/// when it came, and means nothing. A chunk's size is written with eight digits, which nothing else begins a line with.
pub fn without_chunks(mut bytes: &[u8]) -> Vec<u8> {
    let mut plain: Vec<u8> = Vec::new();
    while !bytes.is_empty() {
        if plain.is_empty() || plain.ends_with(b"\n") {
            let mut joined = Vec::new();
            while let Some(size) = chunk_size(bytes) {
                let data = &bytes[10..];
                joined.extend_from_slice(&data[..size.min(data.len())]);
                bytes = data.get(size + 2..).unwrap_or_default();
            }
            plain.extend(joined);
        }
        let line = bytes.iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |end| end + 1);
        plain.extend_from_slice(&bytes[..line]);
        bytes = &bytes[line..];
    }
    plain
}

fn chunk_size(bytes: &[u8]) -> Option<usize> {
    let line = bytes.get(..10).filter(|line| line.ends_with(b"\r\n"))?;
    usize::from_str_radix(std::str::from_utf8(&line[..8]).ok()?, 16).ok()
}
