//! A client of our own against the receiving side. The sections are those of the Autobahn test suite.
//!
//! Every sequence of frames is fed whole, byte by byte, and cut in two at each place; all must come to the same.

use super::deflate::Deflater;
use super::extension::{Deflate, negotiate};
use super::frame::Opcode;
use super::message::{Event, Inbound, Rules, Workspace};
use super::{Fault, frame};
use crate::base::random::{Random, Seed};

const MESSAGE_BYTES_MAX: usize = 70_000;
const PLAIN: Rules = Rules { deflate: false, message_bytes_max: MESSAGE_BYTES_MAX };
const DEFLATE: Rules = Rules { deflate: true, message_bytes_max: MESSAGE_BYTES_MAX };

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV2: u8 = 0x20;
const RSV3: u8 = 0x10;
const CONTINUATION: u8 = Opcode::Continuation as u8;
const TEXT: u8 = Opcode::Text as u8;
const BINARY: u8 = Opcode::Binary as u8;
const CLOSE: u8 = FIN | Opcode::Close as u8;
const PING: u8 = FIN | Opcode::Ping as u8;
const PONG: u8 = FIN | Opcode::Pong as u8;
const LAST: u8 = FIN | CONTINUATION;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// An event, kept; a fault is the last.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close(Option<u16>, String),
    Fault(Fault),
}

impl Seen {
    fn new(event: Event<'_>) -> Seen {
        match event {
            Event::Text(text) => Seen::Text(text.to_string()),
            Event::Binary(bytes) => Seen::Binary(bytes.to_vec()),
            Event::Ping(bytes) => Seen::Ping(bytes.to_vec()),
            Event::Pong => Seen::Pong,
            Event::Close { code, reason } => Seen::Close(code, reason.to_string()),
        }
    }

    fn code(&self) -> Option<u16> {
        match self {
            Seen::Fault(fault) => Some(fault.code),
            _ => None,
        }
    }
}

fn text(text: impl Into<String>) -> Seen {
    Seen::Text(text.into())
}

/// A client's frame: `first` is its first byte.
fn framed(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::write(&mut out, Opcode::Text, false, payload);
    let head = out.len() - payload.len();
    out[0] = first;
    out[1] |= 0x80;
    out.splice(head.., MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

/// Several of them.
fn all(frames: &[(u8, &[u8])]) -> Vec<u8> {
    frames.iter().flat_map(|&(first, payload)| framed(first, payload)).collect()
}

/// Feeds the pieces one after the other. Between two of them another connection has a message of its own in the
/// same workspace: nothing that is still needed may lie there.
fn seen<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, rules: &Rules) -> Vec<Seen> {
    let (mut inbound, mut workspace, mut seen) = (Inbound::default(), Workspace::default(), Vec::new());
    let other = framed(FIN | TEXT, b"other");
    for mut piece in pieces {
        loop {
            match inbound.receive(&mut piece, rules, &mut workspace) {
                Ok(None) => break,
                Ok(Some(event)) => seen.push(Seen::new(event)),
                Err(fault) => seen.push(Seen::Fault(fault)),
            }
            if let Some(Seen::Close(..) | Seen::Fault(_)) = seen.last() {
                assert!(piece.is_empty(), "what follows the end is not looked at");
                return seen;
            }
            inbound.check_invariants(rules);
        }
        assert!(piece.is_empty(), "what waits for more has taken all");
        inbound.check_invariants(rules);
        let event = Inbound::default().receive(&mut &other[..], &PLAIN, &mut workspace);
        assert_eq!(event, Ok(Some(Event::Text("other"))));
    }
    seen
}

/// Whole, byte by byte, and cut in two at each place, or at some hundred places of what is long.
fn seen_each_way(bytes: &[u8], rules: &Rules) -> Vec<Seen> {
    let whole = seen([bytes], rules);
    assert_eq!(seen(bytes.chunks(1), rules), whole, "byte by byte");
    let step = if bytes.len() < 1000 { 1 } else { bytes.len() / 100 };
    for cut in (0..bytes.len()).step_by(step) {
        let (first, second) = bytes.split_at(cut);
        assert_eq!(seen([first, second], rules), whole, "cut at {cut}");
    }
    whole
}

fn received(frames: &[(u8, &[u8])]) -> Vec<Seen> {
    seen_each_way(&all(frames), &PLAIN)
}

/// The close code of a fault that these frames end with, and what came before it.
fn refused(frames: &[(u8, &[u8])], rules: &Rules) -> (u16, Vec<Seen>) {
    let mut seen = seen_each_way(&all(frames), rules);
    let code = seen.pop().and_then(|last| last.code());
    (code.unwrap_or_else(|| panic!("{frames:?} is taken: {seen:?}")), seen)
}

// 1: framing

#[test]
fn messages_of_every_form_of_length_are_received() {
    for length in [0, 1, 2, 7, 8, 9, 125, 126, 127, 128, 65535, 65536] {
        let payload = vec![b'*'; length];
        assert_eq!(received(&[(FIN | TEXT, &payload)]), [text("*".repeat(length))], "{length}");
        assert_eq!(received(&[(FIN | BINARY, &payload)]), [Seen::Binary(payload)], "{length}");
    }
}

#[test]
fn many_frames_in_one_input_are_all_taken() {
    let frames =
        [(FIN | TEXT, &b"a"[..]), (PING, b""), (FIN | BINARY, b"\xff"), (FIN | TEXT, b""), (PONG, b"x"), (FIN | TEXT, b"b")];
    let all = [text("a"), Seen::Ping(vec![]), Seen::Binary(vec![0xff]), text(""), Seen::Pong, text("b")];
    assert_eq!(received(&frames), all);
}

#[test]
fn a_frame_that_is_not_masked_is_refused() {
    for unmasked in [&b"\x81\x05Hello"[..], b"\x89\x00", b"\x88\x00", b"\x81\x00", b"\x81\x7e\x00\x7e"] {
        let seen = seen_each_way(unmasked, &PLAIN);
        assert_eq!(seen.iter().map(Seen::code).collect::<Vec<_>>(), [Some(1002)], "{}", unmasked.escape_ascii());
    }
}

#[test]
fn a_length_in_more_bytes_than_it_needs_is_refused() {
    for head in [
        &b"\x82\xfe\x00\x00"[..],
        b"\x82\xfe\x00\x7d",
        b"\x82\xff\x00\x00\x00\x00\x00\x00\x00\x05",
        b"\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff",
        b"\x82\xff\x80\x00\x00\x00\x00\x01\x00\x00",
        b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        let seen = seen_each_way(head, &PLAIN);
        assert_eq!(seen.iter().map(Seen::code).collect::<Vec<_>>(), [Some(1002)], "{}", head.escape_ascii());
    }
}

// 2: pings and pongs

#[test]
fn pings_carry_up_to_125_bytes_and_pongs_are_signs_of_life() {
    for payload in [&b""[..], b"Hello", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", &[0xfe; 125]] {
        assert_eq!(received(&[(PING, payload)]), [Seen::Ping(payload.to_vec())]);
        assert_eq!(received(&[(PONG, payload), (PING, payload)]), [Seen::Pong, Seen::Ping(payload.to_vec())]);
    }
    let pings: Vec<[u8; 1]> = (0..10).map(|number| [number]).collect();
    let frames: Vec<(u8, &[u8])> = pings.iter().map(|payload| (PING, &payload[..])).collect();
    let answered: Vec<Seen> = pings.iter().map(|payload| Seen::Ping(payload.to_vec())).collect();
    assert_eq!(received(&frames), answered);
}

#[test]
fn a_control_frame_of_126_bytes_is_refused() {
    for first in [PING, PONG, CLOSE] {
        assert_eq!(refused(&[(first, &[0xfe; 126])], &PLAIN), (1002, vec![]));
        assert_eq!(refused(&[(first, &[0xfe; 65536])], &PLAIN), (1002, vec![]));
    }
}

// 3: reserved bits, 4: opcodes

#[test]
fn reserved_bits_are_refused() {
    for bits in (1..8).map(|bits| bits << 4) {
        for first in [FIN | TEXT, FIN | BINARY, PING, PONG, CLOSE, TEXT] {
            let frames = [(FIN | TEXT, &b"a"[..]), (first | bits, b"*"), (PING, b"")];
            assert_eq!(refused(&frames, &PLAIN), (1002, vec![text("a")]), "{:x}", first | bits);
        }
    }
}

#[test]
fn with_compression_one_bit_is_taken_in_the_first_frame_of_a_message() {
    for first in [FIN | RSV2 | TEXT, FIN | RSV3 | TEXT, FIN | RSV1 | RSV2 | TEXT, PING | RSV1, PONG | RSV1, CLOSE | RSV1] {
        assert_eq!(refused(&[(first, b"\x00")], &DEFLATE), (1002, vec![]), "{first:x}");
    }
    for kind in [TEXT, BINARY, RSV1 | TEXT, RSV1 | BINARY] {
        for next in [RSV1 | LAST, RSV1 | CONTINUATION] {
            assert_eq!(refused(&[(kind, b""), (next, b"\x00")], &DEFLATE), (1002, vec![]), "{kind:x} {next:x}");
        }
    }
}

#[test]
fn reserved_opcodes_are_refused() {
    for opcode in (3..8).chain(11..16) {
        for first in [opcode, FIN | opcode] {
            assert_eq!(refused(&[(first, b"")], &DEFLATE), (1002, vec![]), "{first:x}");
            let frames = [(FIN | TEXT, &b"a"[..]), (first, b"*"), (PING, b"")];
            assert_eq!(refused(&frames, &DEFLATE), (1002, vec![text("a")]), "{first:x}");
        }
    }
}

// 5: fragmentation

#[test]
fn fragments_come_together() {
    let ping = || Seen::Ping(b"p".to_vec());
    for (frames, expected) in [
        (&[(TEXT, &b"one"[..]), (LAST, b"two")][..], vec![text("onetwo")]),
        (&[(TEXT, b""), (LAST, b"")], vec![text("")]),
        (&[(TEXT, b""), (CONTINUATION, b""), (CONTINUATION, b"mid"), (LAST, b"")], vec![text("mid")]),
        (&[(BINARY, b"\xff"), (CONTINUATION, b"\xfe"), (LAST, b"\xfd")], vec![Seen::Binary(b"\xff\xfe\xfd".to_vec())]),
        (&[(TEXT, b"one"), (PING, b"p"), (LAST, b"two")], vec![ping(), text("onetwo")]),
        (
            &[(TEXT, b"one"), (PONG, b"p"), (CONTINUATION, b"two"), (PING, b"p"), (LAST, b"")],
            vec![Seen::Pong, ping(), text("onetwo")],
        ),
        (&[(TEXT, b"a"), (LAST, b"b"), (TEXT, b"c"), (LAST, b"d")], vec![text("ab"), text("cd")]),
        (&[(TEXT, b"one"), (CLOSE, b""), (LAST, b"two")], vec![Seen::Close(None, String::new())]),
    ] {
        assert_eq!(received(frames), expected, "{frames:?}");
    }
}

#[test]
fn what_breaks_the_order_of_fragments_is_refused() {
    for (frames, before) in [
        (&[(LAST, &b"a"[..])][..], vec![]),
        (&[(CONTINUATION, b"a")], vec![]),
        (&[(LAST, b"")], vec![]),
        (&[(TEXT, b"a"), (FIN | TEXT, b"b")], vec![]),
        (&[(TEXT, b"a"), (FIN | BINARY, b"b")], vec![]),
        (&[(TEXT, b"a"), (TEXT, b"b")], vec![]),
        (&[(BINARY, b"a"), (PING, b""), (BINARY, b"b")], vec![Seen::Ping(vec![])]),
        (&[(TEXT, b"a"), (LAST, b"b"), (LAST, b"c")], vec![text("ab")]),
        (&[(FIN | TEXT, b"a"), (CONTINUATION, b"c")], vec![text("a")]),
        (&[(PING & !FIN, b"a"), (LAST, b"b")], vec![]),
        (&[(PONG & !FIN, b"a")], vec![]),
        (&[(CLOSE & !FIN, b"")], vec![]),
        (&[(TEXT, b"a"), (PING & !FIN, b"b")], vec![]),
    ] {
        assert_eq!(refused(frames, &PLAIN), (1002, before), "{frames:?}");
    }
}

// 6: UTF-8

#[test]
fn text_may_be_cut_inside_a_character() {
    let words = "κόσμε\u{10ffff}\u{fffe}\0é";
    for cut in 0..=words.len() {
        let (first, second) = words.as_bytes().split_at(cut);
        assert_eq!(received(&[(TEXT, first), (PING, b""), (LAST, second)]), [Seen::Ping(vec![]), text(words)]);
    }
    let bytes: Vec<(u8, &[u8])> = words.as_bytes().chunks(1).map(|byte| (CONTINUATION, byte)).collect();
    assert_eq!(received(&[&[(TEXT, &b""[..])][..], &bytes, &[(LAST, b"")]].concat()), [text(words)]);
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    for bytes in [
        &b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"[..],
        b"\x80",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xf0\x80\x80\xaf",
        b"\xed\xa0\x80\xed\xb0\x80",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xfe",
        b"\xff",
        b"\xce",
        b"abc\xf0\x9f\x98",
    ] {
        assert_eq!(refused(&[(FIN | TEXT, bytes)], &PLAIN), (1007, vec![]), "{}", bytes.escape_ascii());
        assert_eq!(refused(&[(TEXT, bytes), (LAST, b"")], &PLAIN), (1007, vec![]), "{}", bytes.escape_ascii());
        assert_eq!(received(&[(FIN | BINARY, bytes)]), [Seen::Binary(bytes.to_vec())]);
    }
}

/// The whole message need not be awaited, nor the whole frame.
#[test]
fn the_first_byte_that_is_not_utf8_ends_it() {
    let good = "κόσμε";
    let bad = b"\xf4\x90\x80\x80edited";
    let frames =
        [all(&[(TEXT, good.as_bytes()), (CONTINUATION, bad), (LAST, b"")]), framed(FIN | TEXT, &[good.as_bytes(), bad].concat())];
    for (bytes, head_bytes) in frames.iter().zip([2 * 6, 6]) {
        let at = head_bytes + good.len() + 2;
        assert_eq!(seen_each_way(&bytes[..at - 1], &PLAIN), []);
        let seen = seen_each_way(&bytes[..at], &PLAIN);
        assert_eq!(seen.iter().map(Seen::code).collect::<Vec<_>>(), [Some(1007)]);
    }
}

// 7: close handling

#[test]
fn a_close_says_why_or_nothing() {
    let longest = "x".repeat(123);
    for (payload, code, reason) in [
        (&b""[..], None, ""),
        (b"\x03\xe8", Some(1000), ""),
        (b"\x03\xe8Hello", Some(1000), "Hello"),
        (b"\x0f\xa0\xc3\xa9", Some(4000), "é"),
        (&[b"\x03\xe9", longest.as_bytes()].concat(), Some(1001), &longest),
    ] {
        assert_eq!(received(&[(CLOSE, payload)]), [Seen::Close(code, reason.to_string())]);
    }
}

#[test]
fn nothing_is_read_behind_a_close() {
    for behind in [(PING, &b""[..]), (FIN | TEXT, b"more"), (CLOSE, b""), (FIN | 3, b"")] {
        assert_eq!(received(&[(FIN | TEXT, b"a"), (CLOSE, b""), behind]), [text("a"), Seen::Close(None, String::new())]);
    }
}

#[test]
fn codes_are_judged() {
    for code in [1000u16, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999] {
        assert_eq!(received(&[(CLOSE, &code.to_be_bytes())]), [Seen::Close(Some(code), String::new())]);
    }
    for code in [0u16, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
        assert_eq!(refused(&[(CLOSE, &code.to_be_bytes())], &PLAIN), (1002, vec![]), "{code}");
        assert_eq!(refused(&[(CLOSE, &[&code.to_be_bytes()[..], b"why"].concat())], &PLAIN), (1002, vec![]), "{code}");
    }
}

#[test]
fn a_close_frame_must_be_one() {
    assert_eq!(refused(&[(CLOSE, b"\x03")], &PLAIN), (1002, vec![]));
    assert_eq!(refused(&[(CLOSE, b"\x03\xe8\xce\xba\xe1\xbd\xb9\xed\xa0\x80")], &PLAIN), (1007, vec![]));
    assert_eq!(refused(&[(CLOSE, b"\x03\xe8\xce")], &PLAIN), (1007, vec![]));
}

// 9: limits

#[test]
fn a_message_fills_its_bound_and_no_more() {
    let rules = Rules { deflate: false, message_bytes_max: 300 };
    let taken = |frames: &[(u8, &[u8])]| seen_each_way(&all(frames), &rules);
    let most = [b'x'; 300];
    let whole = || text("x".repeat(300));
    assert_eq!(taken(&[(FIN | TEXT, &most)]), [whole()]);
    assert_eq!(
        taken(&[(TEXT, &most[..100]), (CONTINUATION, &most[..100]), (PING, b""), (LAST, &most[..100])]),
        [Seen::Ping(vec![]), whole()]
    );
    assert_eq!(taken(&[(TEXT, &most), (CONTINUATION, b""), (LAST, b"")]), [whole()]);
    assert_eq!(taken(&[(FIN | TEXT, &most), (FIN | TEXT, &most)]), [whole(), whole()]);

    let over = [b'x'; 301];
    assert_eq!(refused(&[(FIN | TEXT, &over)], &rules), (1009, vec![]));
    assert_eq!(refused(&[(TEXT, &over)], &rules), (1009, vec![]));
    assert_eq!(refused(&[(TEXT, &most), (LAST, b"x")], &rules), (1009, vec![]));
    assert_eq!(refused(&[(TEXT, &most[..150]), (LAST, &most[..151])], &rules), (1009, vec![]));

    let none = Rules { deflate: true, message_bytes_max: 0 };
    assert_eq!(seen_each_way(&framed(FIN | TEXT, b""), &none), [text("")]);
    assert_eq!(refused(&[(FIN | TEXT, b"x")], &none), (1009, vec![]));
}

#[test]
fn a_frame_too_long_is_refused_by_its_head() {
    for head in [
        &b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff"[..],
        b"\x82\xff\x00\x00\x00\x00\x00\x01\x11\x71",
        b"\xc2\xff\x00\x00\x00\x01\x00\x00\x00\x00",
    ] {
        let seen = seen_each_way(&[head, &MASK].concat(), &DEFLATE);
        assert_eq!(seen.iter().map(Seen::code).collect::<Vec<_>>(), [Some(1009)], "{}", head.escape_ascii());
    }
}

#[test]
fn a_connection_keeps_nothing_when_nothing_is_unfinished() {
    let (mut inbound, mut workspace) = (Inbound::default(), Workspace::default());
    let bytes = all(&[(TEXT, b"one"), (PING, b"p"), (LAST, b"two")]);
    let whole_at = [0, bytes.len()];
    for (at, byte) in bytes.iter().enumerate() {
        assert_eq!(inbound.is_idle(), whole_at.contains(&at), "before byte {at}");
        let _ = inbound.receive(&mut &[*byte][..], &PLAIN, &mut workspace).expect("good frames");
    }
    assert!(inbound.is_idle());
}

// 12 and 13: compression

fn agreed(bits: u8) -> Deflate {
    negotiate(&format!("permessage-deflate; server_max_window_bits={bits}")).expect("zlib can")
}

#[test]
fn the_examples_of_the_rfc_are_received() {
    let frames: [&[(u8, &[u8])]; 5] = [
        &[(FIN | RSV1 | TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00")],
        &[(RSV1 | TEXT, b"\xf2\x48\xcd"), (LAST, b"\xc9\xc9\x07\x00")],
        &[(FIN | RSV1 | TEXT, b"\x00\x05\x00\xfa\xffHello\x00")],
        &[(FIN | RSV1 | TEXT, b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00")],
        &[(FIN | TEXT, b"Hello")],
    ];
    for frames in frames {
        assert_eq!(seen_each_way(&all(frames), &DEFLATE), [text("Hello")]);
    }
    assert_eq!(seen_each_way(&all(&frames.concat()), &DEFLATE), vec![text("Hello"); 5]);
}

#[test]
fn compressed_messages_of_every_size_are_received() {
    let mut deflater = Deflater::default();
    for length in [0, 16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536] {
        let message: String = ('a'..='z').cycle().take(length).collect();
        for bits in [9, 12, 15] {
            let payload = deflater.deflate(message.as_bytes(), agreed(bits)).to_vec();
            assert_eq!(seen_each_way(&framed(FIN | RSV1 | TEXT, &payload), &DEFLATE), [text(&*message)], "{length}, {bits} bits");

            let pieces: Vec<&[u8]> = payload.chunks(payload.len() / 3 + 1).collect();
            let mut frames: Vec<(u8, &[u8])> = vec![(RSV1 | TEXT, b"")];
            frames.extend(pieces.iter().flat_map(|piece| [(PING, &b"p"[..]), (CONTINUATION, *piece)]));
            frames.push((LAST, b""));
            let seen = seen_each_way(&all(&frames), &DEFLATE);
            assert_eq!(seen.last(), Some(&text(&*message)), "{length}, {bits} bits, in fragments");
        }
    }
}

#[test]
fn compressed_messages_are_judged_by_what_they_hold() {
    let mut deflater = Deflater::default();
    let mut payload = |message: &[u8]| deflater.deflate(message, agreed(15)).to_vec();
    let (bad_text, bomb, most) = (payload(b"\xed\xa0\x80"), payload(&[0; 1 << 20]), payload(&[0; MESSAGE_BYTES_MAX]));
    for (first, payload, code) in [
        (TEXT, &bad_text[..], 1007),
        (BINARY, &bomb, 1009),
        (TEXT, &bomb, 1009),
        (BINARY, b"\xff\xff\xff", 1007),
        (BINARY, b"\xf2\x48\xcd", 1007),
    ] {
        assert_eq!(refused(&[(FIN | RSV1 | first, payload)], &DEFLATE), (code, vec![]));
        assert_eq!(refused(&[(RSV1 | first, payload), (LAST, b"")], &DEFLATE), (code, vec![]));
    }
    assert_eq!(seen_each_way(&framed(FIN | RSV1 | BINARY, &bad_text), &DEFLATE), [Seen::Binary(b"\xed\xa0\x80".to_vec())]);
    assert_eq!(seen_each_way(&framed(FIN | RSV1 | BINARY, &most), &DEFLATE), [Seen::Binary(vec![0; MESSAGE_BYTES_MAX])]);
}

#[test]
fn a_compressed_message_that_could_not_shrink_may_be_as_long_as_any() {
    let mut random = Random::new(Seed(5, 5));
    for length in [0, 10, 100, 1000, MESSAGE_BYTES_MAX] {
        let message: Vec<u8> = std::iter::repeat_with(|| random.bits() as u8).take(length).collect();
        let payload = Deflater::default().deflate(&message, agreed(15)).to_vec();
        assert!(payload.len() > message.len());
        let rules = Rules { deflate: true, message_bytes_max: length };
        assert_eq!(seen_each_way(&framed(FIN | RSV1 | BINARY, &payload), &rules), [Seen::Binary(message)]);
    }
}

// All of it, at random

/// Numbers below a bound.
struct Dice(Random);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        (self.0.bits() % below.max(1) as u64) as usize
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.roll(chances) == 0
    }
}

/// Appends a message in fragments with control frames between them, and what must come of it.
fn add_message(dice: &mut Dice, deflater: &mut Deflater, bytes: &mut Vec<u8>, expected: &mut Vec<Seen>) {
    let length = [0, 3, 130, 3000][dice.roll(4)];
    let words: String = (0..dice.roll(length)).map(|_| ['a', 'é', '€', '😀'][dice.roll(4)]).collect();
    let (is_text, compressed) = (dice.one_in(2), dice.one_in(2));
    let payload = if compressed { deflater.deflate(words.as_bytes(), agreed(15)).to_vec() } else { words.clone().into_bytes() };
    let mut first = if is_text { TEXT } else { BINARY } | if compressed { RSV1 } else { 0 };
    let mut rest = &payload[..];
    loop {
        let (piece, behind) = if dice.one_in(2) { (rest, &[][..]) } else { rest.split_at(dice.roll(rest.len() + 1)) };
        let last = behind.is_empty() && dice.one_in(2);
        bytes.extend(framed(first | if last { FIN } else { 0 }, piece));
        if last {
            break;
        }
        if dice.one_in(3) {
            bytes.extend(framed(PING, &payload[..payload.len().min(9)]));
            expected.push(Seen::Ping(payload[..payload.len().min(9)].to_vec()));
        }
        (first, rest) = (CONTINUATION, behind);
    }
    expected.push(if is_text { Seen::Text(words) } else { Seen::Binary(words.into_bytes()) });
}

#[test]
fn whatever_a_client_sends_in_whatever_pieces_is_received() {
    let mut dice = Dice(Random::new(Seed(6, 4)));
    let mut deflater = Deflater::default();
    for round in 0..200 {
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        for _ in 0..dice.roll(6) {
            add_message(&mut dice, &mut deflater, &mut bytes, &mut expected);
        }
        let mut pieces = Vec::new();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at((1 + dice.roll(600)).min(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        assert_eq!(seen(pieces, &DEFLATE), expected, "round {round}");
        assert_eq!(seen([&bytes[..]], &DEFLATE), expected, "round {round}");
    }
}

/// Good frames with some bytes changed: whatever comes of them, the cuts must not matter.
#[test]
fn how_broken_bytes_are_cut_never_matters() {
    let mut dice = Dice(Random::new(Seed(1, 7)));
    let mut deflater = Deflater::default();
    for _ in 0..200 {
        let mut bytes = Vec::new();
        for _ in 0..1 + dice.roll(2) {
            add_message(&mut dice, &mut deflater, &mut bytes, &mut Vec::new());
        }
        bytes.truncate(400);
        for _ in 0..1 + dice.roll(3) {
            let at = dice.roll(bytes.len());
            bytes[at] = dice.0.bits() as u8;
        }
        seen_each_way(&bytes, &DEFLATE);
    }
}
