//! What is made out of the data: the pictures, the table in `benches/README.md`, and `benches/CAPACITY.md`. They are written by
//! `--plot` and `--write`; a test run of all targets checks that they say what the data says.

use crate::measured::{self, Figure, Measured, folder};
use crate::peers::ABSENT;
use crate::report::{Cell, LATENCY};
use crate::{Outcome, capacity, plots};
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

const BEGIN: &str = "<!-- measured: written by benches/run.sh --write and --plot -->\n";
const END: &str = "<!-- end of measured -->";
/// Rows that are pictures alone.
const DRAWN: [&str; 1] = ["scale"];

/// Writes what is made out of the data.
pub fn write() -> Outcome<()> {
    for (path, text) in pages(&measured::load()?)? {
        fs::write(path, text)?;
    }
    Ok(())
}

/// Checks that nothing says anything else than the data.
pub fn check() -> Outcome<()> {
    for (path, text) in pages(&measured::load()?)? {
        if fs::read_to_string(&path).unwrap_or_default() != text {
            return Err(format!("{} does not say what the data says: benches/run.sh --plot writes it", path.display()).into());
        }
    }
    Ok(())
}

fn pages(measured: &Measured) -> Outcome<Vec<(PathBuf, String)>> {
    let folder = folder();
    let mut pages: Vec<(PathBuf, String)> =
        plots::pictures(measured).into_iter().map(|(name, picture)| (folder.join("measured").join(name), picture)).collect();
    let readme = folder.join("README.md");
    let text = fs::read_to_string(&readme)?;
    let (before, rest) = text.split_once(BEGIN).ok_or("benches/README.md has no place for the table")?;
    let (_, after) = rest.split_once(END).ok_or("the place for the table in benches/README.md has no end")?;
    pages.push((readme, format!("{before}{BEGIN}{}{END}{after}", table(measured))));
    pages.push((folder.join("CAPACITY.md"), capacity::page(measured)?));
    Ok(pages)
}

/// A line a figure, a column a server.
fn table(measured: &Measured) -> String {
    let mut out = format!("{}.\n\n", measured.machine);
    out += "| row | what | unit | floor | encke | ratio | paired | nchan | faye | target | commit |\n|---|---|---|---|---|---|---|---|---|---|---|\n";
    let shown = |figure: &&Figure| !DRAWN.contains(&figure.row.as_str()) && !figure.what.starts_with(LATENCY);
    let mut lines: Vec<Vec<&Figure>> = Vec::new();
    for figure in measured.figures.iter().filter(shown) {
        match lines.last_mut() {
            Some(line) if line[0].row == figure.row && line[0].what == figure.what => line.push(figure),
            _ => lines.push(vec![figure]),
        }
    }
    let mut failures: Vec<String> = Vec::new();
    for Figure { row, cell, .. } in measured.figures.iter() {
        let Some(reason) = cell.spread.as_ref().err().filter(|reason| *reason != ABSENT) else { continue };
        let failure = format!("- `{row}`, {}: {}\n", cell.server, reason.replace(['<', '>'], ""));
        if !failures.contains(&failure) {
            failures.push(failure);
        }
    }
    for line in lines {
        let Figure { row, what, unit, target, commit, .. } = line[0];
        let of = |server: &str| line.iter().map(|figure| &figure.cell).find(|cell| cell.server == server);
        let [ratio, paired] = [0, 1].map(|which| {
            let ratios = of("encke").and_then(|cell| cell.ratios);
            ratios.map_or("–".into(), |both| format!("{:.3}", both[which]))
        });
        let [floor, encke] = ["floor", "encke"].map(|server| of(server).map_or("–".into(), value));
        let [nchan, faye] = ["nchan", "faye"].map(|server| of(server).map_or("–".into(), beside_floor));
        let _ = writeln!(
            out,
            "| {row} | {what} | {unit} | {floor} | {encke} | {ratio} | {paired} | {nchan} | {faye} | {target} | {commit} |"
        );
    }
    if !failures.is_empty() {
        out += "\nWhat failed:\n\n";
        out += &failures.concat();
    }
    out
}

fn value(cell: &Cell) -> String {
    match &cell.spread {
        Ok(spread) => spread.to_string(),
        Err(reason) if reason == ABSENT => reason.clone(),
        Err(_) => "failed".into(),
    }
}

/// A peer's median, and in parentheses its ratio to the floor's.
fn beside_floor(cell: &Cell) -> String {
    match cell.ratios {
        Some([ratio, _]) if ratio.is_finite() => format!("{} ({ratio:.2})", value(cell)),
        _ => value(cell),
    }
}
