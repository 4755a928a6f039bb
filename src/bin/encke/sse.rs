//! An event stream as it is read: bytes in, events out, by the rules browsers follow.
//!
//! A line ends with CR LF, LF or CR. A blank line ends an event; one without data is dropped, but its `id` counts.

/// What a stream may owe us before the blank line comes. The server's own bound is far below.
const EVENT_BYTES_MAX: usize = 1 << 30;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its name; empty for a plain message.
    pub name: String,
    /// Its data, lines joined by line feeds.
    pub data: String,
}

/// A stream under way.
#[derive(Debug, Default)]
pub struct EventStream {
    line: Vec<u8>,
    /// Whether the last byte was a CR, whose LF is no line of its own.
    after_return: bool,
    begun: bool,
    event: Event,
    has_data: bool,
    pending_id: Option<String>,
    /// Where to go on after a loss: the newest `id` of an event that ended.
    pub last_id: Option<String>,
    /// How long the server wants clients to wait before they connect again.
    pub retry_ms: Option<u64>,
}

impl EventStream {
    /// Takes bytes as they came and adds the events that they end to `events`. `Err` if one grows without end.
    pub fn feed(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), String> {
        for &byte in bytes {
            match byte {
                b'\n' if self.after_return => self.after_return = false,
                b'\n' | b'\r' => {
                    self.after_return = byte == b'\r';
                    self.end_line(events);
                }
                _ => {
                    self.after_return = false;
                    self.line.push(byte);
                }
            }
        }
        match self.line.len() + self.event.data.len() > EVENT_BYTES_MAX {
            true => Err(format!("an event is longer than {EVENT_BYTES_MAX} bytes")),
            false => Ok(()),
        }
    }

    fn end_line(&mut self, events: &mut Vec<Event>) {
        let bytes = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&bytes);
        let mark = if self.begun { None } else { text.strip_prefix('\u{feff}') };
        self.begun = true;
        match mark.unwrap_or(&text) {
            "" => self.end_event(events),
            line => self.field(line),
        }
    }

    /// `name: value`, `name:value`, `name`, or a comment, which starts with the colon.
    fn field(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.has_data = true;
                self.event.data.push_str(value);
            }
            "event" => self.event.name = value.into(),
            "id" if !value.contains('\0') => self.pending_id = Some(value.into()),
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry_ms = value.parse().ok().or(self.retry_ms);
            }
            _ => {}
        }
    }

    fn end_event(&mut self, events: &mut Vec<Event>) {
        self.last_id = self.pending_id.take().or(self.last_id.take());
        let event = std::mem::take(&mut self.event);
        if std::mem::take(&mut self.has_data) {
            events.push(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> (EventStream, Vec<(String, String)>) {
        let (mut stream, mut events) = (EventStream::default(), Vec::new());
        for piece in pieces {
            stream.feed(piece, &mut events).unwrap();
        }
        (stream, events.into_iter().map(|event| (event.name, event.data)).collect())
    }

    #[test]
    fn fields_are_read_as_a_browser_reads_them() {
        for (text, expected) in [
            ("data: a\n\n", vec![("", "a")]),
            ("data:a\r\ndata: b\r\n\r\n", vec![("", "a\nb")]),
            ("data:  a\r\rdata\r\r", vec![("", " a"), ("", "")]),
            ("event: gap\ndata: {}\n\n", vec![("gap", "{}")]),
            (": a comment\n\ndata: a: b\n\n", vec![("", "a: b")]),
            ("event: lost\n\ndata: a\n\n", vec![("", "a")]),
            ("\u{feff}data: a\n\n", vec![("", "a")]),
            ("data: never ended\n", vec![]),
        ] {
            let (_, events) = read(&[text.as_bytes()]);
            let events: Vec<(&str, &str)> = events.iter().map(|(name, data)| (&**name, &**data)).collect();
            assert_eq!(events, expected, "{text:?}");
        }
    }

    #[test]
    fn every_split_gives_the_same_events() {
        let text = "retry: 1500\r\nid: e-1\r\ndata: caffè\r\n\r\n: beat\n\nevent: x\rdata: 2\r\rid: e-2\n\n".as_bytes();
        let (whole, expected) = read(&[text]);
        assert_eq!((whole.last_id.as_deref(), whole.retry_ms), (Some("e-2"), Some(1_500)));
        assert_eq!(expected.len(), 2);
        for cut in 0..=text.len() {
            let (stream, events) = read(&[&text[..cut], &text[cut..]]);
            assert_eq!((&events, stream.last_id, stream.retry_ms), (&expected, whole.last_id.clone(), whole.retry_ms));
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(read(&bytes).1, expected);
    }

    #[test]
    fn an_id_counts_when_its_event_has_ended() {
        assert_eq!(read(&[b"id: e-1\ndata: a\n\nid: e-2\ndata: b\n"]).0.last_id.as_deref(), Some("e-1"));
        assert_eq!(read(&[b"id: e-1\n\n"]).0.last_id.as_deref(), Some("e-1"));
        assert_eq!(read(&[b"retry: soon\n\n"]).0.retry_ms, None);
    }
}
