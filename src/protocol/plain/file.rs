//! A file that is part of this program, as it is handed out: compressed for whoever takes that, and not at all to whoever
//! has it.

use crate::http::Request;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

/// The bytes, both ways, and what they are known by: compressed or not, they are the same file.
pub(super) struct File {
    plain: &'static str,
    gzipped: Vec<u8>,
    tag: String,
}

impl File {
    pub(super) fn new(plain: &'static str) -> File {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(plain.as_bytes()).expect("memory takes all bytes");
        let gzipped = encoder.finish().expect("memory takes all bytes");
        let hash = siphasher::sip::SipHasher13::new_with_keys(0, 0).hash(plain.as_bytes());
        File { plain, gzipped, tag: format!("\"{hash:016x}\"") }
    }

    pub(super) fn tag(&self) -> &str {
        &self.tag
    }

    /// Its bytes, in the coding that is asked for.
    pub(super) fn bytes(&self, asked: Asked) -> &[u8] {
        if asked.gzip { &self.gzipped } else { self.plain.as_bytes() }
    }
}

/// How a file is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    gzip: bool,
    known: bool,
}

impl Asked {
    pub(super) fn read(request: &Request<'_, '_>, file: &File) -> Asked {
        let tags = request.header("If-None-Match").unwrap_or_default();
        let known = memchr::memmem::find(tags, file.tag.as_bytes()).is_some();
        Asked { gzip: request.lists("Accept-Encoding", "gzip"), known }
    }

    /// Whether whoever asks has it.
    pub(super) fn is_known(self) -> bool {
        self.known
    }

    /// How its bytes are coded, if they are.
    pub(super) fn coding(self) -> Option<&'static str> {
        self.gzip.then_some("gzip")
    }
}
