//! What a terminal draws, on paper that has no end: rows keep their numbers when the screen scrolls,
//! and keep what is known of them.

use std::{collections::VecDeque, ops::Range};

use unicode_width::UnicodeWidthChar;

use super::parse::Event;

/// A column where nothing was drawn.
const EMPTY: char = '\0';
/// The second column of a wide character.
const FILLER: char = '\u{1}';
/// A line that fills more is cut.
const LONGEST_LINE: usize = 16 * 1024;
/// The largest screen that is drawn.
const MOST_COLUMNS: usize = 1000;
const MOST_ROWS: usize = 500;

/// A screen's size and where its cursor stands, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub rows: u16,
    pub columns: u16,
    pub row: u16,
    pub column: u16,
}

#[derive(Clone, Default)]
pub struct Row {
    cells: Vec<char>,
    /// The line goes on in the next row.
    wrapped: bool,
    /// Drawn on since it was last looked at.
    pub changed: bool,
    /// It ended, and nothing was drawn there since.
    pub ended: bool,
    /// It is echo, or was there before.
    pub old: bool,
    /// The echo of text without Enter stands in it.
    pub holds_echo: bool,
    pub matched: bool,
}

pub struct Paper {
    height: usize,
    columns: usize,
    rows: VecDeque<Row>,
    /// The number of the first row that is held, of the screen's first, and of the cursor's.
    first: usize,
    top: usize,
    row: usize,
    /// `columns`: behind the last one; the next character goes into the next row.
    column: usize,
    /// Where the line ended before the cursor returned to its beginning.
    returned_from: (usize, usize),
    /// The lowest row that the cursor has been in.
    reached: usize,
    saved: (usize, usize),
    /// First and last row of what scrolls, on the screen.
    margins: (usize, usize),
    /// The screen that waits while a program has the alternate one.
    main: Option<Box<Screen>>,
}

/// What the alternate screen takes the place of.
struct Screen {
    rows: VecDeque<Row>,
    first: usize,
    top: usize,
    row: usize,
    column: usize,
    reached: usize,
}

impl Paper {
    pub fn new(place: Place) -> Self {
        let height = usize::from(place.rows).clamp(1, MOST_ROWS);
        let columns = usize::from(place.columns).clamp(1, MOST_COLUMNS);
        let row = usize::from(place.row).min(height - 1);
        Self {
            height,
            columns,
            rows: vec![Row::default(); row + 1].into(),
            first: 0,
            top: 0,
            row,
            column: usize::from(place.column).min(columns - 1),
            returned_from: (0, 0),
            reached: row,
            saved: (0, 0),
            margins: (0, height - 1),
            main: None,
        }
    }

    /// All rows that are held.
    pub fn held(&self) -> Range<usize> {
        self.first..self.first + self.rows.len()
    }

    /// About what it takes to look at these rows.
    pub fn cells(&self, rows: Range<usize>) -> usize {
        let held = rows.filter_map(|row| self.rows.get(row.checked_sub(self.first)?));
        held.map(|row| row.cells.len() + 8).sum()
    }

    /// The first row of the screen.
    pub fn top(&self) -> usize {
        self.top
    }

    pub fn cursor_row(&self) -> usize {
        self.row
    }

    pub fn row_mut(&mut self, row: usize) -> &mut Row {
        let at = row.saturating_sub(self.first);
        if at >= self.rows.len() {
            self.rows.resize_with(at + 1, Row::default);
        }
        &mut self.rows[at]
    }

    /// The rows of the line that `row` is part of.
    pub fn line(&self, row: usize) -> Range<usize> {
        let wrapped = |row: usize| {
            row.checked_sub(self.first)
                .and_then(|at| self.rows.get(at))
                .is_some_and(|row| row.wrapped)
        };
        let mut line = row..row + 1;
        while line.start > self.first && wrapped(line.start - 1) {
            line.start -= 1;
        }
        while line.end < self.held().end && wrapped(line.end - 1) {
            line.end += 1;
        }
        line
    }

    /// A line's text, without what was never drawn at its end.
    pub fn text(&self, line: Range<usize>) -> String {
        let end = line.end;
        self.text_to(line, (end, 0))
    }

    /// Its text left of the cursor, or of where the cursor was before it returned to the beginning.
    pub fn text_to_cursor(&self, line: Range<usize>) -> String {
        let returned = self.column == 0 && self.returned_from.0 == self.row;
        let column = if returned { self.returned_from.1 } else { self.column };
        self.text_to(line, (self.row, column))
    }

    fn text_to(&self, line: Range<usize>, to: (usize, usize)) -> String {
        let mut text = String::new();
        let mut empty = 0;
        for number in line.start..line.end.min(to.0 + 1) {
            let Some(row) = number.checked_sub(self.first).and_then(|at| self.rows.get(at)) else {
                continue;
            };
            let columns = if number == to.0 { to.1.min(row.cells.len()) } else { row.cells.len() };
            for cell in &row.cells[..columns] {
                match *cell {
                    EMPTY => empty += 1,
                    FILLER => {}
                    character => {
                        text.extend(std::iter::repeat_n(' ', std::mem::take(&mut empty)));
                        text.push(character);
                    }
                }
            }
        }
        text
    }

    /// The next line feed begins a row that nobody has been in.
    pub fn feeds_a_new_row(&self) -> bool {
        self.row >= self.reached
    }

    /// The rows of the oldest line that has left the screen for good, and whether it was cut.
    pub fn leaving(&self) -> Option<(Range<usize>, bool)> {
        if self.first >= self.top {
            return None;
        }
        let line = self.line(self.first);
        let too_long = (self.top - self.first) * self.columns > LONGEST_LINE;
        if line.end <= self.top {
            Some((line, false))
        } else {
            too_long.then_some((self.first..self.top, true))
        }
    }

    /// Lets go of rows that have left.
    pub fn forget(&mut self, before: usize) {
        while self.first < before && self.rows.len() > 1 {
            self.rows.pop_front();
            self.first += 1;
        }
    }

    pub fn draw(&mut self, event: Event<'_>) {
        match event {
            Event::Print(character) => self.print(character),
            Event::Control(byte) => self.control(byte),
            Event::Escape(byte) => self.escape(byte),
            Event::Sequence(b'?', modes, last @ (b'h' | b'l')) => self.modes(modes, last == b'h'),
            Event::Sequence(0, parameters, last) => self.sequence(parameters, last),
            Event::Sequence(..) => {}
        }
    }

    fn print(&mut self, character: char) {
        let width = character.width().unwrap_or(0);
        if width == 0 {
            return;
        }
        if self.column + width > self.columns {
            let row = self.row;
            self.row_mut(row).wrapped = true;
            self.line_feed();
            self.column = 0;
        }
        let (at, row) = (self.column, self.row);
        let row = self.row_mut(row);
        if row.cells.len() < at + width {
            row.cells.resize(at + width, EMPTY);
        }
        row.cells[at] = character;
        row.cells[at + 1..at + width].fill(FILLER);
        if row.cells.get(at + width) == Some(&FILLER) {
            row.cells[at + width] = EMPTY;
        }
        row.drawn();
        self.column += width;
    }

    fn control(&mut self, byte: u8) {
        match byte {
            b'\r' => {
                if self.column > 0 {
                    self.returned_from = (self.row, self.column);
                }
                self.column = 0;
            }
            b'\n' | 0x0b | 0x0c => self.line_feed(),
            0x08 => self.column = self.column.min(self.columns - 1).saturating_sub(1),
            b'\t' => self.column = ((self.column / 8 + 1) * 8).min(self.columns - 1),
            _ => {}
        }
    }

    fn escape(&mut self, byte: u8) {
        match byte {
            b'7' => self.saved = (self.row - self.top, self.column),
            b'8' => self.go_to(self.saved.0, self.saved.1),
            b'D' => self.line_feed(),
            b'E' => {
                self.control(b'\r');
                self.line_feed();
            }
            b'M' if self.row == self.top + self.margins.0 => {
                self.move_rows(self.margins.0, 1, true)
            }
            b'M' => self.row = self.row.saturating_sub(1).max(self.top),
            b'c' => {
                self.main = None;
                self.margins = (0, self.height - 1);
                self.go_to(0, 0);
                self.erase_rows(self.top..self.held().end);
            }
            _ => {}
        }
    }

    fn modes(&mut self, modes: &[u16], on: bool) {
        if modes.iter().any(|mode| matches!(mode, 47 | 1047 | 1049)) {
            self.alternate(on);
        }
    }

    fn alternate(&mut self, on: bool) {
        if on && self.main.is_none() {
            let bottom = self.top + self.height;
            self.main = Some(Box::new(Screen {
                rows: std::mem::take(&mut self.rows),
                first: self.first,
                top: self.top,
                row: self.row,
                column: self.column,
                reached: self.reached,
            }));
            (self.first, self.top, self.row) = (bottom, bottom, bottom + self.row - self.top);
            self.reached = self.row;
        } else if let (false, Some(main)) = (on, self.main.take()) {
            let Screen { rows, first, top, row, column, reached } = *main;
            (self.rows, self.first, self.top) = (rows, first, top);
            (self.row, self.column, self.reached) = (row, column, reached);
            self.margins = (0, self.height - 1);
        }
    }

    fn sequence(&mut self, parameters: &[u16], last: u8) {
        let given = |at: usize| usize::from(parameters.get(at).copied().unwrap_or(0));
        let count = given(0).max(1);
        let (row, column) = (self.row - self.top, self.column.min(self.columns - 1));
        match last {
            b'A' => self.go_to(row.saturating_sub(count), column),
            b'B' | b'e' => self.go_to(row + count, column),
            b'C' | b'a' => self.go_to(row, column + count),
            b'D' => self.go_to(row, column.saturating_sub(count)),
            b'E' => self.go_to(row + count, 0),
            b'F' => self.go_to(row.saturating_sub(count), 0),
            b'G' | b'`' => self.go_to(row, count - 1),
            b'd' => self.go_to(count - 1, column),
            b'H' | b'f' => self.go_to(count - 1, given(1).max(1) - 1),
            b's' => self.saved = (row, self.column),
            b'u' => self.go_to(self.saved.0, self.saved.1),
            b'r' => self.set_margins(count - 1, given(1)),
            b'J' => self.erase_screen(given(0)),
            b'K' => self.erase_line(given(0)),
            b'@' | b'P' | b'X' => self.shift(last, count),
            b'L' => self.move_rows(row, count, true),
            b'M' => self.move_rows(row, count, false),
            b'S' => self.move_rows(self.margins.0, count, false),
            b'T' => self.move_rows(self.margins.0, count, true),
            _ => {}
        }
    }

    fn go_to(&mut self, row: usize, column: usize) {
        self.row = self.top + row.min(self.height - 1);
        self.column = column.min(self.columns - 1);
        self.reached = self.reached.max(self.row);
    }

    fn set_margins(&mut self, first: usize, last: usize) {
        let last = if last == 0 { self.height } else { last.min(self.height) } - 1;
        if first < last {
            self.margins = (first, last);
            self.go_to(0, 0);
        }
    }

    fn line_feed(&mut self) {
        let bottom = self.top + self.margins.1;
        if self.row == bottom && self.margins.0 == 0 {
            // What is below stays where it is on the screen.
            let below = bottom + 1;
            if below < self.held().end {
                self.rows.insert(below - self.first, Row::default());
            }
            self.top += 1;
            self.row += 1;
        } else if self.row == bottom {
            self.move_rows(self.margins.0, 1, false);
        } else if self.row + 1 < self.top + self.height {
            self.row += 1;
        }
        let row = self.row;
        self.row_mut(row);
        self.reached = self.reached.max(row);
    }

    /// Rows are put in (or taken out) at one, and others leave (or come) at the lower margin.
    fn move_rows(&mut self, at: usize, count: usize, put_in: bool) {
        let (from, last) = (self.top + at, self.top + self.margins.1);
        if at < self.margins.0 || from > last {
            return;
        }
        self.row_mut(last);
        for _ in 0..count.min(last - from + 1) {
            let (gone, new) = if put_in { (last, from) } else { (from, last) };
            self.rows.remove(gone - self.first);
            self.rows.insert(new - self.first, Row::default());
        }
    }

    fn erase_screen(&mut self, what: usize) {
        match what {
            0 => {
                self.erase_line(0);
                if self.column == 0 {
                    self.part_from_above();
                }
                self.erase_rows(self.row + 1..self.held().end);
                self.reached = self.row;
            }
            1 => {
                self.erase_line(1);
                self.erase_rows(self.top..self.row);
            }
            _ => {
                self.erase_rows(self.top..self.held().end);
                self.reached = self.row;
            }
        }
    }

    fn erase_rows(&mut self, rows: Range<usize>) {
        for row in rows {
            *self.row_mut(row) = Row::default();
        }
    }

    /// zsh and fish put a prompt into a row of its own by filling up the one before: it is no part of
    /// that line.
    fn part_from_above(&mut self) {
        if self.row > self.first {
            let above = self.row - 1;
            self.row_mut(above).wrapped = false;
        }
    }

    fn erase_line(&mut self, what: usize) {
        let (row, at) = (self.row, self.column);
        // zsh wraps with a single blank, and then clears the row that it goes on in.
        if what == 0 && at == 0 && self.row_mut(row).cells.len() > 1 {
            self.part_from_above();
        }
        let row = self.row_mut(row);
        match what {
            0 => {
                row.cells.truncate(at);
                row.wrapped = false;
            }
            1 => row.cells.iter_mut().take(at + 1).for_each(|cell| *cell = EMPTY),
            _ => {
                row.cells.clear();
                row.wrapped = false;
            }
        }
        row.drawn();
    }

    /// ICH, DCH and ECH.
    fn shift(&mut self, how: u8, count: usize) {
        let (row, at, columns) = (self.row, self.column, self.columns);
        let row = self.row_mut(row);
        let end = row.cells.len();
        if at < end {
            match how {
                b'@' => {
                    row.cells.splice(at..at, std::iter::repeat_n(EMPTY, count.min(columns)));
                    row.cells.truncate(columns);
                }
                b'P' => drop(row.cells.drain(at..end.min(at + count))),
                _ => row.cells[at..end.min(at + count)].fill(EMPTY),
            }
            row.drawn();
        }
    }
}

impl Row {
    fn drawn(&mut self) {
        (self.changed, self.ended) = (true, false);
    }
}
