//! How many instructions, and how many allocations, the things take that a server does most: counted by callgrind,
//! and compared with what is written down in `counts.txt`. Counts, unlike times, are the same on a busy machine.
//!
//! It compares; with `UPDATE=1` it writes down what is counted now. How it is built: `benches/README.md`.
//!
//! All is without sockets and system calls, but for `publish/c`: that is `encke_publish` in the library that `ENCKE_LIBRARY`
//! names.

mod allocations;
mod callgrind;
mod ledger;
mod rows;
mod stage;

use callgrind::callgrind;
use ledger::{Count, Ledger};
use rows::ROWS;
use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

/// The error is for people.
pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// The argument that has this program do what is counted.
const AS_COUNTED: &str = "--as-counted";

/// Where this package lies.
const HERE: &str = env!("CARGO_MANIFEST_DIR");

fn main() -> ExitCode {
    let is_counted = env::args().any(|argument| argument == AS_COUNTED);
    match if is_counted { perform() } else { count_and_compare() } {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Does each row's work once, and prints how often it did the thing, with how many allocations.
fn perform() -> Outcome<()> {
    for row in &ROWS {
        let counted = (row.count)().map_err(|error| format!("{}: {error}", row.name))?;
        println!("{} {}", counted.times, counted.work.allocations);
    }
    Ok(())
}

fn count_and_compare() -> Outcome<()> {
    let mut counts = count_rows()?;
    counts.push(count_in_c()?);
    let now = Ledger { by: compiler()?, counts };
    let file = Path::new(HERE).join("counts.txt");
    if env::var_os("UPDATE").is_some() {
        fs::write(&file, now.text())?;
    }
    now.compare(&Ledger::parse(&fs::read_to_string(&file)?)?)
}

/// The compiler that made this, as far as that can be known, and what for.
fn compiler() -> Outcome<String> {
    let output = Command::new(env::var_os("RUSTC").unwrap_or("rustc".into())).arg("--version").output()?;
    Ok(format!("by {} for {}", String::from_utf8(output.stdout)?.trim(), env::consts::ARCH))
}

fn count_rows() -> Outcome<Vec<Count>> {
    let (out, sums) = callgrind("counts::stage::counted", &env::current_exe()?, &[AS_COUNTED])?;
    if sums.len() != ROWS.len() {
        return Err(format!("{} rows were counted, not {}", sums.len(), ROWS.len()).into());
    }
    let count = |((row, line), sum): ((&rows::Row, &str), u64)| {
        let (times, allocations) = line.split_once(' ').ok_or("a row told nothing")?;
        let (times, allocations): (f64, f64) = (times.parse()?, allocations.parse()?);
        Ok(Count { name: row.name.into(), instructions: sum as f64 / times, allocations: Some(allocations / times) })
    };
    ROWS.iter().zip(out.lines()).zip(sums).map(count).collect()
}

/// A publish through the C ABI, in the library as it is installed.
fn count_in_c() -> Outcome<Count> {
    let library = env::var("ENCKE_LIBRARY").map_err(|_| "ENCKE_LIBRARY names no library (see bindings/c/README.md)")?;
    let folder = callgrind::folder("in-c")?;
    let program = folder.join("publish");
    // By the name that it is asked for.
    let library = fs::canonicalize(library)?;
    std::os::unix::fs::symlink(library, folder.join("libencke.so.0"))?;
    let compiled = Command::new("cc")
        .args(["-O1", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-I"])
        .arg(Path::new(HERE).join("../../include"))
        .arg(Path::new(HERE).join("publish.c"))
        .arg(folder.join("libencke.so.0"))
        .arg(format!("-Wl,-rpath,{}", folder.display()))
        .arg("-o")
        .arg(&program)
        .status()?;
    if !compiled.success() {
        return Err("publish.c was not compiled".into());
    }
    let (out, sums) = callgrind("counted", &program, &[])?;
    let (times, last): (f64, _) = (out.trim().parse()?, sums.last().ok_or("nothing was counted in C")?);
    Ok(Count { name: "publish/c".into(), instructions: *last as f64 / times, allocations: None })
}
