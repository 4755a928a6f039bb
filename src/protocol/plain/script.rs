//! The client for browsers, as this server hands it out. It is made from `bindings/browser/src`, and a test compares.

use super::file::{Asked, File};
use crate::http::Request;
use std::sync::LazyLock;

/// A browser asks for it with each page: for a while it need not ask at all.
pub(super) const CACHING: &str = "public, max-age=300";

static MODULE: LazyLock<File> = LazyLock::new(|| File::new(include_str!("../../../bindings/browser/encke.js")));
static CLASSIC: LazyLock<File> = LazyLock::new(|| File::new(include_str!("../../../bindings/browser/encke.classic.js")));

/// What of the client is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Script {
    classic: bool,
    pub(super) asked: Asked,
}

impl Script {
    /// The module.
    pub(super) fn module(request: &Request<'_, '_>) -> Script {
        Script { classic: false, asked: Asked::read(request, &MODULE) }
    }

    /// The script for pages without modules.
    pub(super) fn classic(request: &Request<'_, '_>) -> Script {
        Script { classic: true, asked: Asked::read(request, &CLASSIC) }
    }

    pub(super) fn file(self) -> &'static File {
        if self.classic { &CLASSIC } else { &MODULE }
    }
}
