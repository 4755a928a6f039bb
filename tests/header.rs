//! `include/encke.h` is what `src/ffi` says, and every language that reads it can: C, C++, PHP's FFI, Python's cffi.
//!
//! `UPDATE=1` writes it anew. A tool that is missing fails the test that needs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

const USAGE: &str = r#"/*
 * libencke: the Comet server Encke inside a program.
 *
 *     encke *server;
 *     const char *options = "{\"listen\":\"127.0.0.1:8080\"}";
 *     if (encke_start(options, strlen(options), &server) != ENCKE_OK)
 *         return fprintf(stderr, "%s\n", encke_last_error()), 1;
 *     encke_publish(server, "/news", 5, "hello", 5);
 *     encke_stop(server, 5000);
 *
 * Link with -lencke. Calls return 0 (or a count) on success and a negative encke_code on failure; encke_last_error
 * has the detail. All texts are given with their length and need no NUL. A handle may be used from any number of
 * threads at once, but not in a signal handler; encke_start, encke_connect, encke_reload, encke_flush and encke_stop
 * are the only calls that may block. No thread of the library ever runs code of the host: what the host must hear it pulls
 * (encke_event_fd, encke_next_event).
 *
 * A handle does not survive fork: in the child it answers ENCKE_ECHILD, or goes over to the server's control
 * socket if the option control names one. So does a handle of encke_connect. The first call of such a child connects,
 * as encke_connect does, and answers ENCKE_ESYSTEM if nobody listens there.
 *
 * Whatever a call returns by its own text: any call answers ENCKE_EPANIC after a defect of the library, and one with a
 * handle ENCKE_EINVAL if it is none, ENCKE_ECLOSED if it was stopped.
 *
 * Made from src/ffi by "UPDATE=1 cargo test --test header"; do not edit. The constants are enums and no text is
 * conditional, so that PHP's FFI and Python's cffi read the same text (encke_cdef).
 */"#;

fn generated() -> String {
    let config = cbindgen::Config {
        language: cbindgen::Language::C,
        header: Some(USAGE.to_string()),
        include_guard: Some("ENCKE_H".to_string()),
        no_includes: true,
        sys_includes: vec!["stddef.h".into(), "stdint.h".into()],
        cpp_compat: false,
        style: cbindgen::Style::Type,
        usize_is_size_t: true,
        documentation_style: cbindgen::DocumentationStyle::Doxy,
        line_length: 120,
        tab_width: 4,
        export: cbindgen::ExportConfig {
            include: ["encke_code", "encke_abi", "encke_event_kind", "encke_verdict"].map(String::from).into(),
            ..cbindgen::ExportConfig::default()
        },
        ..cbindgen::Config::default()
    };
    let mut builder = cbindgen::Builder::new().with_config(config);
    for file in ["code", "text", "handle", "server", "publish", "channel", "event"] {
        builder = builder.with_src(root().join(format!("src/ffi/{file}.rs")));
    }
    let mut text = Vec::new();
    builder.generate().expect("src/ffi is read").write(&mut text);
    let text = String::from_utf8(text).expect("a header is text");
    // What Rust's readers are told about safety says nothing that C's do not know.
    let mut kept = String::new();
    let mut skipping = false;
    for line in text.lines() {
        skipping = line.trim() == "* # Safety" || skipping && line.trim() != "*/";
        if !skipping {
            kept += line.trim_end();
            kept.push('\n');
        }
    }
    on_one_line(&kept.replace(" *\n */", " */"))
}

/// A comment of one sentence needs one line.
fn on_one_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut short = String::new();
    let mut at = 0;
    while at < lines.len() {
        let one = match lines[at..] {
            [begin, middle, end, ..] if begin.trim() == "/**" && end.trim() == "*/" => middle.trim().strip_prefix("* "),
            _ => None,
        };
        match one {
            Some(sentence) => short += &format!("{}/** {sentence} */\n", &lines[at][..lines[at].len() - 3]),
            None => short += &format!("{}\n", lines[at]),
        }
        at += if one.is_some() { 3 } else { 1 };
    }
    short
}

#[test]
fn the_header_is_what_the_sources_say() {
    let path = root().join("include/encke.h");
    let new = generated();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &new).expect("the header is written");
    }
    let old = std::fs::read_to_string(&path).expect("the header is there");
    assert!(old == new, "include/encke.h is out of date: UPDATE=1 cargo test --test header");
}

/// Every constant with its value, as the header's readers must see it.
const CONSTANTS: &[(&str, i32)] = &[
    ("ENCKE_OK", 0),
    ("ENCKE_ESYSTEM", -5),
    ("ENCKE_ECHILD", -10),
    ("ENCKE_EAGAIN", -11),
    ("ENCKE_EINVAL", -22),
    ("ENCKE_ECLOSED", -32),
    ("ENCKE_ECONFIG", -78),
    ("ENCKE_EPANIC", -99),
    ("ENCKE_ETIMEDOUT", -110),
    ("ENCKE_ABI_VERSION", 1),
    ("ENCKE_EVENT_SUBSCRIBE", 1),
    ("ENCKE_EVENT_PUBLISH", 2),
    ("ENCKE_EVENT_SUBSCRIBED", 3),
    ("ENCKE_EVENT_UNSUBSCRIBED", 4),
    ("ENCKE_EVENT_GONE", 5),
    ("ENCKE_EVENT_LOG", 6),
    ("ENCKE_EVENT_OVERFLOW", 7),
    ("ENCKE_EVENT_FAILED", 8),
    ("ENCKE_DENY", 0),
    ("ENCKE_ALLOW", 1),
];

#[test]
fn the_table_of_errors_in_the_readme_has_each_code() {
    let readme = std::fs::read_to_string(root().join("bindings/c/README.md")).expect("the README");
    for (name, value) in CONSTANTS.iter().filter(|(_, value)| *value < 0) {
        assert!(readme.contains(&format!("| `{name}` | {value} |")), "{name}");
    }
}

/// Runs `program` on `input`; what it prints. Panics with what it complains of.
fn run(program: &mut Command, input: &str) -> String {
    use std::io::Write;
    program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = program.spawn().unwrap_or_else(|error| panic!("{program:?}: {error}"));
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{program:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn compile(compiler: &str, standard: &str, language: &str, header: &str, check: impl Fn(&str, i32) -> String) {
    let checks: String = CONSTANTS.iter().map(|(name, value)| check(name, *value)).collect();
    let source = format!("#include \"{header}\"\n#include \"{header}\"\n{checks}\nint main(void) {{ return ENCKE_OK; }}\n");
    let mut command = Command::new(compiler);
    command.args([standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-x", language, "-"]);
    run(command.arg("-I").arg(root().join("include")), &source);
}

#[test]
fn c11_compiles_it_and_sees_the_constants() {
    compile("cc", "-std=c11", "c", "encke.h", |name, value| format!("_Static_assert({name} == {value}, \"{name}\");\n"));
}

#[test]
fn cpp17_compiles_it_by_its_wrapper_and_sees_the_constants() {
    compile("c++", "-std=c++17", "c++", "encke.hpp", |name, value| format!("static_assert({name} == {value}, \"{name}\");\n"));
}

/// The shared library that was built for the tests.
fn library() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_encke")).with_file_name("deps").join("libencke.so")
}

#[test]
fn php_loads_it_and_sees_the_constants() {
    let names: Vec<&str> = CONSTANTS.iter().map(|(name, _)| *name).collect();
    let program = format!(
        "<?php $so = {library:?};
        $text = FFI::cdef('const char *encke_cdef(void);', $so)->encke_cdef();
        $encke = FFI::cdef($text, $so);
        $encke->new('encke_message'); $encke->new('encke_event');
        foreach ({names:?} as $name) echo $name, ' ', $encke->$name, \"\\n\";",
        library = library(),
    );
    assert_eq!(run(Command::new("php").args(["-d", "ffi.enable=1"]), &program), listing());
}

#[test]
fn cffi_loads_it_and_sees_the_constants() {
    let names: Vec<&str> = CONSTANTS.iter().map(|(name, _)| *name).collect();
    let program = format!(
        "import cffi
first = cffi.FFI()
first.cdef('const char *encke_cdef(void);')
text = first.string(first.dlopen({library:?}).encke_cdef()).decode()
ffi = cffi.FFI()
ffi.cdef(text)
encke = ffi.dlopen({library:?})
ffi.new('encke_message *'), ffi.new('encke_event *')
for name in {names:?}: print(name, getattr(encke, name))
",
        library = library(),
    );
    assert_eq!(run(Command::new("python3").arg("-"), &program), listing());
}

fn listing() -> String {
    CONSTANTS.iter().map(|(name, value)| format!("{name} {value}\n")).collect()
}
