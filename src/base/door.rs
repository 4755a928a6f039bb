//! By which listener a connection came in, and from where.

pub use std::net::SocketAddr as Address;

/// It decides what a connection may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Door {
    /// A public listener on an address others can reach: subscribing only.
    Public,
    /// A public listener on loopback: publishing too, but not for other sites' web pages.
    PublicLoopback,
    /// The private listener: publishing and inspection.
    Private,
    /// The private listener on loopback: the same, guarded against this machine's browser.
    PrivateLoopback,
    /// The control socket in the file system: the same, and no browser can reach it.
    Control,
}

impl Door {
    /// Whether clients come in here. Whoever comes in by another is the application itself, or speaks for it.
    pub fn is_public(self) -> bool {
        matches!(self, Door::Public | Door::PublicLoopback)
    }
}
