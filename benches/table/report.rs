//! The table: medians with their spread, and two ways to compare, which agree unless the machine was unsteady.

use crate::peers;
use crate::side::Kind;
use crate::turns::Figures;
use std::fmt;

/// How figures begin that are a curve's: they are kept and drawn, and in no table.
pub const LATENCY: &str = "latency at ";

/// One row: what was measured, and what was checked meanwhile.
pub struct Row {
    pub name: &'static str,
    pub lines: Vec<Line>,
    pub asserted: &'static str,
}

/// One figure, of all that have it.
pub struct Line {
    pub what: String,
    pub unit: &'static str,
    pub cells: Vec<Cell>,
    /// What Encke must reach: a bare number bounds the ratio, one with a unit the figure itself.
    pub target: &'static str,
}

/// One figure of one server.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    pub server: String,
    /// Or why there is none.
    pub spread: Result<Spread, String>,
    /// Its median to the floor's, and the median of each round's ratio.
    pub ratios: Option<[f64; 2]>,
}

/// The median of some samples, the least and the greatest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// The spread of at least one value.
    pub fn of(values: &[f64]) -> Spread {
        Spread { median: quantile(values, 0.5), min: quantile(values, 0.0), max: quantile(values, 1.0) }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = match self.median.abs() {
            0.0 => 0,
            ..0.1 => 4,
            0.1..100.0 => 2,
            _ => 0,
        };
        if self.min == self.max {
            return f.pad(&format!("{:.places$}", self.median));
        }
        f.pad(&format!("{:.places$} [{:.places$}–{:.places$}]", self.median, self.min, self.max))
    }
}

/// The value below which `share` of the values lie.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    quantile_of_sorted(&sorted, share)
}

/// The same, of values that are in order.
pub fn quantile_of_sorted(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((share * last as f64).round() as usize).copied().unwrap_or(f64::NAN)
}

/// One figure of all sides, each beside the floor, which comes first.
pub fn compare(what: impl Into<String>, unit: &'static str, sides: Vec<Figures>, target: &'static str) -> Line {
    let mut floor: Option<(f64, Vec<(usize, f64)>)> = None;
    let mut cells = Vec::new();
    for Figures { kind, values, missing } in sides {
        let numbers: Vec<f64> = values.iter().map(|(_, value)| *value).collect();
        let spread = match missing {
            Some(reason) => Err(reason),
            None if numbers.is_empty() => Err("no round".into()),
            None => Ok(Spread::of(&numbers)),
        };
        // To nothing, nothing has a ratio.
        let beside = floor.as_ref().filter(|(median, _)| *median != 0.0);
        let ratios = beside.zip(spread.as_ref().ok()).map(|((median, floors), spread)| {
            let pair = |(round, value): &(usize, f64)| Some(value / floors.iter().find(|(number, _)| number == round)?.1);
            [spread.median / median, quantile(&values.iter().filter_map(pair).collect::<Vec<_>>(), 0.5)]
        });
        if floor.is_none() {
            floor = Some((spread.as_ref().map_or(f64::NAN, |spread| spread.median), values));
        }
        cells.push(Cell { server: peers::name(kind).into(), spread, ratios });
    }
    Line { what: what.into(), unit, cells, target }
}

/// A figure that Encke alone has.
pub fn alone(what: impl Into<String>, unit: &'static str, value: f64, target: &'static str) -> Line {
    let cell = Cell { server: peers::name(Kind::Encke).into(), spread: Ok(Spread::of(&[value])), ratios: None };
    Line { what: what.into(), unit, cells: vec![cell], target }
}

/// The table's head.
pub fn print_head() {
    println!(
        "{:<10} {:<34} {:<5} {:<6} {:>26} {:>7} {:>7}  target",
        "row", "what", "unit", "server", "median [min–max]", "ratio", "paired"
    );
}

impl Row {
    /// Its lines, one a server.
    pub fn print(&self) {
        for Line { what, unit, cells, target } in self.lines.iter().filter(|line| !line.what.starts_with(LATENCY)) {
            for Cell { server, spread, ratios } in cells {
                let target = if server == peers::name(Kind::Encke) { target } else { "" };
                let spread = spread.as_ref().map_or_else(String::clone, Spread::to_string);
                let [medians, pairs] =
                    ratios.map_or(["–".into(), "–".into()], |both| both.map(|ratio| format!("{ratio:.3}")));
                println!("{:<10} {what:<34} {unit:<5} {server:<6} {spread:>26} {medians:>7} {pairs:>7}  {target}", self.name);
            }
        }
    }
}
