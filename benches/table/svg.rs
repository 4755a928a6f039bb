//! A line chart as SVG: what little a bench needs to draw, in colours that a page, light or dark, decides on.
//!
//! Written by hand, because a drawing crate writes fixed colours: here lines have classes, and the style within the picture
//! gives each of them two colours. Lines differ by their dashes too. Equal data gives equal bytes.

use std::fmt::Write;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
/// Around the plot: top, right (the lines' names), bottom, left.
const MARGIN: [f64; 4] = [46.0, 80.0, 54.0, 84.0];
/// Names are at least so far apart.
const NAME_GAP: f64 = 16.0;

const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-size:15px;font-weight:600}.paper{fill:#fff}
.grid{stroke:#d8dee4;stroke-width:1}.line{fill:none;stroke-width:2.2}.dot{stroke:none}
.s0{stroke:#6e7781;fill:#6e7781}.s1{stroke:#0969da;fill:#0969da}.s2{stroke:#bc4c00;fill:#bc4c00}.s3{stroke:#8250df;fill:#8250df}
path.line{fill:none}text.name{stroke:none;font-weight:600}.s1.line{stroke-width:3.2}
.s0.line{stroke-dasharray:7 4}.s2.line{stroke-dasharray:2 3}.s3.line{stroke-dasharray:9 3 2 3}
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.paper{fill:#0d1117}.grid{stroke:#30363d}
.s0{stroke:#9ba5af;fill:#9ba5af}.s1{stroke:#58a6ff;fill:#58a6ff}.s2{stroke:#f0883e;fill:#f0883e}.s3{stroke:#bc8cff;fill:#bc8cff}}";

/// One direction: what it says, where it begins and ends, and where it has a mark.
pub struct Axis {
    pub name: String,
    pub is_log: bool,
    pub from: f64,
    pub to: f64,
    pub marks: Vec<(f64, String)>,
}

/// One server's points, from left to right. The number chooses colour and dashes.
pub struct Curve {
    pub name: String,
    pub number: usize,
    pub points: Vec<(f64, f64)>,
}

impl Axis {
    /// 1, 10, 100 … around these values, written as `mark` does.
    pub fn log(name: &str, values: impl Iterator<Item = f64>, mark: fn(f64) -> String) -> Axis {
        let (least, most) = values.fold((f64::INFINITY, 0.0f64), |(least, most), value| (least.min(value), most.max(value)));
        let (from, to) = (least.log10().floor() as i32, most.log10().ceil() as i32);
        let marks = (from..=to).map(|power| 10f64.powi(power)).map(|value| (value, mark(value))).collect();
        Axis { name: name.into(), is_log: true, from: 10f64.powi(from), to: 10f64.powi(to), marks }
    }

    /// From zero to above these values, in steps of 1, 2 or 5.
    pub fn linear(name: &str, values: impl Iterator<Item = f64>) -> Axis {
        let most = values.fold(0.0, f64::max);
        let power = 10f64.powf((most / 5.0).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|step| step * power).into_iter().find(|step| most / step <= 6.0).unwrap_or(most);
        let count = (most / step).ceil() as usize;
        let marks = (0..=count).map(|number| number as f64 * step).map(|value| (value, thousands(value))).collect();
        Axis { name: name.into(), is_log: false, from: 0.0, to: count as f64 * step, marks }
    }

    /// Where a value lies, from 0 to 1.
    fn share(&self, value: f64) -> f64 {
        let scale = |value: f64| if self.is_log { value.ln() } else { value };
        (scale(value) - scale(self.from)) / (scale(self.to) - scale(self.from))
    }
}

/// The picture.
pub fn chart(title: &str, x: &Axis, y: &Axis, curves: &[Curve]) -> String {
    let [top, right, bottom, left] = MARGIN;
    let (end, floor) = (WIDTH - right, HEIGHT - bottom);
    let across = |value: f64| left + x.share(value) * (end - left);
    let down = |value: f64| floor - y.share(value) * (floor - top);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n<rect class=\"paper\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"6\"/>\n"
    );
    text(&mut out, left, 26.0, "title", "start", title);
    for (value, mark) in &x.marks {
        let at = across(*value);
        line(&mut out, (at, top), (at, floor));
        text(&mut out, at, floor + 20.0, "mark", "middle", mark);
    }
    for (value, mark) in &y.marks {
        let at = down(*value);
        line(&mut out, (left, at), (end, at));
        text(&mut out, left - 8.0, at + 4.5, "mark", "end", mark);
    }
    text(&mut out, (left + end) / 2.0, HEIGHT - 12.0, "mark", "middle", &x.name);
    let middle = (top + floor) / 2.0;
    let _ = writeln!(out, "<text transform=\"translate(18 {middle:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>", y.name);
    let mut names: Vec<(f64, &Curve)> = Vec::new();
    for curve in curves {
        let places: Vec<(f64, f64)> = curve.points.iter().map(|&(x, y)| (across(x), down(y))).collect();
        let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        let number = curve.number;
        let _ = writeln!(out, "<path class=\"line s{number}\" d=\"M{}\"/>", path.join("L"));
        for (x, y) in &places {
            let _ = writeln!(out, "<circle class=\"dot s{number}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>");
        }
        names.extend(places.last().map(|(_, y)| (*y, curve)));
    }
    // Beside the ends of their lines, moved down where two would touch; and up again where that left the picture.
    names.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let mut above = f64::NEG_INFINITY;
    for (at, _) in &mut names {
        *at = at.max(above + NAME_GAP);
        above = *at;
    }
    let mut below = floor + NAME_GAP;
    for (at, _) in names.iter_mut().rev() {
        *at = at.min(below - NAME_GAP);
        below = *at;
    }
    for (at, curve) in names {
        text(&mut out, end + 10.0, at + 4.5, &format!("name s{}", curve.number), "start", &curve.name);
    }
    out.push_str("</svg>\n");
    out
}

fn line(out: &mut String, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(out, "<path class=\"grid\" d=\"M{:.1} {:.1}L{:.1} {:.1}\"/>", from.0, from.1, to.0, to.1);
}

fn text(out: &mut String, x: f64, y: f64, class: &str, anchor: &str, words: &str) {
    let _ = writeln!(out, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>");
}

/// A number as people write it: 10,000; 0.1.
pub fn thousands(value: f64) -> String {
    if value.fract() != 0.0 && value < 10.0 {
        return format!("{value}");
    }
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) && !out.ends_with('-') {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
