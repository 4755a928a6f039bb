//! The client for browsers, as this server hands it out: compressed for whoever takes that, and not at all to whoever
//! has it. It is made from `bindings/browser/src`, and a test compares.

use crate::http::Request;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use std::sync::LazyLock;

/// One of the two files. A browser asks for it with each page: for a while it need not ask at all.
pub(super) const CACHING: &str = "public, max-age=300";

struct File {
    plain: &'static [u8],
    gzipped: Vec<u8>,
    tag: String,
}

impl File {
    fn new(plain: &'static [u8]) -> File {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(plain).expect("memory takes all bytes");
        let gzipped = encoder.finish().expect("memory takes all bytes");
        let hash = siphasher::sip::SipHasher13::new_with_keys(0, 0).hash(plain);
        File { plain, gzipped, tag: format!("\"{hash:016x}\"") }
    }
}

static MODULE: LazyLock<File> = LazyLock::new(|| File::new(include_bytes!("../../../bindings/browser/encke.js")));
static CLASSIC: LazyLock<File> = LazyLock::new(|| File::new(include_bytes!("../../../bindings/browser/encke.classic.js")));

/// What of the client is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Script {
    classic: bool,
    gzip: bool,
    known: bool,
}

impl Script {
    /// The module.
    pub(super) fn module(request: &Request<'_, '_>) -> Script {
        Script::asked(request, false)
    }

    /// The script for pages without modules.
    pub(super) fn classic(request: &Request<'_, '_>) -> Script {
        Script::asked(request, true)
    }

    fn asked(request: &Request<'_, '_>, classic: bool) -> Script {
        let script = Script { classic, gzip: request.lists("Accept-Encoding", "gzip"), known: false };
        let tags = request.header("If-None-Match").unwrap_or_default();
        Script { known: memchr::memmem::find(tags, script.tag().as_bytes()).is_some(), ..script }
    }

    fn file(self) -> &'static File {
        if self.classic { &CLASSIC } else { &MODULE }
    }

    /// What its bytes are known by; compressed or not, they are the same script.
    pub(super) fn tag(self) -> &'static str {
        &self.file().tag
    }

    /// Whether whoever asks has it.
    pub(super) fn is_known(self) -> bool {
        self.known
    }

    /// How its bytes are coded, if they are.
    pub(super) fn coding(self) -> Option<&'static str> {
        self.gzip.then_some("gzip")
    }

    /// Its bytes, in that coding.
    pub(super) fn bytes(self) -> &'static [u8] {
        if self.gzip { &self.file().gzipped } else { self.file().plain }
    }
}
