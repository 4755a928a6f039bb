//! Pictures of a comet on its way around the sun, each a PNG of its own.
//!
//! ```text
//! PNG   = signature IHDR IDAT IEND        chunk = length name data crc32
//! IDAT  = zlib( height * ( 01 row ) )     01: each byte less the one three before it
//! ```

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use std::f32::consts::TAU;
use std::io::Write;

const WIDTH: usize = 320;
const HEIGHT: usize = 180;
/// Steps of a revolution.
const STEPS: u32 = 120;

/// The ellipse: its middle, its half axes; the sun stands in its left focus.
const MIDDLE: (f32, f32) = (165.0, 90.0);
const AXES: (f32, f32) = (130.0, 62.0);
const ECCENTRICITY: f32 = 0.85;
const SUN: (f32, f32) = (MIDDLE.0 - 110.0, MIDDLE.1);

const NIGHT: [f32; 3] = [11.0, 15.0, 28.0];
const STARS: usize = 90;

/// The comet, and where it is.
#[derive(Default)]
pub struct Comet {
    step: u32,
}

impl Comet {
    /// The next picture.
    pub fn picture(&mut self) -> Vec<u8> {
        self.step = (self.step + 1) % STEPS;
        let (x, y) = place(self.step as f32 / STEPS as f32);
        let mut canvas = Canvas::night();
        canvas.glow(SUN, 26.0, [255.0, 190.0, 80.0]);
        canvas.glow(SUN, 9.0, [255.0, 250.0, 220.0]);
        // The tail points away from the sun, and is longer the nearer that is.
        let (away_x, away_y) = (x - SUN.0, y - SUN.1);
        let distance = away_x.hypot(away_y).max(1.0);
        let length = 1_800.0 / distance + 18.0;
        for part in (0..12).rev() {
            let along = part as f32 / 12.0;
            let at = (x + away_x / distance * length * along, y + away_y / distance * length * along);
            let faint = (1.0 - along) * 0.5;
            canvas.glow(at, 4.0 + 5.0 * along, [110.0 * faint, 160.0 * faint, 255.0 * faint]);
        }
        canvas.glow((x, y), 6.0, [220.0, 235.0, 255.0]);
        canvas.png()
    }
}

/// Where it is after this share of a revolution: fast near the sun, slow far out (Kepler's equation, by Newton).
fn place(share: f32) -> (f32, f32) {
    let mean = share * TAU;
    let anomaly =
        (0..8).fold(std::f32::consts::PI, |e: f32, _| e - (e - ECCENTRICITY * e.sin() - mean) / (1.0 - ECCENTRICITY * e.cos()));
    (MIDDLE.0 - AXES.0 * anomaly.cos(), MIDDLE.1 - AXES.1 * anomaly.sin())
}

struct Canvas(Vec<[f32; 3]>);

impl Canvas {
    /// Stars, and the orbit in dots.
    fn night() -> Canvas {
        let mut canvas = Canvas(vec![NIGHT; WIDTH * HEIGHT]);
        for star in 0..STARS {
            let at = ((star * 7_919 + 31) % WIDTH, (star * 6_607 + 17) % HEIGHT);
            let light = 40.0 + (star * 53 % 120) as f32;
            canvas.0[at.1 * WIDTH + at.0] = [light; 3];
        }
        for dot in 0..240 {
            let angle = dot as f32 / 240.0 * TAU;
            canvas.glow((MIDDLE.0 - AXES.0 * angle.cos(), MIDDLE.1 - AXES.1 * angle.sin()), 1.0, [40.0, 52.0, 84.0]);
        }
        canvas
    }

    /// Adds a light that fades to nothing at its radius.
    fn glow(&mut self, (x, y): (f32, f32), radius: f32, colour: [f32; 3]) {
        let range = |middle: f32, size: usize| {
            let first = (middle - radius).floor().max(0.0) as usize;
            first..((middle + radius).ceil().max(0.0) as usize + 1).min(size)
        };
        for row in range(y, HEIGHT) {
            for column in range(x, WIDTH) {
                let distance = (column as f32 - x).hypot(row as f32 - y) / radius;
                let light = (1.0 - distance).max(0.0).powi(2);
                let pixel = &mut self.0[row * WIDTH + column];
                pixel.iter_mut().zip(colour).for_each(|(old, new)| *old += new * light);
            }
        }
    }

    fn png(&self) -> Vec<u8> {
        let mut rows = Vec::with_capacity(HEIGHT * (1 + 3 * WIDTH));
        for row in self.0.chunks(WIDTH) {
            rows.push(1);
            let mut before = [0; 3];
            for pixel in row {
                let pixel = pixel.map(|light| light.min(255.0) as u8);
                rows.extend((0..3).map(|part: usize| pixel[part].wrapping_sub(before[part])));
                before = pixel;
            }
        }
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&rows).expect("memory takes all bytes");
        let packed = packed.finish().expect("memory takes all bytes");
        // Eight bits of red, green and blue each, not interlaced.
        let mut head = [(WIDTH as u32).to_be_bytes(), (HEIGHT as u32).to_be_bytes()].concat();
        head.extend_from_slice(&[8, 2, 0, 0, 0]);
        let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
        for (name, data) in [(b"IHDR", &head[..]), (b"IDAT", &packed), (b"IEND", &[])] {
            chunk(&mut png, name, data);
        }
        png
    }
}

fn chunk(png: &mut Vec<u8>, name: &[u8; 4], data: &[u8]) {
    let mut sum = Crc::new();
    sum.update(name);
    sum.update(data);
    png.extend_from_slice(&(data.len() as u32).to_be_bytes());
    png.extend_from_slice(name);
    png.extend_from_slice(data);
    png.extend_from_slice(&sum.sum().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_picture_is_small_and_another_one() {
        let mut comet = Comet::default();
        let pictures: std::collections::HashSet<Vec<u8>> = (0..STEPS).map(|_| comet.picture()).collect();
        assert_eq!(pictures.len(), STEPS as usize);
        for picture in &pictures {
            assert!(picture.starts_with(b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR") && picture.len() < 64 << 10, "{}", picture.len());
        }
        assert_eq!(comet.picture(), Comet::default().picture(), "it comes around");
    }
}
