//! Draws a window: rows of a model cut to its size, lines of sgw's own below, the status line last.
//!
//! What is written is made here alone: text, SGR, cursor moves, erasing, and the modes of [`Modes`].
//! A model's rows can't reach another line: nothing wraps in a taken terminal, each row begins with
//! its own cursor move, and so does whatever follows a character whose width terminals disagree about.

use std::fmt::Write;

use vt100::{Cell, Color, Screen};

use super::{Size, model::Modes, text};

/// What is to be seen.
#[derive(Clone, Copy, Default)]
pub struct Picture<'a> {
    pub screen: Option<&'a Screen>,
    /// Lines of sgw's own, above the status line, over the model's last rows.
    pub panel: &'a [String],
    /// sgw's own words; only escaped text of others.
    pub status: &'a str,
    /// At the status line's right end, where there is room.
    pub hint: &'a str,
    /// Where on the status line a typed line's cursor stands; then keys come as plain ones.
    pub typing: Option<usize>,
    /// Whether the model's program gets the keys, in the form that it asked for.
    pub keys: bool,
}

/// What the window shows now.
pub struct Canvas {
    size: Size,
    /// Each line as it was written; none where the window shows who knows what.
    shown: Vec<Option<String>>,
    modes: Modes,
    cursor: Option<Cursor>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cursor {
    row: u16,
    column: u16,
}

impl Canvas {
    /// For a terminal that was just taken.
    pub fn new(size: Size) -> Self {
        let shown = vec![None; usize::from(size.rows)];
        Self { size, shown, modes: Modes::default(), cursor: None }
    }

    pub fn size(&self) -> Size {
        self.size
    }

    /// The bytes that make the window show it. Lines that show it already are left alone.
    pub fn draw(&mut self, picture: &Picture) -> Vec<u8> {
        let lines = self.lines(picture);
        let mut out = String::new();
        for (row, line) in lines.into_iter().enumerate() {
            if self.shown[row].as_ref() != Some(&line) {
                if out.is_empty() {
                    out.push_str("\x1b[?25l");
                    self.cursor = None;
                }
                let _ = write!(out, "\x1b[{};1H{line}", row + 1);
                self.shown[row] = Some(line);
            }
        }
        let modes = match (picture.keys && picture.typing.is_none(), picture.screen) {
            (true, Some(screen)) => Modes::of(screen),
            _ => Modes::default(),
        };
        out.push_str(&modes.since(&self.modes));
        self.modes = modes;
        self.place_cursor(picture, &mut out);
        out.into_bytes()
    }

    fn lines(&self, picture: &Picture) -> Vec<String> {
        let rows = usize::from(self.size.rows);
        let columns = usize::from(self.size.columns);
        let above = rows.saturating_sub(1);
        let panel = picture.panel.len().min(above);
        let top = self.top(picture);
        let model = (0..above - panel).map(|row| match picture.screen {
            Some(screen) => drawn(screen, top + row as u16, self.size.columns),
            None => String::from("\x1b[m\x1b[K"),
        });
        let own = picture.panel[picture.panel.len() - panel..]
            .iter()
            .map(|line| format!("\x1b[m{}", text::line(line, "", columns)));
        let status = text::line(picture.status, picture.hint, columns);
        let status = (rows > 0).then(|| format!("\x1b[0;7m{status}\x1b[m"));
        model.chain(own).chain(status).collect()
    }

    /// The first of the model's rows that is shown: where not all fit, those around the cursor.
    fn top(&self, picture: &Picture) -> u16 {
        let panel = u16::try_from(picture.panel.len()).unwrap_or(u16::MAX);
        let height = self.size.rows.saturating_sub(1).saturating_sub(panel);
        let row = picture.screen.map_or(0, |screen| screen.cursor_position().0);
        (row + 1).saturating_sub(height.max(1))
    }

    fn place_cursor(&mut self, picture: &Picture, out: &mut String) {
        let cursor = match (picture.typing, picture.screen) {
            (Some(column), _) => Some(Cursor {
                row: self.size.rows.saturating_sub(1),
                column: u16::try_from(column).unwrap_or(u16::MAX).min(self.size.columns - 1),
            }),
            (None, Some(screen)) if !screen.hide_cursor() => self.shown_cursor(picture, screen),
            _ => None,
        };
        if cursor == self.cursor && out.is_empty() {
            return;
        }
        match cursor {
            Some(Cursor { row, column }) => {
                let _ = write!(out, "\x1b[m\x1b[{};{}H\x1b[?25h", row + 1, column + 1);
            }
            None => out.push_str("\x1b[?25l"),
        }
        self.cursor = cursor;
    }

    /// The model's cursor, where its place is to be seen.
    fn shown_cursor(&self, picture: &Picture, screen: &Screen) -> Option<Cursor> {
        let (row, column) = screen.cursor_position();
        let row = row.checked_sub(self.top(picture))?;
        let seen = usize::from(row) + picture.panel.len() + 1 < usize::from(self.size.rows);
        // Behind the last column a program has written, and nothing has wrapped yet.
        let last = screen.size().1.get().min(self.size.columns) - 1;
        let column = if column > last && column == screen.size().1.get() { last } else { column };
        (seen && column <= last).then_some(Cursor { row, column })
    }
}

/// One row of a model, cut to so many columns; the rest of the line is erased.
fn drawn(screen: &Screen, row: u16, columns: u16) -> String {
    let mut out = String::from("\x1b[m");
    let blank = Look::default();
    let mut look = blank;
    let width = columns.min(screen.size().1.get());
    let written = (0..width).rev().find(|column| {
        let cell = screen.cell(row, *column);
        cell.is_some_and(|cell| {
            cell.has_contents() || cell.is_wide_continuation() || Look::of(cell) != blank
        })
    });
    let written = written.map_or(0, |last| last + 1);
    let mut astray = false;
    let mut column = 0;
    while column < written {
        let Some(cell) = screen.cell(row, column) else { break };
        let takes = if cell.is_wide() { 2 } else { 1 };
        if Look::of(cell) != look {
            look = Look::of(cell);
            look.write(&mut out);
        }
        if std::mem::take(&mut astray) {
            let _ = write!(out, "\x1b[{}G", column + 1);
        }
        let contents = cell.contents();
        if column + takes > columns || !cell.has_contents() {
            // Half of a wide character, or nothing.
            out.push(' ');
        } else {
            out.push_str(text_of(contents));
            // How wide it is depends on whom one asks.
            astray = !contents.is_ascii();
        }
        column += takes;
    }
    if written < columns {
        if astray {
            let _ = write!(out, "\x1b[{}G", written + 1);
        }
        out.push_str("\x1b[m\x1b[K");
    } else {
        out.push_str("\x1b[m");
    }
    out
}

/// A cell's text. Where something in it is a command to a terminal, or a change of direction, the
/// base character alone.
fn text_of(contents: &str) -> &str {
    if contents.chars().all(is_text) {
        return contents;
    }
    let first = contents.chars().next().filter(|char| is_text(*char));
    first.map_or(" ", |char| &contents[..char.len_utf8()])
}

fn is_text(char: char) -> bool {
    !char.is_control()
        && !matches!(char, '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202e}'
            | '\u{2028}' | '\u{2029}' | '\u{2066}'..='\u{2069}')
}

/// How a cell looks (ECMA-48, 8.3.117).
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Look {
    foreground: Color,
    background: Color,
    bold: bool,
    dim: bool,
    italic: bool,
    underline: bool,
    inverse: bool,
}

impl Look {
    fn of(cell: &Cell) -> Self {
        Self {
            foreground: cell.fgcolor(),
            background: cell.bgcolor(),
            bold: cell.bold(),
            dim: cell.dim(),
            italic: cell.italic(),
            underline: cell.underline(),
            inverse: cell.inverse(),
        }
    }

    fn write(&self, out: &mut String) {
        out.push_str("\x1b[0");
        let flags = [
            (self.bold, 1),
            (self.dim, 2),
            (self.italic, 3),
            (self.underline, 4),
            (self.inverse, 7),
        ];
        for (_, code) in flags.iter().filter(|(on, _)| *on) {
            let _ = write!(out, ";{code}");
        }
        for (color, of) in [(self.foreground, 38u8), (self.background, 48)] {
            // Writing to a String does not fail.
            let _ = match color {
                Color::Default => Ok(()),
                // What the oldest terminals understand, where that will do.
                Color::Idx(index @ 0..=7) => write!(out, ";{}", of - 8 + index),
                Color::Idx(index @ 8..=15) => write!(out, ";{}", of + 44 + index),
                Color::Idx(index) => write!(out, ";{of};5;{index}"),
                Color::Rgb(red, green, blue) => write!(out, ";{of};2;{red};{green};{blue}"),
            };
        }
        out.push('m');
    }
}

#[cfg(test)]
mod tests;
