//! The pictures, drawn from what is kept: latency by percentile, and cost by the number of connections.

use crate::measured::{Figure, Measured};
use crate::report::LATENCY;
use crate::svg::{Axis, Curve, chart, thousands};

/// The picture's file name and what is in it.
pub type Picture = (&'static str, String);

/// All of them, as far as there is data.
pub fn pictures(measured: &Measured) -> Vec<Picture> {
    let mut pictures = Vec::new();
    let latency = curves(measured, |figure| {
        let percent: f64 = figure.what.strip_prefix(LATENCY)?.strip_suffix('%')?.parse().ok()?;
        // 90 % is 10, 99 % is 100: as far apart as they feel.
        (figure.row == "fanout").then_some(1.0 / (1.0 - percent / 100.0))
    });
    if !latency.is_empty() {
        let marks = ["0", "50", "90", "99", "99.9", "99.99"];
        let at = |percent: &str| 1.0 / (1.0 - percent.parse::<f64>().unwrap_or_default() / 100.0);
        let x = Axis {
            name: "share of deliveries that took at most this long".into(),
            is_log: true,
            from: 1.0,
            to: 1e4,
            marks: marks.iter().map(|percent| (at(percent), format!("{percent} %"))).collect(),
        };
        let y = Axis::log("from publish to receiver", heights(&latency), duration);
        pictures.push((
            "fanout.svg",
            chart("Latency at 50,000 deliveries a second, 1,000 connections, 100 channels", &x, &y, &latency),
        ));
    }
    for (file, title, name, what, is_log) in [
        ("cpu.svg", "Server CPU a delivery, one message to every connection", "µs", "CPU a delivery, ", false),
        ("bytes.svg", "User memory a parked connection", "bytes", "user bytes each, ", true),
    ] {
        let cost = curves(measured, |figure| {
            let count = figure.what.strip_prefix(what)?.strip_suffix(" connections")?.replace(',', "");
            count.parse().ok()
        });
        if cost.is_empty() {
            continue;
        }
        let mut sizes: Vec<f64> = cost.iter().flat_map(|curve| curve.points.iter().map(|point| point.0)).collect();
        sizes.sort_by(f64::total_cmp);
        sizes.dedup();
        let x = Axis {
            name: "connections".into(),
            is_log: true,
            from: sizes[0],
            to: sizes[sizes.len() - 1],
            marks: sizes.iter().map(|&size| (size, thousands(size))).collect(),
        };
        let y = if is_log { Axis::log(name, heights(&cost), thousands) } else { Axis::linear(name, heights(&cost)) };
        pictures.push((file, chart(title, &x, &y, &cost)));
    }
    pictures
}

/// A curve for each server, of the figures that have a place on the x axis.
fn curves(measured: &Measured, x: impl Fn(&Figure) -> Option<f64>) -> Vec<Curve> {
    let servers = ["floor", "encke", "nchan", "faye"];
    let curve = |(number, server): (usize, &str)| {
        let of_server = measured.figures.iter().filter(|figure| figure.cell.server == server);
        let mut points: Vec<(f64, f64)> = of_server
            .filter_map(|figure| Some((x(figure)?, figure.cell.spread.as_ref().ok()?.median)))
            // What is not above zero has no place on an axis of powers.
            .filter(|(_, y)| *y > 0.0)
            .collect();
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        (!points.is_empty()).then(|| Curve { name: server.into(), number, points })
    };
    servers.into_iter().enumerate().filter_map(curve).collect()
}

fn heights(curves: &[Curve]) -> impl Iterator<Item = f64> {
    curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.1))
}

/// So many microseconds, a power of ten.
fn duration(us: f64) -> String {
    match us {
        ..1e3 => format!("{us} µs"),
        1e3..1e6 => format!("{} ms", us / 1e3),
        _ => format!("{} s", us / 1e6),
    }
}
