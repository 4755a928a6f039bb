//! An event stream, read as WHATWG HTML section 9.2.6 says an `EventSource` does.

use std::mem;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub id: String,
    pub name: String,
    pub data: String,
}

/// A stream's bytes to its events.
#[derive(Debug, Default)]
pub struct Events {
    unread: Vec<u8>,
    id: String,
    name: String,
    data: String,
    has_data: bool,
    last_id: String,
    /// How many comments were seen: heartbeats.
    pub comments: u64,
}

impl Events {
    /// What a client that comes back says it saw last: of whole events only.
    pub fn last_id(&self) -> &str {
        &self.last_id
    }

    /// Reads `bytes` and hands each event to `each`, until that returns `false`.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(&Event) -> bool) -> Result<(), String> {
        self.unread.extend_from_slice(bytes);
        let unread = mem::take(&mut self.unread);
        let mut rest = &unread[..];
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let line = std::str::from_utf8(&rest[..end]).map_err(|error| error.to_string())?;
            rest = &rest[end + 1..];
            if let Some(event) = self.line(line)?
                && !each(&event)
            {
                return Ok(());
            }
        }
        self.unread = rest.to_vec();
        Ok(())
    }

    fn line(&mut self, line: &str) -> Result<Option<Event>, String> {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" if line.is_empty() => return Ok(self.dispatch()),
            "" => self.comments += 1,
            "id" => self.id = value.into(),
            "event" => self.name = value.into(),
            "data" if mem::replace(&mut self.has_data, true) => {
                self.data.push('\n');
                self.data.push_str(value);
            }
            "data" => self.data.push_str(value),
            "retry" => {}
            _ => return Err(format!("a line of no known field: {line:?}")),
        }
        Ok(None)
    }

    fn dispatch(&mut self) -> Option<Event> {
        self.last_id.clone_from(&self.id);
        let (name, data) = (mem::take(&mut self.name), mem::take(&mut self.data));
        mem::take(&mut self.has_data).then(|| Event { id: self.id.clone(), name, data })
    }
}

#[test]
fn an_event_is_whole_with_its_blank_line_and_not_before() {
    let mut events = Events::default();
    let mut seen = Vec::new();
    for piece in
        ["retry: 5\nid: e-0\n\n:\n\nid: e-1\nda", "ta: a\ndata: b\n", "\nid: e-2\nevent: x\ndata: \n\nid: e-3\ndata: c\n"]
    {
        events
            .feed(piece.as_bytes(), |event| {
                seen.push(event.clone());
                true
            })
            .unwrap();
    }
    let event = |id: &str, name: &str, data: &str| Event { id: id.into(), name: name.into(), data: data.into() };
    assert_eq!(seen, [event("e-1", "", "a\nb"), event("e-2", "x", "")]);
    assert_eq!((events.last_id(), events.comments), ("e-2", 1));
}
