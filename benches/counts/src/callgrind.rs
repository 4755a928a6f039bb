//! Runs a program under callgrind, which counts while one function of it runs.

use crate::Outcome;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An empty folder for something, beside this program.
pub fn folder(name: &str) -> Outcome<PathBuf> {
    let folder = env::current_exe()?.with_file_name("counts.out").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// What `program` prints, and how many instructions each run of `function` took.
pub fn callgrind(function: &str, program: &Path, arguments: &[&str]) -> Outcome<(String, Vec<u64>)> {
    let folder = folder("out")?;
    let output = Command::new("valgrind")
        .args(["--quiet", "--tool=callgrind"])
        .args([format!("--toggle-collect={function}"), format!("--dump-after={function}")])
        .arg(format!("--callgrind-out-file={}", folder.join("out").display()))
        .arg(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let (out, err) = (String::from_utf8(output.stdout)?, String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        return Err(format!("{}: {out}{err}", program.display()).into());
    }
    // Behind the dumps comes one of all that was not counted, which has no number.
    let dumps = (1..).map_while(|part| fs::read_to_string(folder.join(format!("out.{part}"))).ok());
    Ok((out, dumps.map(|dump| sum(&dump)).collect::<Outcome<_>>()?))
}

/// `totals: 1234`
fn sum(dump: &str) -> Outcome<u64> {
    let line = dump.lines().find_map(|line| line.strip_prefix("totals: ")).ok_or("callgrind told no sum")?;
    Ok(line.trim().parse()?)
}
