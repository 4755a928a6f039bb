//! What a request tells of the browser that it comes from, and how that could be told to know itself again.

use crate::http::Request;
use crate::protocol::bayeux::Browser;

/// A browser's cookies, as far as they matter here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Jar {
    /// The browser, if it brings a cookie that could be ours.
    pub(crate) browser: Option<Browser>,
    /// Whether it came over TLS, as far as a server in front says: a cookie must then never go another way.
    pub(crate) secure: bool,
}

impl Jar {
    pub(super) fn read(request: &Request<'_, '_>) -> Jar {
        // Each server on the way adds a word; the first speaks of the browser's own connection.
        let proto = request.header("X-Forwarded-Proto").unwrap_or_default();
        let proto = proto.split(|&byte| byte == b',').next().unwrap_or_default().trim_ascii();
        Jar { browser: Browser::find(request.headers("Cookie")), secure: proto.eq_ignore_ascii_case(b"https") }
    }
}
