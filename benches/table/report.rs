//! The table: medians with their spread, and two ways to compare, which agree unless the machine was unsteady.

use std::fmt;

/// One row: what was measured, and what was checked meanwhile.
pub struct Row {
    pub name: &'static str,
    pub lines: Vec<Line>,
    pub asserted: &'static str,
}

/// One figure.
pub struct Line {
    pub what: String,
    pub unit: &'static str,
    pub floor: Option<Spread>,
    pub encke: Spread,
    /// Encke's median to the floor's, and the median of each round's ratio.
    pub ratios: Option<[f64; 2]>,
    /// What Encke must reach: a bare number bounds the ratio, one with a unit the figure itself.
    pub target: &'static str,
}

/// The median of some samples, the least and the greatest.
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
        let places = if self.median < 100.0 { 2 } else { 0 };
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
    let last = sorted.len().saturating_sub(1);
    sorted.get((share * last as f64).round() as usize).copied().unwrap_or(f64::NAN)
}

/// Both sides of one figure, sample by sample from the same rounds.
pub fn compare(what: impl Into<String>, unit: &'static str, [floor, encke]: [Vec<f64>; 2], target: &'static str) -> Line {
    let pairs: Vec<f64> = encke.iter().zip(&floor).map(|(encke, floor)| encke / floor).collect();
    let (floor, encke) = (Spread::of(&floor), Spread::of(&encke));
    let ratios = Some([encke.median / floor.median, quantile(&pairs, 0.5)]);
    Line { what: what.into(), unit, floor: Some(floor), encke, ratios, target }
}

/// The table's head.
pub fn print_head(opponent: &str) {
    println!(
        "{:<10} {:<32} {:<5} {:>26} {:>26} {:>7} {:>7}  target",
        "row", "what", "unit", "floor", opponent, "ratio", "paired"
    );
}

impl Row {
    /// Its lines.
    pub fn print(&self) {
        for Line { what, unit, floor, encke, ratios, target } in &self.lines {
            let floor = floor.as_ref().map_or("–".into(), Spread::to_string);
            let [medians, pairs] = ratios.map_or(["–".into(), "–".into()], |both| both.map(|ratio| format!("{ratio:.3}")));
            println!("{:<10} {what:<32} {unit:<5} {floor:>26} {encke:>26} {medians:>7} {pairs:>7}  {target}", self.name);
        }
    }
}
