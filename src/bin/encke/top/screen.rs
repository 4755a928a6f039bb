//! The terminal: taken over for a while, and given back as it was.
//!
//! Lines are drawn over those before, each cleared behind its end, so that nothing flickers.

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use std::io::{Write, stdin, stdout};

/// Another screen beside the one with the shell's lines, without a cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[2J";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// A line of the screen, and whether it stands out.
pub struct Line {
    pub text: String,
    pub bold: bool,
}

/// The terminal while it is ours.
pub struct Screen {
    before: Termios,
}

impl Screen {
    /// Takes the terminal over: what is typed comes at once, and is not shown.
    pub fn open() -> Result<Screen, String> {
        let before = tcgetattr(stdin()).map_err(|error| format!("top: the terminal has no modes: {error}"))?;
        let mut modes = before.clone();
        modes.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        tcsetattr(stdin(), OptionalActions::Flush, &modes)
            .map_err(|error| format!("top: the terminal keeps its modes: {error}"))?;
        let screen = Screen { before };
        write(ENTER)?;
        Ok(screen)
    }

    /// Shows these lines, and nothing else.
    pub fn draw(&mut self, lines: &[Line]) -> Result<(), String> {
        let mut text = HOME.to_string();
        for (place, line) in lines.iter().enumerate() {
            let (before, behind) = if line.bold { (BOLD, PLAIN) } else { ("", "") };
            let end = if place + 1 < lines.len() { "\r\n" } else { "" };
            text += &format!("{before}{}{behind}{CLEAR_LINE}{end}", line.text);
        }
        write(&(text + CLEAR_BELOW))
    }

    /// Forgets what is shown: it stands elsewhere now.
    pub fn clear(&mut self) -> Result<(), String> {
        write("\x1b[2J")
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        let _ = write(LEAVE);
        let _ = tcsetattr(stdin(), OptionalActions::Flush, &self.before);
    }
}

/// Columns and rows, if this is a terminal that knows them.
pub fn size() -> Option<(usize, usize)> {
    let size = tcgetwinsize(stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then(|| (size.ws_col.into(), size.ws_row.into()))
}

fn write(text: &str) -> Result<(), String> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| format!("top: cannot write: {error}"))
}
