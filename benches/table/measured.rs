//! What was measured, kept as text: `benches/measured/table.tsv`. A line is one figure of one server, with the commit it was
//! measured at; a row that is measured anew replaces its lines and no others.
//!
//! ```text
//! row what unit server median min max ratio paired target commit reason
//! ```
//! Fields are split by tabs; one that has nothing to say is empty. A figure that is missing has a reason instead.

use crate::Outcome;
use crate::report::{Cell, Row, Spread};
use std::fmt::Write;
use std::path::PathBuf;

const HEAD: &str = "row\twhat\tunit\tserver\tmedian\tmin\tmax\tratio\tpaired\ttarget\tcommit\treason";

/// One figure of one server.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    pub row: String,
    pub what: String,
    pub unit: String,
    pub target: String,
    pub commit: String,
    pub cell: Cell,
}

/// All figures, and the machine they are from.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    pub machine: String,
    pub figures: Vec<Figure>,
}

/// Where data, plots and pages lie.
pub fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/benches"))
}

/// What is kept.
pub fn load() -> Outcome<Measured> {
    Measured::parse(&std::fs::read_to_string(file())?)
}

fn file() -> PathBuf {
    folder().join("measured/table.tsv")
}

impl Measured {
    fn parse(text: &str) -> Outcome<Measured> {
        let mut lines = text.lines();
        let machine = lines.next().and_then(|line| line.strip_prefix("# ")).ok_or("the data does not begin with its machine")?;
        if lines.next() != Some(HEAD) {
            return Err(format!("the data's second line is not: {HEAD}").into());
        }
        let figures = lines.map(|line| figure(line).ok_or_else(|| format!("no figure: {line}").into()));
        Ok(Measured { machine: machine.into(), figures: figures.collect::<Outcome<_>>()? })
    }

    /// Puts a row's lines in the place of its old ones, or at the end.
    pub fn take(&mut self, row: &Row, commit: &str) {
        let at = self.figures.iter().position(|figure| figure.row == row.name).unwrap_or(self.figures.len());
        self.figures.retain(|figure| figure.row != row.name);
        let of_line = row.lines.iter().flat_map(|line| line.cells.iter().map(move |cell| (line, cell)));
        let new = of_line.map(|(line, cell)| Figure {
            row: row.name.into(),
            what: line.what.clone(),
            unit: line.unit.into(),
            target: line.target.into(),
            commit: commit.into(),
            cell: cell.clone(),
        });
        self.figures.splice(at..at, new);
    }

    /// Keeps it.
    pub fn save(&self) -> Outcome<()> {
        let mut text = format!("# {}\n{HEAD}\n", self.machine);
        for Figure { row, what, unit, target, commit, cell } in &self.figures {
            let number = |value: f64| format!("{value:.4}");
            let spread = cell.spread.as_ref().ok();
            let [median, min, max] =
                [spread.map(|spread| spread.median), spread.map(|spread| spread.min), spread.map(|spread| spread.max)]
                    .map(|value| value.map(number).unwrap_or_default());
            let [ratio, paired] = [0, 1].map(|which| cell.ratios.map(|both| number(both[which])).unwrap_or_default());
            // A reason is one line, whatever a server said.
            let reason = cell.spread.as_ref().err().map(|reason| reason.replace(['\t', '\n'], " ")).unwrap_or_default();
            let server = &cell.server;
            writeln!(
                text,
                "{row}\t{what}\t{unit}\t{server}\t{median}\t{min}\t{max}\t{ratio}\t{paired}\t{target}\t{commit}\t{reason}"
            )?;
        }
        Ok(std::fs::write(file(), text)?)
    }

    /// The median of one figure of one server's, if it is there.
    pub fn median(&self, row: &str, what: &str, server: &str) -> Outcome<f64> {
        let is = |figure: &&Figure| figure.row == row && figure.what.starts_with(what) && figure.cell.server == server;
        let figure = self.figures.iter().find(is).ok_or_else(|| format!("no figure yet of {server}: {row}, {what}"))?;
        figure.cell.spread.as_ref().map(|spread| spread.median).map_err(|reason| reason.clone().into())
    }
}

fn figure(line: &str) -> Option<Figure> {
    let fields: Vec<&str> = line.split('\t').collect();
    let &[row, what, unit, server, median, min, max, ratio, paired, target, commit, reason] = fields.as_slice() else {
        return None;
    };
    let spread = match reason {
        "" => Ok(Spread { median: median.parse().ok()?, min: min.parse().ok()?, max: max.parse().ok()? }),
        _ => Err(reason.into()),
    };
    let ratios = match (ratio, paired) {
        ("", "") => None,
        _ => Some([ratio.parse().ok()?, paired.parse().ok()?]),
    };
    let cell = Cell { server: server.into(), spread, ratios };
    let [row, what, unit, target, commit] = [row, what, unit, target, commit].map(String::from);
    Some(Figure { row, what, unit, target, commit, cell })
}
