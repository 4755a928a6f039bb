//! The numbers as lines: made for 80 columns and 24 rows, and right in any.
//!
//! What is most needed stands above, so that a low screen cuts off what is needed least.

use super::sample::{Rates, Sample, View};
use super::screen::Line;

/// How wide the words before the numbers are.
const LABEL: usize = 14;
/// How wide the left table is: transports and what they hold.
const LEFT: usize = 34;
/// Rows of either table.
const TABLE_ROWS: usize = 9;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// All that a screen shows.
pub struct Frame<'a> {
    pub view: &'a View,
    pub to: &'a str,
    /// Why there is nothing new.
    pub away: Option<&'a str>,
    pub columns: usize,
    pub rows: usize,
}

impl Frame<'_> {
    /// Its lines, none longer than the screen is wide, and no more than it is high.
    pub fn lines(&self) -> Vec<Line> {
        let mut lines: Vec<(String, bool)> = vec![(self.title(), true)];
        if let Some(away) = self.away {
            lines.push((away.into(), false));
        }
        if let Some(sample) = &self.view.newest {
            let none = Rates::default();
            let rates = self.view.rates().unwrap_or(&none);
            lines.push((String::new(), false));
            lines.extend(numbers(sample, rates).map(|line| (line, false)));
            lines.push((self.curve(), false));
            lines.push((String::new(), false));
            lines.extend(self.tables(sample));
            let refusals = refusals(sample);
            if !refusals.is_empty() {
                lines.push((refusals, false));
            }
        }
        lines.truncate(self.rows);
        lines.into_iter().map(|(text, bold)| Line { text: fit(&text, self.columns), bold }).collect()
    }

    /// The same without a terminal's signs, for whoever reads it elsewhere.
    pub fn plain(&self) -> String {
        self.lines().iter().map(|line| format!("{}\n", line.text.trim_end())).collect()
    }

    fn title(&self) -> String {
        match &self.view.newest {
            None => format!("encke top   {}", self.to),
            Some(Sample { version, reactors, uptime_ms, .. }) => {
                let reactors = if *reactors == 1 { "1 reactor".into() } else { format!("{reactors} reactors") };
                format!("encke {version}   {}   {reactors}   up {}   q ends", self.to, duration(*uptime_ms))
            }
        }
    }

    /// Deliveries a second over the time that there are columns for.
    fn curve(&self) -> String {
        let room = self.columns.saturating_sub(LABEL);
        let shown = self.view.delivered.iter().skip(self.view.delivered.len().saturating_sub(room));
        let most = shown.clone().copied().fold(1.0, f64::max);
        let bar = |value: &f64| BARS[((value / most * 7.0).round() as usize).min(7)];
        format!("{:<LABEL$}{}", "Deliveries", shown.map(bar).collect::<String>())
    }

    /// Transports on the left, the busiest channels on the right.
    fn tables(&self, sample: &Sample) -> Vec<(String, bool)> {
        let name_width = self.columns.saturating_sub(LEFT + 26).max(8);
        let mut held: Vec<_> = sample.held.iter().filter(|(_, count)| **count > 0).collect();
        held.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let left: Vec<String> = held.iter().map(|(way, count)| format!("{way:<23}{:>8}   ", whole(**count))).collect();
        let row = |channel: &str, messages: &str, deliveries: &str| {
            format!("{} {messages:>10} {deliveries:>12}", fit(channel, name_width))
        };
        let busiest = sample.busiest.iter();
        let right: Vec<String> = busiest.map(|busy| row(&busy.channel, &whole(busy.messages), &whole(busy.deliveries))).collect();
        let head = format!("{:<23}{:>8}   {}", "TRANSPORT", "HELD", row("BUSIEST CHANNELS", "MESSAGES", "DELIVERIES"));
        let count = left.len().max(right.len()).min(TABLE_ROWS);
        let line = |place: usize| {
            let cell = |cells: &[String]| cells.get(place).cloned().unwrap_or_default();
            (format!("{:<LEFT$}{}", cell(&left), cell(&right)), false)
        };
        std::iter::once((head, true)).chain((0..count).map(line)).collect()
    }
}

fn numbers(sample: &Sample, rates: &Rates) -> [String; 7] {
    let stat = |name| whole(sample.stat(name));
    let known = |number: Option<u64>| number.map_or("?".into(), whole);
    let waiting: u64 = sample.mailbox.values().sum();
    let resident = sample.resident_bytes.map_or("?".into(), |resident| bytes(resident as f64));
    let history = bytes(sample.stat("history_bytes") as f64);
    let cpu = rates.cpu.map_or("?".into(), |cpu| format!("{cpu:.0}"));
    let [lag_half, lag_most] = [50, 99].map(|percent| whole(rates.lag.percentile(percent)));
    let [turn_half, turn_most] = [50, 99].map(|percent| time(rates.turn.percentile(percent)));
    let (open, max) = (known(sample.open_descriptors), known(sample.max_descriptors));
    [
        (
            "Connections",
            [stat("connections"), format!("channels {}", stat("channels")), format!("sessions {}", stat("sessions"))],
        ),
        (
            "Each second",
            [
                format!("published {}", rate(rates.published)),
                format!("delivered {}", rate(rates.delivered)),
                format!("refused {}", rate(rates.refused)),
            ],
        ),
        (
            "Bytes",
            [
                format!("sent {}/s", bytes(rates.sent_bytes)),
                format!("received {}/s", bytes(rates.received_bytes)),
                format!("in mailboxes {}", whole(waiting)),
            ],
        ),
        (
            "Lost",
            [
                format!("gaps {}", stat("gaps")),
                format!("missed {}", stat("missed")),
                format!("gaps a second {}", rate(rates.gaps)),
            ],
        ),
        (
            "Lag, messages",
            [format!("half {lag_half}"), format!("99% {lag_most}"), format!("{} readers blocked", whole(rates.lag.count()))],
        ),
        ("Turns", [format!("half {turn_half}"), format!("99% {turn_most}"), format!("processor {cpu}%")]),
        ("Memory", [resident, format!("history {history}"), format!("descriptors {open}/{max}")]),
    ]
    .map(|(label, [first, second, third])| format!("{label:<LABEL$}{first:<17} {second:<19} {third}"))
}

/// The codes of refusals, the most frequent first.
fn refusals(sample: &Sample) -> String {
    let mut codes: Vec<_> = sample.refusals.iter().filter(|(_, count)| **count > 0).collect();
    codes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let told: Vec<String> = codes.iter().map(|(code, count)| format!("{code} {}", whole(**count))).collect();
    if told.is_empty() { String::new() } else { format!("Refused in all: {}", told.join(", ")) }
}

/// Cut or filled to so many columns.
fn fit(text: &str, columns: usize) -> String {
    let count = text.chars().count();
    match count > columns {
        false => format!("{text}{}", " ".repeat(columns - count)),
        true => text.chars().take(columns.saturating_sub(1)).chain((columns > 0).then_some('…')).collect(),
    }
}

/// `1,234,567`
fn whole(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn rate(number: f64) -> String {
    if number > 0.0 && number < 10.0 { format!("{number:.1}") } else { whole(number.round() as u64) }
}

fn bytes(number: f64) -> String {
    let mut number = number;
    let mut units = ["B", "KiB", "MiB", "GiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for next in units {
        if number < 1_024.0 {
            break;
        }
        (number, unit) = (number / 1_024.0, next);
    }
    let digits = usize::from(number < 100.0 && unit != "B");
    format!("{number:.digits$} {unit}")
}

fn time(microseconds: u64) -> String {
    match microseconds {
        0..1_000 => format!("{microseconds} µs"),
        1_000..1_000_000 => format!("{:.1} ms", microseconds as f64 / 1e3),
        _ => format!("{:.1} s", microseconds as f64 / 1e6),
    }
}

fn duration(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::tests::sample;
    use super::*;

    fn view() -> View {
        let mut view = View::default();
        (0..100).for_each(|second| view.take(sample(60_000 + second * 1_000, second * second * 1_000)));
        view
    }

    #[test]
    fn a_frame_fits_its_screen_whatever_that_is() {
        for (columns, rows) in [(80, 24), (120, 50), (40, 10), (20, 5), (1, 1), (300, 24)] {
            for away in [None, Some("no server at all")] {
                let lines = Frame { view: &view(), to: "http://127.0.0.1:8081", away, columns, rows }.lines();
                assert!(lines.len() <= rows, "{columns} by {rows}");
                assert!(lines.iter().all(|line| line.text.chars().count() == columns), "{columns} by {rows}");
            }
        }
    }

    #[test]
    fn what_matters_is_told() {
        let text = Frame { view: &view(), to: "unix:/run/encke.sock", away: None, columns: 80, rows: 24 }.plain();
        for told in [
            "encke 0.1.0   unix:/run/encke.sock   2 reactors   up 2 min",
            "Connections   12,345",
            "delivered 197,000",
            "Lag, messages half 8            99% 8",
            "Turns         half 128 µs       99% 128 µs",
            "Memory        100 MiB",
            "descriptors 12,400/1,048,576",
            "sse                      12,000   /a/channel",
            "120,000",
            "Refused in all: forbidden 7",
        ] {
            assert!(text.contains(told), "{told:?} is not in\n{text}");
        }
        assert!(!text.contains("idle") && !text.contains('\x1b'), "{text}");
    }

    #[test]
    fn numbers_are_shown_as_people_read_them() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(whole), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.0, 0.5, 12.4, 1_000.0].map(rate), ["0", "0.5", "12", "1,000"]);
        assert_eq!([0.0, 1_023.0, 1_536.0, 3e8, 5e12].map(bytes), ["0 B", "1023 B", "1.5 KiB", "286 MiB", "4657 GiB"]);
        assert_eq!([16, 2_048, 4_194_304].map(time), ["16 µs", "2.0 ms", "4.2 s"]);
        assert_eq!([59_000, 61_000, 3_700_000, 90_000_000].map(duration), ["59 s", "1 min", "1 h 1 min", "1 d 1 h"]);
        assert_eq!(fit("abcdef", 4), "abc…");
    }
}
