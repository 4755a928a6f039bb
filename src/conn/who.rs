//! Who asks, as a host program is told: one JSON object, made of a request's head once and then shared.
//!
//! ```text
//! {"address":"127.0.0.1:5123","transport":"sse","query":"user=ann","headers":{"cookie":"…","user-agent":"…"}}
//! {"user":"ann","address":…                                                      if a token or a key says who it is
//! ```
//! The address is empty where a connection came through the file system. A header stands there if it was sent; one
//! that was sent several times stands there with all its values, so that nobody is judged by one and served by another.
//! Cookies stand there for pages of this server, of origins that are named, and for programs: not for a page of another site
//! that would get to see what comes, or would act, as its browser's owner (`pages`).

use crate::base::door::Address;
use crate::http::Request;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a browser adds to whatever any page has it send.
const COOKIE: &str = "cookie";
/// What a host may go by: who it is, where it comes from. By name, with what parts several values.
const HEADERS: [(&str, &str); 5] =
    [("authorization", ", "), (COOKIE, "; "), ("origin", ", "), ("user-agent", ", "), ("x-forwarded-for", ", ")];

#[derive(Serialize)]
struct Who<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    address: String,
    transport: &'a str,
    query: &'a str,
    headers: BTreeMap<&'a str, String>,
}

/// Describes who sent `request` from `address`, to be held by `transport`. Its cookies count if the page is its `own`.
pub(super) fn describe(
    request: &Request<'_, '_>,
    address: Option<Address>,
    transport: &str,
    user: Option<&str>,
    own: bool,
) -> Arc<str> {
    let value = |name: &str, separator: &str| {
        let values: Vec<_> = request.headers(name).map(String::from_utf8_lossy).collect();
        (!values.is_empty()).then(|| values.join(separator))
    };
    let headers = HEADERS.iter().filter(|(name, _)| own || *name != COOKIE);
    let headers = headers.filter_map(|(name, separator)| Some((*name, value(name, separator)?))).collect();
    let address = address.map_or(String::new(), |address| address.to_string());
    let who = Who { user, address, transport, query: request.query, headers };
    serde_json::to_string(&who).expect("texts make JSON").into()
}

/// The same, of a client that has shown since who it is.
pub(crate) fn is_user(who: &Arc<str>, user: Option<&str>) -> Arc<str> {
    match (user, who.strip_prefix('{')) {
        (Some(user), Some(rest)) if !rest.starts_with("\"user\"") => {
            format!("{{\"user\":{},{rest}", serde_json::Value::from(user)).into()
        }
        _ => who.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Limits, request};

    fn described(head: &str) -> String {
        let limits = Limits { line_bytes: 1024, head_bytes: 1024, headers: 16, body_bytes: 0 };
        let mut room = request::room();
        let request = request::parse(head.as_bytes(), &limits, &mut room).expect("a head");
        let address = || "[::1]:80".parse().ok();
        let known = describe(&request, address(), "sse", Some("\"ann"), true);
        let stranger = describe(&request, address(), "sse", None, true);
        assert!(!describe(&request, address(), "sse", None, false).contains("cookie"));
        assert_eq!(is_user(&stranger, Some("\"ann")), known);
        assert_eq!(is_user(&known, Some("ben")), known);
        assert!(known.starts_with("{\"user\":\"\\\"ann\",\"address\""), "{known}");
        stranger.to_string()
    }

    #[test]
    fn headers_are_told_if_they_were_sent_and_then_all_of_them() {
        for (headers, told) in [
            ("", ""),
            ("Accept: a\r\n", ""),
            ("User-Agent: x\r\nCOOKIE: a=1\r\nCookie: b=\"2\"\r\n", "\"cookie\":\"a=1; b=\\\"2\\\"\",\"user-agent\":\"x\""),
            ("Origin: null\r\nX-Forwarded-For: 1\r\nX-Forwarded-For: 2\r\n", "\"origin\":\"null\",\"x-forwarded-for\":\"1, 2\""),
        ] {
            let head = format!("GET /sub/a?user=a%20b HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
            let expected = "{\"address\":\"[::1]:80\",\"transport\":\"sse\",\"query\":\"user=a%20b\",\"headers\":{".to_string();
            assert_eq!(described(&head), expected + told + "}}");
        }
    }
}
