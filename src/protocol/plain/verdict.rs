//! What clients found to work where they are, counted for the operator: `GET /probe?verdict=stream.4096`.

use crate::base::error::Reject;

/// All that a client may find: how it is told, the transport, and the padding that opened the buffers on the way.
pub const VERDICTS: [(&str, &str, u32); 10] = [
    ("websocket", "websocket", 0),
    ("stream", "stream", 0),
    ("stream.4096", "stream", 4_096),
    ("stream.8192", "stream", 8_192),
    ("stream.16384", "stream", 16_384),
    ("stream.32768", "stream", 32_768),
    ("stream.65536", "stream", 65_536),
    ("long-poll", "long-poll", 0),
    ("jsonp", "jsonp", 0),
    ("poll", "poll", 0),
];

/// One of [`VERDICTS`], by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict(usize);

impl Verdict {
    /// Reads what a client tells.
    pub(super) fn parse(text: &str) -> Result<Verdict, Reject> {
        let place = VERDICTS.iter().position(|(told, ..)| *told == text);
        place.map(Verdict).ok_or_else(|| {
            let all = VERDICTS.map(|(told, ..)| told).join(", ");
            Reject::new(400, "bad_query", format!("verdict is one of {all}"))
        })
    }

    /// Its place in the table.
    pub(crate) fn place(self) -> usize {
        self.0
    }
}
