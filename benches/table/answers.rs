//! As much of HTTP as a client of these servers needs: the first whole answer in some bytes.

use crate::Outcome;

/// One answer.
pub struct Answer<'a> {
    pub status: u16,
    /// With the status line, and the blank line at its end.
    pub head: &'a [u8],
    pub body: &'a [u8],
    /// Head and body.
    pub len: usize,
}

/// The first answer in `bytes`, once it is all there. Without a `Content-Length` it ends with its head.
pub fn first(bytes: &[u8]) -> Outcome<Option<Answer<'_>>> {
    let Some(head_len) = head_len(bytes) else { return Ok(None) };
    let head = &bytes[..head_len];
    let body_len = match value(head, b"content-length:") {
        Some(digits) => std::str::from_utf8(digits)?.trim().parse()?,
        None if value(head, b"transfer-encoding:").is_some() => {
            return Err("an answer in chunks, where one of known length was due".into());
        }
        None => 0,
    };
    let len = head_len + body_len;
    let Some(body) = bytes.get(head_len..len) else { return Ok(None) };
    Ok(Some(Answer { status: status(head)?, head, body, len }))
}

/// The length of the head, once it is all there.
pub fn head_len(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += bytes[at..].iter().position(|&byte| byte == b'\r')?;
        if bytes[at..].starts_with(b"\r\n\r\n") {
            return Some(at + 4);
        }
        at += 1;
    }
}

/// The status of a head.
pub fn status(head: &[u8]) -> Outcome<u16> {
    let digits = head.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3)).ok_or("no status line of HTTP/1.1")?;
    Ok(std::str::from_utf8(digits)?.parse()?)
}

/// The value of a header, by its name in lower case with the colon.
pub fn value<'a>(head: &'a [u8], lower_name: &[u8]) -> Option<&'a [u8]> {
    head.split(|&byte| byte == b'\n')
        .find(|line| line.get(..lower_name.len()).is_some_and(|name| name.eq_ignore_ascii_case(lower_name)))
        .map(|line| line[lower_name.len()..].trim_ascii())
}
