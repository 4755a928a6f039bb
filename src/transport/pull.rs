//! Client pull (1995): a page that shows a channel's last messages and asks to be loaded anew, without script.
//!
//! Everything published is escaped; nothing in the page runs, whatever it says. The newest message comes first,
//! for a page that is loaded anew shows its top.

use super::{Batch, News, Setting, Variant, common_fields, long_poll, text};
use crate::base::payload::{Kind, Message};
use crate::http::response;

/// Seconds between two showings, unless the client asks for others.
const REFRESH: u32 = 5;
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:48rem;padding:0 1rem}\
                     ol{list-style:none;padding:0}li{border-bottom:1px solid #8884;padding:.4rem 0;white-space:pre-wrap;\
                     overflow-wrap:anywhere}small{color:#777}@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}}";

pub(super) fn head(out: &mut Vec<u8>, variant: Variant, setting: &Setting<'_>) {
    fields(out, variant, setting);
    response::end(out);
}

fn fields(out: &mut Vec<u8>, variant: Variant, setting: &Setting<'_>) {
    response::start(out, 200);
    response::field(out, "Content-Type", "text/html; charset=utf-8");
    response::field(out, "Content-Security-Policy", POLICY);
    let refresh = if setting.look.refresh == 0 { REFRESH } else { setting.look.refresh };
    response::field(out, "Refresh", &refresh.to_string());
    response::field(out, "Cache-Control", "no-store");
    common_fields(out, variant, setting);
}

pub(super) fn batch(out: &mut Vec<u8>, variant: Variant, mut batch: Batch<'_>, setting: &Setting<'_>) {
    batch.move_cursor();
    let mut page = Vec::with_capacity(4096);
    text(&mut page, format_args!("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">"));
    text(&mut page, format_args!("<meta name=\"viewport\" content=\"width=device-width\"><title>Encke</title>"));
    text(&mut page, format_args!("<style>{STYLE}</style><ol>"));
    for item in batch.items.iter().rev() {
        match item.news {
            News::Message(message) => line(&mut page, message),
            News::Gap { .. } => page.extend_from_slice(b"<li><small>earlier messages are gone</small>"),
            News::End { .. } => page.extend_from_slice(b"<li><small>the channel was dropped and began anew</small>"),
        }
    }
    page.extend_from_slice(if batch.items.is_empty() { b"</ol><p><small>nothing yet</small>" } else { b"</ol>" });
    fields(out, variant, setting);
    long_poll::with_body(out, &page);
}

fn line(page: &mut Vec<u8>, message: &Message) {
    page.extend_from_slice(b"<li><small>");
    escaped(page, message.channel());
    page.extend_from_slice(b"</small> ");
    match (message.kind(), std::str::from_utf8(message.data())) {
        (Kind::Json | Kind::Text, Ok(data)) => escaped(page, data),
        _ => {
            text(page, format_args!("<small>{} bytes of ", message.data().len()));
            escaped(page, message.content_type());
            page.extend_from_slice(b"</small>");
        }
    }
}

fn escaped(page: &mut Vec<u8>, data: &str) {
    let mut characters = data.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            // CR, LF and CR LF all end a line.
            '\r' if characters.peek() == Some(&'\n') => {}
            '\r' => page.push(b'\n'),
            '<' => page.extend_from_slice(b"&lt;"),
            '>' => page.extend_from_slice(b"&gt;"),
            '&' => page.extend_from_slice(b"&amp;"),
            '"' => page.extend_from_slice(b"&quot;"),
            '\'' => page.extend_from_slice(b"&#39;"),
            // What HTML does not allow in a text is shown as what it is: a character that cannot be shown.
            '\0'..='\x08' | '\x0b'..='\x1f' | '\x7f'..='\u{9f}' => page.extend_from_slice("\u{fffd}".as_bytes()),
            _ => page.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_published_is_markup() {
        let mut page = Vec::new();
        escaped(&mut page, "</li><script>alert('1')</script>\"&\0\u{85}é\r\na\rb\n");
        let expected = "&lt;/li&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot;&amp;\u{fffd}\u{fffd}é\na\nb\n";
        assert_eq!(String::from_utf8(page).unwrap(), expected);
    }
}
