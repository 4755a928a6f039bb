//! Which pages of other sites may read a response (CORS).

use super::response::field;

/// Those that may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing<'a> {
    /// None.
    None,
    /// All; but without credentials.
    All,
    /// Those of the origins that an operator named, of which this is the one that asked, if it is one.
    Named(Option<&'a str>),
}

impl Sharing<'_> {
    /// Says which pages may read a response, and what of it.
    pub fn write(self, out: &mut Vec<u8>) {
        if self.write_origin(out) {
            field(out, "Access-Control-Expose-Headers", "ETag, Last-Modified, Date, Encke-Channel, Encke-Event, Encke-Gap");
        }
    }

    /// Says which pages may read what a browser shows of any response; `false` if none may.
    pub fn write_origin(self, out: &mut Vec<u8>) -> bool {
        let allowed = match self {
            Sharing::None => return false,
            Sharing::All => "*",
            Sharing::Named(origin) => {
                field(out, "Vary", "Origin");
                let Some(origin) = origin else { return false };
                field(out, "Access-Control-Allow-Credentials", "true");
                origin
            }
        };
        field(out, "Access-Control-Allow-Origin", allowed);
        true
    }
}
