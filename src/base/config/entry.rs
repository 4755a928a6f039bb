//! One entry of the table: what it is called, what it may be, how both are shown to people, and who was meant by a
//! name that nothing has.

use super::value::{self, Field};
use super::{Config, OPTIONS};
use crate::base::error::Error;
use std::borrow::Cow;
use std::ops::RangeInclusive;

/// What an option's text means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// How many: `1000` or `1_000`.
    Count,
    /// A size: `4096`, `64KiB`, `1MiB`.
    Bytes,
    /// Milliseconds, written `500ms`, `25s`, `5m`, `1h`, `1d`.
    Duration,
    /// A share: `10%` or `10`.
    Percent,
    /// One word of visible ASCII; the bound is its length.
    Text,
    /// IP addresses with a port, parted by commas; the bound is their number.
    Addresses,
    /// A path, or none; the bound is its length.
    Path,
}

/// One entry of the table.
pub struct Opt {
    /// The field of [`Config`], and unless it ends in a unit also the key.
    pub field: &'static str,
    /// The name in a file: the field without its unit.
    pub key: &'static str,
    /// How its text is read.
    pub kind: Kind,
    /// What it may be, in the field's unit.
    pub bounds: RangeInclusive<u64>,
    /// What zero means where zero is allowed beside the bounds: `off`, `one a core`.
    pub zero: Option<&'static str>,
    /// Whether a running server keeps its value whatever a reload says.
    pub until_restart: bool,
    /// What it does, in a sentence or two.
    pub help: &'static [&'static str],
    pub(super) read: fn(&Config) -> &dyn Field,
    pub(super) write: fn(&mut Config) -> &mut dyn Field,
    pub(super) copy: fn(&mut Config, &Config),
}

/// The name in a file: what the value's own unit says already is left out.
pub(super) const fn without_unit(field: &'static str) -> &'static str {
    let (bytes, units) = (field.as_bytes(), ["_ms", "_percent"]);
    let mut which = 0;
    while which < units.len() {
        let unit = units[which].as_bytes();
        let start = bytes.len().saturating_sub(unit.len());
        let mut same = 0;
        while same < unit.len() && start + same < bytes.len() && bytes[start + same] == unit[same] {
            same += 1;
        }
        if same == unit.len() {
            return field.split_at(start).0;
        }
        which += 1;
    }
    field
}

impl std::fmt::Debug for Opt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "--{}", self.name())
    }
}

impl Opt {
    /// The entry called `name`, written with `-` or `_`; for any other name `Err` says which one is nearest.
    pub fn find(name: &str) -> Result<&'static Opt, Error> {
        let key = name.replace('-', "_");
        if let Some(opt) = OPTIONS.iter().find(|opt| opt.key == key) {
            return Ok(opt);
        }
        let name = name.replace('_', "-");
        let nearest = nearest(&key, OPTIONS.iter().map(|opt| opt.key)).map(|key| key.replace('_', "-"));
        let hint = nearest.map_or(String::new(), |nearest| format!(" (did you mean --{nearest}?)"));
        Err(Error::Config(format!("--{name}: there is no such option{hint}")))
    }

    /// The name on the command line, without its dashes.
    pub fn name(&self) -> String {
        self.key.replace('_', "-")
    }

    /// The name in the environment.
    pub fn variable(&self) -> String {
        format!("ENCKE_{}", self.key.to_ascii_uppercase())
    }

    /// What it may be, for people: `off, or 100ms to 1d`.
    pub fn bounds_text(&self) -> String {
        let (low, high) = (self.kind.show(*self.bounds.start()), self.kind.show(*self.bounds.end()));
        let unit = match self.kind {
            Kind::Text | Kind::Path => " characters",
            Kind::Addresses => " addresses",
            Kind::Count | Kind::Bytes | Kind::Duration | Kind::Percent => "",
        };
        match self.zero {
            None => format!("{low} to {high}{unit}"),
            Some("off") => format!("off, or {low} to {high}{unit}"),
            Some(meaning) => format!("0 for {meaning}, or {low} to {high}{unit}"),
        }
    }

    /// Its value in `config`, as it would be written.
    pub fn show(&self, config: &Config) -> String {
        (self.read)(config).show(self)
    }

    /// Whether `amount` is within the bounds.
    pub(super) fn allows(&self, amount: u64) -> bool {
        self.bounds.contains(&amount) || amount == 0 && self.zero.is_some()
    }

    /// The operator's error about this option: its name first.
    pub(super) fn error(&self, what: impl std::fmt::Display) -> String {
        format!("--{}: {what}", self.name())
    }
}

/// Which of `words` was probably meant by `typed`: the one fewest edits away, if that is not most of it.
pub fn nearest<'a>(typed: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let (edits, word) = words.map(|word| (edits(typed, word), word)).min()?;
    (edits * 2 < word.len().max(2)).then_some(word)
}

/// How many letters must be added, dropped or replaced to turn `from` into `to` (Levenshtein).
fn edits(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (above, letter) in from.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], above + 1);
        for (at, other) in to.bytes().enumerate() {
            let replaced = diagonal + usize::from(letter != other);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(diagonal + 1).min(row[at] + 1);
        }
    }
    row[to.len()]
}

impl Kind {
    /// What stands for the value in help text.
    pub fn placeholder(self) -> &'static str {
        match self {
            Kind::Count => "COUNT",
            Kind::Bytes => "SIZE",
            Kind::Duration => "DURATION",
            Kind::Percent => "PERCENT",
            Kind::Text => "TEXT",
            Kind::Addresses => "ADDRESS,…",
            Kind::Path => "PATH",
        }
    }

    /// The amount of this kind that people write so: `25s`, `64KiB`.
    pub fn read(self, text: &str) -> Option<u64> {
        value::amount(self, text)
    }

    /// An amount of this kind as people write it, in the largest unit that divides it.
    pub(super) fn show(self, amount: u64) -> Cow<'static, str> {
        value::show(self, amount)
    }
}
