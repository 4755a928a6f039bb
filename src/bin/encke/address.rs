//! Where a server is, and how names are written in a URL.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = &'static str;

    /// `http://host`, `http://host:port`, `unix:/path`.
    fn from_str(text: &str) -> Result<Address, &'static str> {
        const WRONG: &str = "is not an address (write http://HOST:PORT or unix:PATH)";
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(WRONG) } else { Ok(Address::Unix(path.into())) };
        }
        let authority = text.strip_prefix("http://").ok_or(WRONG)?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| WRONG)?),
            _ => (authority, 80),
        };
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = bracketed.unwrap_or(host);
        let fits = |letter: char| letter.is_ascii_alphanumeric() || "-._%".contains(letter);
        match !host.is_empty() && host.chars().all(|letter| fits(letter) || bracketed.is_some() && letter == ':') {
            true => Ok(Address::Tcp { host: host.into(), port }),
            false => Err(WRONG),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp { host, port } if host.contains(':') => write!(f, "http://[{host}]:{port}"),
            Address::Tcp { host, port } => write!(f, "http://{host}:{port}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Address {
    /// What the `Host` header says.
    pub fn host(&self) -> String {
        match self {
            Address::Tcp { .. } => self.to_string().split_off("http://".len()),
            Address::Unix(_) => "localhost".into(),
        }
    }
}

/// `text` as it may stand in a path: all but letters, digits, `-._~` and slashes as `%` and two digits.
pub fn path_encode(text: &str) -> String {
    percent_encode(text, b"/")
}

/// `text` as it may stand for a parameter's value in a query.
pub fn query_encode(text: &str) -> String {
    percent_encode(text, b"")
}

fn percent_encode(text: &str, also: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || also.contains(&byte) {
            true => encoded.push(char::from(byte)),
            false => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_shown() {
        for (text, shown) in [
            ("http://127.0.0.1:8081", "http://127.0.0.1:8081"),
            ("http://localhost/", "http://localhost:80"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://[::1]", "http://[::1]:80"),
            ("unix:/run/encke.sock", "unix:/run/encke.sock"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
        }
        for text in
            ["", "https://x", "http://", "http://a b", "http://x:port", "http://x/path", "unix:", "localhost:80", "http://a:b:1"]
        {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn names_are_encoded_where_they_stand() {
        assert_eq!(path_encode("/chat/caffè 1"), "/chat/caff%C3%A8%201");
        assert_eq!(query_encode("/a&b=c"), "%2Fa%26b%3Dc");
    }
}
