//! What each room of `src` may use, read from the sources themselves: lines lead down only.
//!
//! Sources are taken apart into words, so that comments and texts never count. A path is followed through the
//! braces of `use` and through `super`, wherever it stands.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Each room, and which rooms it may use beside itself.
const ROOMS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("access", &["base"]),
    ("http", &["base"]),
    ("timer", &["base"]),
    ("channel", &["timer", "base"]),
    ("transport", &["http", "base"]),
    ("protocol", &["http", "base"]),
    ("conn", &["transport", "protocol", "access", "http", "timer", "base"]),
    ("engine", &["conn", "channel", "transport", "protocol", "access", "http", "timer", "base"]),
    ("reactor", &["engine", "access", "base"]),
    ("ffi", &["reactor", "base"]),
];

/// The front page, which may name every room.
const FRONT: &str = "lib";
/// Programs: crates of their own, which the compiler keeps to what is public.
const PROGRAMS: &str = "bin";
const LINES_MAX: usize = 600;

/// Paths that only some rooms may name, and why.
const PATHS: &[(&str, &[&str], &str)] = &[
    ("std::time::Instant", &["reactor", PROGRAMS], "the clock is read in the reactor"),
    ("std::time::SystemTime", &["reactor", PROGRAMS], "the clock is read in the reactor"),
    ("std::net", &["reactor", PROGRAMS], "sockets live in the reactor"),
    ("mio", &["reactor", PROGRAMS], "sockets live in the reactor"),
    ("socket2", &["reactor", PROGRAMS], "sockets live in the reactor"),
    ("crossbeam_channel", &["engine", "reactor", PROGRAMS], "queues lie between shards, and at the host program's door"),
    ("std::thread", &["reactor", PROGRAMS], "threads live in the reactor"),
    ("std::sync::Mutex", &["reactor", "ffi", PROGRAMS], "nothing below the reactor is locked"),
    ("std::sync::RwLock", &["reactor", "ffi", PROGRAMS], "nothing below the reactor is locked"),
    ("std::cell::RefCell", &["reactor", "ffi", PROGRAMS], "nothing below the reactor is shared"),
];

/// Addresses are data as long as nobody connects to them: an IP address anywhere, one with a port where options are read.
const DATA: &[(&str, &str)] = &[
    ("std::net::IpAddr", ""),
    ("std::net::SocketAddr", "base/config/value.rs"),
    ("std::net::SocketAddr", "ffi/server.rs"),
    ("std::net::SocketAddr", "base/door.rs"),
];

/// Words that only some rooms or files may use, and why.
const WORDS: &[(&str, &[&str], &str)] = &[
    (
        "unsafe",
        &["ffi", "reactor/tcp_info.rs", "reactor/tables.rs"],
        "unsafe code lives in ffi, but for what only the system offers",
    ),
    ("thread_local!", &["reactor", "ffi", PROGRAMS], "nothing below the reactor is shared"),
    ("todo!", &[], "what is not done is not there"),
    ("unimplemented!", &[], "what is not done is not there"),
    ("dbg!", &[], "a library writes to nobody's terminal"),
    ("print!", &[PROGRAMS], "a library writes to nobody's terminal"),
    ("println!", &[PROGRAMS], "a library writes to nobody's terminal"),
    ("eprint!", &[PROGRAMS], "a library writes to nobody's terminal"),
    ("eprintln!", &[PROGRAMS], "a library writes to nobody's terminal"),
];

#[test]
fn the_sources_keep_to_the_table() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut faults = String::new();
    for path in rust_files(&source) {
        let text = std::fs::read_to_string(&path).expect("a source is text");
        let name = path.strip_prefix(&source).expect("it lies in src").to_string_lossy().replace('\\', "/");
        for (line, rule) in check(&name, &text) {
            let _ = writeln!(faults, "src/{name}:{line}: {rule}");
        }
    }
    assert!(faults.is_empty(), "\n{faults}");
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the sources are there") {
        let path = entry.expect("the folder is readable").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// What is wrong with the file `name` of `src`: a line each, and the rule.
fn check(name: &str, text: &str) -> Vec<(usize, String)> {
    let mut faults = Vec::new();
    let room = room_of(name);
    if room != FRONT && room != PROGRAMS && allowed(room).is_none() {
        faults.push((1, format!("{room} is no room of the table")));
    }
    if !text.starts_with("//!") {
        faults.push((1, "a file opens with what it owns (//!)".to_string()));
    }
    let lines = text.lines().count();
    if lines > LINES_MAX {
        faults.push((lines, format!("a file has at most {LINES_MAX} lines")));
    }
    let words = words(text);
    faults.extend(words_out_of_room(name, room, &words));
    for (line, path) in paths(name, &words) {
        faults.extend(path_out_of_room(name, room, &path).map(|rule| (line, rule)));
    }
    faults.sort();
    faults
}

/// `engine/mod.rs` and `timer.rs` to their rooms.
fn room_of(name: &str) -> &str {
    name.split('/').next().map_or("", |first| first.strip_suffix(".rs").unwrap_or(first))
}

fn allowed(room: &str) -> Option<&'static [&'static str]> {
    ROOMS.iter().find(|(name, _)| *name == room).map(|(_, allowed)| *allowed)
}

fn words_out_of_room(name: &str, room: &str, words: &[Word]) -> Vec<(usize, String)> {
    let mut faults = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let macro_call = words.get(at + 1).is_some_and(|next| next.text == "!");
        let text = if macro_call { format!("{}!", word.text) } else { word.text.clone() };
        let allowed = |rooms: &[&str]| rooms.contains(&room) || rooms.contains(&name);
        let rule = WORDS.iter().find(|(forbidden, rooms, _)| *forbidden == text && !allowed(rooms));
        faults.extend(rule.map(|(forbidden, _, why)| (word.line, format!("{forbidden} in {room}: {why}"))));
    }
    faults
}

fn path_out_of_room(name: &str, room: &str, path: &[String]) -> Option<String> {
    if path[0] == "crate" && room != PROGRAMS && room != FRONT {
        let used = path.get(1).map_or("", String::as_str);
        return match allowed(used) {
            _ if used == room => None,
            None => Some(format!("{} is no room: name things by their room", path.join("::"))),
            Some(_) if allowed(room).unwrap_or_default().contains(&used) => None,
            Some(_) => Some(format!("{room} may not use {used} (table of rooms)")),
        };
    }
    let path = path.join("::");
    let within = |whole: &str| path == whole || path.strip_prefix(whole).is_some_and(|rest| rest.starts_with("::"));
    if DATA.iter().any(|(data, file)| within(data) && name.starts_with(file)) {
        return None;
    }
    let rule = PATHS.iter().find(|(forbidden, rooms, _)| within(forbidden) && !rooms.contains(&room));
    rule.map(|(_, _, why)| format!("{path} in {room}: {why}"))
}

/// A name, or one sign of punctuation (`::` counts as one).
#[derive(Debug, PartialEq)]
struct Word {
    line: usize,
    text: String,
}

/// Takes a source apart. Comments, texts and numbers' insides are left out.
fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut line = 1;
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let length = match letter {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '"' => quoted(rest),
            'r' | 'b' | 'c' if literal(rest).is_some() => literal(rest).unwrap_or(1),
            '\'' => character(rest),
            _ if letter == '_' || letter.is_alphanumeric() => {
                let length = rest.find(|letter: char| letter != '_' && !letter.is_alphanumeric()).unwrap_or(rest.len());
                words.push(Word { line, text: rest[..length].to_string() });
                length
            }
            ':' if rest.starts_with("::") => {
                words.push(Word { line, text: "::".to_string() });
                2
            }
            _ => {
                if !letter.is_whitespace() {
                    words.push(Word { line, text: letter.to_string() });
                }
                letter.len_utf8()
            }
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    words
}

/// The length of the comment that `text` begins with; they nest.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        match &text.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// The length of the text in quotes that `text` begins with.
fn quoted(text: &str) -> usize {
    let mut bytes = text.bytes().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => _ = bytes.next(),
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of `r"…"`, `r#"…"#`, `b"…"`, `b'…'` or their like, if `text` begins with one.
fn literal(text: &str) -> Option<usize> {
    let letters = ["br", "cr", "b", "c", "r"].into_iter().find(|letters| text.starts_with(letters))?;
    let behind = &text[letters.len()..];
    if !letters.ends_with('r') {
        return match behind.as_bytes().first()? {
            b'"' => Some(letters.len() + quoted(behind)),
            b'\'' => Some(letters.len() + character(behind)),
            _ => None,
        };
    }
    let hashes = behind.bytes().take_while(|&byte| byte == b'#').count();
    let inside = behind[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = inside.find(&end).map_or(inside.len(), |at| at + end.len());
    Some(letters.len() + hashes + 1 + length)
}

/// The length of the character, or else of the lifetime's tick, that `text` begins with.
fn character(text: &str) -> usize {
    let mut letters = text.char_indices().skip(1);
    match (letters.next(), letters.next()) {
        (Some((_, '\\')), Some((at, escaped))) => {
            let behind = at + escaped.len_utf8();
            text[behind..].find('\'').map_or(text.len(), |end| behind + end + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

/// All paths of two names or more, with the line each begins on; those through `super` that leave the room, and
/// those through `crate`, begin with `crate`.
fn paths(name: &str, words: &[Word]) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let mut modules = module(name);
    // Modules within the file, and how deep in braces each one is.
    let (mut inner, mut depth) = (Vec::new(), 0);
    let mut at = 0;
    while at < words.len() {
        let text = |ahead: usize| words.get(at + ahead).map_or("", |word| word.text.as_str());
        match text(0) {
            "mod" if text(2) == "{" => {
                modules.push(text(1).to_string());
                inner.push(depth);
                at += 2;
            }
            "{" => {
                depth += 1;
                at += 1;
            }
            "}" => {
                depth -= 1;
                if inner.last() == Some(&depth) {
                    inner.pop();
                    modules.pop();
                }
                at += 1;
            }
            _ if is_name(text(0)) && text(1) == "::" => {
                let line = words[at].line;
                let mut tree = Vec::new();
                at = path_tree(words, at, &[], &mut tree);
                found.extend(tree.into_iter().map(|path| (line, from_root(&modules, path))));
            }
            _ => at += 1,
        }
    }
    found
}

/// The module that a file is, from the root.
fn module(name: &str) -> Vec<String> {
    let path = name.strip_suffix(".rs").unwrap_or(name);
    path.split('/').filter(|part| !matches!(*part, "mod" | "lib" | "main")).map(str::to_string).collect()
}

fn is_name(word: &str) -> bool {
    word.starts_with(|letter: char| letter == '_' || letter.is_alphabetic())
}

/// Follows the path at `at` behind `before`, through braces; returns where it ends.
fn path_tree(words: &[Word], mut at: usize, before: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut path = before.to_vec();
    loop {
        let text = |ahead: usize| words.get(at + ahead).map_or("", |word| word.text.as_str());
        if text(0) == "{" {
            at += 1;
            while at < words.len() && words[at].text != "}" {
                at = if words[at].text == "," { at + 1 } else { path_tree(words, at, &path, found) };
            }
            return at + 1;
        }
        let goes_on = text(1) == "::" && (is_name(text(2)) || text(2) == "{" || text(2) == "*");
        if is_name(text(0)) && text(0) != "self" {
            path.push(text(0).to_string());
        }
        if goes_on {
            at += 2;
            continue;
        }
        at += 1;
        // `as` gives it another name, which is not followed.
        if words.get(at).is_some_and(|word| word.text == "as") {
            at += 2;
        }
        if path.len() > 1 || !before.is_empty() {
            found.push(path);
        }
        return at;
    }
}

/// A path through `super` as seen from the root, if it reaches that; any other as it is.
fn from_root(modules: &[String], path: Vec<String>) -> Vec<String> {
    let up = path.iter().take_while(|part| *part == "super").count();
    if up == 0 || modules.is_empty() {
        return path;
    }
    let stay = modules.len().saturating_sub(up);
    let root = std::iter::once("crate".to_string());
    root.chain(modules[..stay].iter().cloned()).chain(path[up..].iter().cloned()).collect()
}

#[test]
fn what_breaks_a_rule_is_found() {
    for (name, text, line, rule) in [
        ("base/id.rs", "use crate::http::Method;", 2, "base may not use http"),
        ("http/mod.rs", "\nuse crate::{\n    base::id,\n    conn::Slots,\n};", 3, "http may not use conn"),
        ("http/body.rs", "fn f() { let x = crate::timer::Timers::new(); }", 2, "http may not use timer"),
        ("channel/hub.rs", "use super::super::engine::Engine;", 2, "channel may not use engine"),
        ("timer.rs", "mod tests {\n    use super::super::channel::Hub;\n}", 3, "timer may not use channel"),
        ("timer.rs", "use super::channel::Hub;", 2, "timer may not use channel"),
        ("reactor/turn.rs", "use crate::http::Method;", 2, "reactor may not use http"),
        ("engine/mod.rs", "use crate::reactor as r;", 2, "engine may not use reactor"),
        ("engine/mod.rs", "use crate::Config;", 2, "crate::Config is no room"),
        ("attic/mod.rs", "", 1, "attic is no room of the table"),
        ("engine/mod.rs", "use std::time::{Duration, Instant};", 2, "std::time::Instant in engine"),
        ("engine/mod.rs", "fn f() { std::time::SystemTime::now(); }", 2, "std::time::SystemTime::now in engine"),
        ("engine/mod.rs", "use std::{fmt, net::{IpAddr, TcpStream}};", 2, "std::net::TcpStream in engine"),
        ("engine/mod.rs", "use std::net;", 2, "std::net in engine"),
        ("base/id.rs", "use std::net::SocketAddr;", 2, "std::net::SocketAddr in base"),
        ("conn/mod.rs", "use mio::net::TcpStream;", 2, "mio::net::TcpStream in conn"),
        ("conn/mod.rs", "fn f(s: &socket2::Socket) {}", 2, "socket2::Socket in conn"),
        ("conn/mod.rs", "use std::sync::{Arc, Mutex};", 2, "std::sync::Mutex in conn"),
        ("conn/mod.rs", "use std::cell::RefCell;", 2, "std::cell::RefCell in conn"),
        ("conn/mod.rs", "fn f() { std::thread::yield_now() }", 2, "std::thread::yield_now in conn"),
        ("conn/mod.rs", "thread_local! {}", 2, "thread_local! in conn"),
        ("reactor/turn.rs", "fn f() { unsafe { g() } }", 2, "unsafe in reactor"),
        ("bin/encke/main.rs", "fn f() { unsafe { g() } }", 2, "unsafe in bin"),
        ("conn/mod.rs", "fn f<'a>() -> char {\n todo!()\n}", 3, "todo! in conn"),
        ("bin/encke/main.rs", "fn f() { dbg!(1); }", 2, "dbg! in bin"),
        ("lib.rs", "fn f() { println!(); }", 2, "println! in lib"),
    ] {
        let faults = check(name, &format!("//! A file.\n{text}"));
        let found = faults.iter().any(|(at, fault)| *at == line && fault.contains(rule));
        assert!(found && faults.len() == 1, "{name} with {text:?}: {faults:?}");
    }
    assert_eq!(check("conn/mod.rs", "use std::fmt;\n").len(), 1, "it does not open with what it owns");
    assert_eq!(check("conn/mod.rs", &"//!\n".repeat(LINES_MAX)), []);
    assert_eq!(check("conn/mod.rs", &"//!\n".repeat(LINES_MAX + 1)).len(), 1);
}

#[test]
fn what_keeps_to_the_rules_passes() {
    for (name, text) in [
        ("conn/mod.rs", "use crate::{base::id, conn::Slots, http, timer::Link};"),
        ("channel/mod.rs", "mod tests { use super::super::timer::Link; }\nmod more { use super::history; }"),
        ("lib.rs", "pub use crate::engine::Engine;"),
        ("bin/encke/main.rs", "use encke::Config; use crate::file; fn f() { println!(\"{}\", std::time::Instant::now()); }"),
        ("reactor/clock.rs", "use std::{net::TcpStream, sync::Mutex, thread, time::Instant}; use mio::Poll;"),
        ("ffi/mod.rs", "use crate::reactor::Server; unsafe fn f() {}"),
        ("protocol/plain/gate.rs", "fn f(t: &str) { t.parse::<std::net::IpAddr>(); }"),
        ("conn/mod.rs", "// unsafe todo!() crate::reactor\n/* dbg! /* std::net */ unsafe */ const A: &str = \"unsafe\";"),
        (
            "conn/mod.rs",
            "const A: &str = r#\"\"unsafe\"#; const B: u8 = b'\"'; const C: char = '\\''; const D: &[u8] = b\"unsafe\";",
        ),
        ("conn/mod.rs", "fn f<'unsafe_not>(a: &'unsafe_not str, t: std::time::Duration, todo: bool) -> bool { !todo }"),
    ] {
        assert_eq!(check(name, &format!("//! A file.\n{text}")), [], "{name} with {text:?}");
    }
}
