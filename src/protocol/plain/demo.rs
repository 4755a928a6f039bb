//! The demonstrations: pages under `/demo`, each of which shows its own source, and the one form that works without script.
//!
//! They are for a newcomer's own machine, and grant nothing: what a page may publish, the gate decides as for any other.
//!
//! ```text
//! GET  /demo  /demo/<name>           a page; with ?source as the text that it is
//! GET  /                             the start page, with all of them linked
//! POST /demo/ask/<job>               somebody looks: let there be prices, pictures, or a bar that fills
//! POST /demo/say  name=…&text=…      a form: a line for the channel of the picture, and back to the form
//! ```

use super::command::{Command, Manner, PUBLISH, Publish, READ, allow};
use super::file::{Asked, File};
use super::gate;
use crate::base::door::Door;
use crate::base::error::Reject;
use crate::base::name::Name;
use crate::http::{Method, Request, query};
use std::sync::LazyLock;

/// What the demonstration without script speaks on.
const SAID: &str = "/demo/gif";
/// Where its form is, and where whoever has sent it is led.
pub(super) const FORM: &str = "/demo/form";
/// What the program that has demonstrations does when a page asks for it.
const JOBS: [&str; 3] = ["ticker", "pictures", "progress"];
/// The longest name in a line.
const NAME_CHARS_MAX: usize = 20;
/// The longest text of a line.
const TEXT_CHARS_MAX: usize = 200;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// Pages run what they bring along and the client, and talk to their own server, nothing else.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; \
                                 connect-src 'self'; frame-src 'self'; img-src 'self' data:; \
                                 base-uri 'none'; form-action 'self'; frame-ancestors 'self'";

/// A page: what all of them begin with, and its own text.
macro_rules! page {
    ($file:literal) => {
        concat!(include_str!("demo/head.html"), include_str!($file))
    };
}

/// Each path below `/demo`, what it is, and its text.
const FILES: [(&str, &str, &str); 10] = [
    ("", HTML, page!("demo/index.html")),
    ("/chat", HTML, page!("demo/chat.html")),
    ("/progress", HTML, page!("demo/progress.html")),
    ("/slides", HTML, page!("demo/slides.html")),
    ("/ticker", HTML, page!("demo/ticker.html")),
    ("/sheet", HTML, page!("demo/sheet.html")),
    ("/pictures", HTML, page!("demo/pictures.html")),
    ("/gif", HTML, page!("demo/gif.html")),
    ("/form", HTML, page!("demo/form.html")),
    ("/style.css", CSS, include_str!("demo/style.css")),
];

static MADE: LazyLock<[File; FILES.len()]> = LazyLock::new(|| FILES.map(|(_, _, text)| File::new(text)));

/// A file of the demonstrations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Demo {
    /// Which of [`FILES`].
    which: usize,
    source: bool,
    pub(super) asked: Asked,
}

impl Demo {
    fn find(request: &Request<'_, '_>, rest: &str) -> Result<Option<Demo>, Reject> {
        let rest = if rest == "/" { "" } else { rest };
        let Some(which) = FILES.iter().position(|(path, ..)| *path == rest) else { return Ok(None) };
        let mut source = false;
        for pair in query::pairs(request.query) {
            source |= pair?.0 == "source";
        }
        Ok(Some(Demo { which, source, asked: Asked::read(request, &MADE[which]) }))
    }

    pub(super) fn file(self) -> &'static File {
        &MADE[self.which]
    }

    /// What its bytes are to be taken for.
    pub(super) fn media_type(self) -> &'static str {
        if self.source { TEXT } else { FILES[self.which].1 }
    }
}

/// What a request that came in by `door` asks of the demonstrations, where the server has them; `None` for anything else.
pub(crate) fn demonstration(request: &Request<'_, '_>, door: Door) -> Result<Option<Command>, Reject> {
    if request.method == Method::Options || !door.is_public() {
        return Ok(None);
    }
    if request.path == "/demo/say" {
        allow(request, &[Method::Post], PUBLISH)?;
        gate::publish(request, door)?;
        let (channel, content_type) = (Name::parse(SAID).ok(), TEXT.into());
        return Ok(Some(Command::Publish(Publish { channel, content_type, event: String::new(), manner: Manner::Form })));
    }
    if let Some(job) = request.path.strip_prefix("/demo/ask/").and_then(|name| JOBS.into_iter().find(|job| *job == name)) {
        allow(request, &[Method::Post], PUBLISH)?;
        // Whoever may read may have something to read: this publishes nothing of the page's own.
        return match gate::is_same_site(request) {
            true => Ok(Some(Command::AskForJob(job))),
            false => Err(Reject::new(403, "forbidden", "only pages of this server ask for its demonstrations")),
        };
    }
    let found = match request.path {
        "/" => return Ok(matches!(request.method, Method::Get | Method::Head).then_some(Command::StartOfDemos)),
        path => path.strip_prefix("/demo").map(|rest| Demo::find(request, rest)).transpose()?.flatten(),
    };
    if found.is_some() {
        allow(request, &[Method::Get, Method::Head], READ)?;
    }
    Ok(found.map(Command::Demo))
}

/// The line that a form's fields make.
pub(super) fn line(body: &[u8]) -> Result<String, Reject> {
    let form = std::str::from_utf8(body).map_err(|_| Reject::new(400, "bad_form", "the form is not UTF-8"))?;
    let (mut name, mut text) = (String::new(), String::new());
    for pair in query::pairs(form) {
        let (field, value) = pair?;
        match &*field {
            "name" => name = value.trim().chars().take(NAME_CHARS_MAX).collect(),
            "text" => text = value.trim().chars().take(TEXT_CHARS_MAX).collect(),
            _ => {}
        }
    }
    if text.is_empty() {
        return Err(Reject::new(400, "bad_form", "the form says nothing: fill in the field text"));
    }
    let name = if name.is_empty() { "someone" } else { &name };
    Ok(format!("{name}: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_a_form_make_a_line() {
        for (form, expected) in [
            ("name=ann&text=salve+amice%21", "ann: salve amice!"),
            ("text=%C3%A4h", "someone: äh"),
            ("name=+&text=+a+&more=1", "someone: a"),
        ] {
            assert_eq!(line(form.as_bytes()).unwrap(), expected, "{form}");
        }
        let long = line(format!("name={}&text={}", "n".repeat(99), "t".repeat(999)).as_bytes()).unwrap();
        assert_eq!(long.len(), NAME_CHARS_MAX + 2 + TEXT_CHARS_MAX);
        for form in [&b"name=ann"[..], b"", b"text=+", b"\xff", b"text=%zz"] {
            assert_eq!(line(form).unwrap_err().status, 400, "{form:?}");
        }
    }

    #[test]
    fn every_page_links_its_source_and_the_shared_style() {
        for (path, media_type, text) in FILES {
            if media_type == HTML && path != "/form" {
                assert!(text.contains("?source\""), "{path}");
            }
            assert!(media_type == CSS || text.contains("href=\"/demo/style.css\""), "{path}");
        }
    }
}
