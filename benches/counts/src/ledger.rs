//! The file that counts are written down in, and what becomes of those that are off.
//!
//! More than [`WITHIN`] off fails, whichever way: a gain is written down, too. Another compiler makes other code; where it is
//! another than the file's, instructions are shown and not judged. Allocations are, by any.

use crate::Outcome;

/// How far instructions may be from what is written down.
const WITHIN: f64 = 0.05;

const HEAD: &str = "# Instructions and allocations that each takes. Written with UPDATE=1, see benches/README.md.\n";

/// What one of something takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Count {
    pub name: String,
    pub instructions: f64,
    /// Unknown of what is not ours to watch.
    pub allocations: Option<f64>,
}

/// Counts, and the compiler that made what was counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Ledger {
    pub by: String,
    pub counts: Vec<Count>,
}

impl Ledger {
    /// The file's text.
    pub fn text(&self) -> String {
        let line = |count: &Count| {
            let Count { name, instructions, allocations } = count;
            format!("{name:<24}{instructions:>8.0}{:>8}\n", told(*allocations))
        };
        format!("{HEAD}{}\n{}", self.by, self.counts.iter().map(line).collect::<String>())
    }

    /// What the file holds.
    pub fn parse(text: &str) -> Outcome<Ledger> {
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let by = lines.next().ok_or("there is no compiler in the file")?.into();
        let count = |line: &str| match line.split_whitespace().collect::<Vec<_>>()[..] {
            [name, instructions, allocations] => {
                let allocations = if allocations == "-" { None } else { Some(allocations.parse()?) };
                Ok(Count { name: name.into(), instructions: instructions.parse()?, allocations })
            }
            _ => Err(format!("not a count: {line}").into()),
        };
        Ok(Ledger { by, counts: lines.map(count).collect::<Outcome<_>>()? })
    }

    /// Prints these counts beside those that are written down; `Err` names those that are off.
    pub fn compare(&self, written: &Ledger) -> Outcome<()> {
        let is_judged = self.by == written.by;
        println!("{:<24}{:>8}{:>8}{:>8}{:>8}", "", "before", "now", "", "allocs");
        let mut off = Vec::new();
        for now in &self.counts {
            let before = written.counts.iter().find(|before| before.name == now.name);
            let change = before.map_or(f64::INFINITY, |before| now.instructions / before.instructions - 1.0);
            let allocates_as_before = before.is_some_and(|before| told(before.allocations) == told(now.allocations));
            if !allocates_as_before || is_judged && change.abs() > WITHIN {
                off.push(&*now.name);
            }
            let (name, before) = (&now.name, before.map_or(0.0, |before| before.instructions));
            let (instructions, allocations) = (now.instructions, told(now.allocations));
            println!("{name:<24}{before:>8.0}{instructions:>8.0}{:>+7.1}%{allocations:>8}", change * 100.0);
        }
        let gone = written.counts.iter().filter(|before| self.counts.iter().all(|now| now.name != before.name));
        off.extend(gone.map(|before| &*before.name));
        if !is_judged {
            println!("INSTRUCTIONS ARE NOT JUDGED: they were written down {}, and this is {}", written.by, self.by);
        }
        match off.is_empty() {
            true => Ok(()),
            false => Err(format!("not as written down: {}; what is meant is written down with UPDATE=1", off.join(", ")).into()),
        }
    }
}

/// Allocations to a hundredth, which is as far as they are compared.
fn told(allocations: Option<f64>) -> String {
    allocations.map_or("-".into(), |allocations| format!("{allocations:.2}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(by: &str, counts: &[(&str, f64, Option<f64>)]) -> Ledger {
        let count = |&(name, instructions, allocations): &(&str, f64, Option<f64>)| Count {
            name: name.into(),
            instructions,
            allocations,
        };
        Ledger { by: by.into(), counts: counts.iter().map(count).collect() }
    }

    #[test]
    fn what_is_written_is_read() {
        let ledger = ledger("by rustc 1", &[("publish/c", 948.0, None), ("connect/sse", 16_576.0, Some(6.01))]);
        assert_eq!(Ledger::parse(&ledger.text()).unwrap(), ledger);
        assert!(Ledger::parse("").is_err());
        assert!(Ledger::parse("by rustc 1\nconnect/sse 16576").is_err());
    }

    #[test]
    fn what_is_too_far_off_fails_whichever_way() {
        let written = ledger("by rustc 1", &[("a", 1_000.0, Some(2.0))]);
        for (by, count, holds) in [
            ("by rustc 1", ("a", 1_049.0, Some(2.0)), true),
            ("by rustc 1", ("a", 951.0, Some(2.0)), true),
            ("by rustc 1", ("a", 1_051.0, Some(2.0)), false),
            ("by rustc 1", ("a", 949.0, Some(2.0)), false),
            ("by rustc 1", ("a", 1_000.0, Some(2.01)), false),
            ("by rustc 1", ("a", 1_000.0, None), false),
            ("by rustc 1", ("b", 1_000.0, Some(2.0)), false),
            ("by rustc 2", ("a", 2_000.0, Some(2.0)), true),
            ("by rustc 2", ("a", 1_000.0, Some(3.0)), false),
        ] {
            assert_eq!(ledger(by, &[count]).compare(&written).is_ok(), holds, "{by} {count:?}");
        }
        assert!(ledger("by rustc 1", &[]).compare(&written).is_err());
    }
}
