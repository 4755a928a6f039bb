//! Values as people write them: counts, sizes, durations, shares, words, addresses, a path.
//!
//! Reads text into a field and a field into text, and holds a field against its entry's bounds.
//! Knows one option at a time: what two options owe each other is the table's concern.

use super::{DAY, GIB, HOUR, KIB, Kind, MIB, MINUTE, Opt, SECOND};
use std::borrow::Cow;
use std::net::SocketAddr;

/// Units of a kind, largest first; the last one is what a field counts in.
fn units(kind: Kind) -> &'static [(u64, &'static str)] {
    match kind {
        Kind::Duration => &[(DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s"), (1, "ms")],
        Kind::Bytes => &[(GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB"), (1, "B"), (1, "")],
        Kind::Percent => &[(1, "%"), (1, "")],
        Kind::Count | Kind::Text | Kind::Addresses | Kind::Path => &[(1, "")],
    }
}

/// An amount in the largest unit that divides it.
pub(super) fn show(kind: Kind, amount: u64) -> Cow<'static, str> {
    match units(kind).iter().find(|(size, _)| amount.is_multiple_of(*size)) {
        Some((size, unit)) if amount > 0 => format!("{}{unit}", amount / size).into(),
        _ => "0".into(),
    }
}

/// `25s`, `64KiB`, `1_000`: digits, then a unit of the kind. A bare `0` needs no unit.
pub(super) fn amount(kind: Kind, text: &str) -> Option<u64> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit() && letter != '_').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.replace('_', "").parse().ok()?;
    if number == 0 && unit.is_empty() {
        return Some(0);
    }
    let (size, _) = units(kind).iter().find(|(_, name)| name.eq_ignore_ascii_case(unit.trim()))?;
    number.checked_mul(*size)
}

/// What a field of any type can do for its entry of the table. An error's text lacks only the option's name.
pub(super) trait Field {
    /// Takes the value from `text`, if it is one within the bounds.
    fn set(&mut self, opt: &Opt, text: &str) -> Result<(), String>;
    /// Whether the value is within the bounds.
    fn check(&self, opt: &Opt) -> Result<(), String>;
    /// The value as it would be written.
    fn show(&self, opt: &Opt) -> String;
}

/// Whether `text` asks for what zero means.
fn is_off(opt: &Opt, text: &str) -> bool {
    opt.zero.is_some() && (text == "off" || text == "0")
}

impl Field for u64 {
    fn set(&mut self, opt: &Opt, text: &str) -> Result<(), String> {
        let value = if is_off(opt, text) { Some(0) } else { amount(opt.kind, text) };
        let value = value.ok_or_else(|| unreadable(opt, text))?;
        value.check(opt)?;
        *self = value;
        Ok(())
    }

    fn check(&self, opt: &Opt) -> Result<(), String> {
        if opt.allows(*self) {
            return Ok(());
        }
        Err(format!("{} is out of bounds ({})", show(opt.kind, *self), opt.bounds_text()))
    }

    fn show(&self, opt: &Opt) -> String {
        match opt.zero {
            Some(meaning) if *self == 0 => meaning.into(),
            _ => show(opt.kind, *self).into(),
        }
    }
}

impl Field for String {
    fn set(&mut self, opt: &Opt, text: &str) -> Result<(), String> {
        let value = if is_off(opt, text) { String::new() } else { text.to_string() };
        value.check(opt)?;
        *self = value;
        Ok(())
    }

    fn check(&self, opt: &Opt) -> Result<(), String> {
        match opt.allows(self.len() as u64) && self.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(()),
            false => Err(format!("{self:?} is not a word of visible ASCII ({})", opt.bounds_text())),
        }
    }

    fn show(&self, opt: &Opt) -> String {
        match opt.zero {
            Some(meaning) if self.is_empty() => meaning.into(),
            _ => self.clone(),
        }
    }
}

impl Field for Vec<String> {
    fn set(&mut self, opt: &Opt, text: &str) -> Result<(), String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let value: Vec<String> = if is_off(opt, text) { Vec::new() } else { parts.map(String::from).collect() };
        value.check(opt)?;
        *self = value;
        Ok(())
    }

    fn check(&self, opt: &Opt) -> Result<(), String> {
        if !opt.allows(self.len() as u64) {
            return Err(format!("{} addresses are out of bounds ({})", self.len(), opt.bounds_text()));
        }
        match self.iter().find(|text| text.parse::<SocketAddr>().is_err()) {
            Some(text) => Err(unreadable(opt, text)),
            None => Ok(()),
        }
    }

    fn show(&self, opt: &Opt) -> String {
        match opt.zero {
            Some(meaning) if self.is_empty() => meaning.into(),
            _ => self.join(","),
        }
    }
}

impl Field for Option<String> {
    fn set(&mut self, opt: &Opt, text: &str) -> Result<(), String> {
        let value = (!is_off(opt, text)).then(|| text.to_string());
        value.check(opt)?;
        *self = value;
        Ok(())
    }

    fn check(&self, opt: &Opt) -> Result<(), String> {
        let Some(path) = self else { return Ok(()) };
        match opt.bounds.contains(&(path.len() as u64)) && !path.contains('\0') {
            true => Ok(()),
            false => Err(unreadable(opt, path)),
        }
    }

    fn show(&self, _: &Opt) -> String {
        self.clone().unwrap_or_else(|| "off".into())
    }
}

/// Whether nobody but this machine reaches `address`.
pub(super) fn is_loopback(address: &str) -> bool {
    address.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_loopback())
}

/// Says what was expected instead of `text`.
fn unreadable(opt: &Opt, text: &str) -> String {
    let expected = match opt.kind {
        Kind::Count => "a count (write 1000",
        Kind::Bytes => "a size (write 4096, 64KiB, 1MiB",
        Kind::Duration => "a duration (write 25s, 5m, 1h",
        Kind::Percent => "a share (write 10%",
        Kind::Text => "a word (visible ASCII",
        Kind::Addresses => "an address (write 127.0.0.1:8080 or [::1]:8080",
        Kind::Path => "a path (write /run/encke.sock",
    };
    format!("{text:?} is not {expected}; {})", opt.bounds_text())
}
