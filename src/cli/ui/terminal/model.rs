//! The terminal that the daemon draws on: what it sends is read into this model, and only the model is
//! ever shown.

use std::num::NonZeroU16;

use vt100::{MouseProtocolEncoding, MouseProtocolMode, Parser, Screen};

use super::held::contained;

/// A larger one is nobody's window.
const MOST_ROWS: u16 = 1000;
const MOST_COLUMNS: u16 = 2000;

pub struct Model {
    parser: Parser,
}

impl Model {
    /// A cleared terminal of this size. On one column a wide character has no place (the parser
    /// panics).
    pub fn new(rows: u16, columns: u16) -> Self {
        let size = |size| NonZeroU16::new(size).unwrap_or(NonZeroU16::MIN);
        let (rows, columns) = (rows.clamp(1, MOST_ROWS), columns.clamp(2, MOST_COLUMNS));
        Self { parser: Parser::new(size(rows), size(columns), 0) }
    }

    /// Takes what the daemon sends. What the parser chokes on leaves a blank screen.
    pub fn draw(&mut self, bytes: &[u8]) {
        if contained(|| self.parser.process(bytes)).is_none() {
            let (rows, columns) = self.screen().size();
            *self = Self::new(rows.get(), columns.get());
        }
    }

    pub fn screen(&self) -> &Screen {
        self.parser.screen()
    }

    /// Another that shows the same.
    pub fn copy(&self) -> Self {
        let (rows, columns) = self.screen().size();
        let mut copy = Self::new(rows.get(), columns.get());
        copy.draw(self.screen().state_formatted().as_bytes());
        copy
    }

    pub fn is_blank(&self) -> bool {
        self.screen().contents().trim().is_empty()
    }

    /// What stands in its rows, as text.
    pub fn rows(&self) -> Vec<String> {
        let (_, columns) = self.screen().size();
        self.screen().rows(0, columns.get()).map(|row| row.trim_end().to_owned()).collect()
    }
}

/// How a terminal sends keys, pastes and the mouse. These alone are passed on: what else a server
/// sets never reaches the operator's terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Modes {
    pub application_keypad: bool,
    pub application_cursor: bool,
    pub bracketed_paste: bool,
    pub mouse: MouseProtocolMode,
    pub encoding: MouseProtocolEncoding,
}

impl Modes {
    pub fn of(screen: &Screen) -> Self {
        Self {
            application_keypad: screen.application_keypad(),
            application_cursor: screen.application_cursor(),
            bracketed_paste: screen.bracketed_paste(),
            mouse: screen.mouse_protocol_mode(),
            encoding: screen.mouse_protocol_encoding(),
        }
    }

    /// What turns `before` into this (xterm's ctlseqs, DECSET and DECRST).
    pub fn since(&self, before: &Self) -> String {
        let mut text = String::new();
        let mut set = |number: u16, on: bool| {
            let letter = if on { 'h' } else { 'l' };
            text.push_str(&format!("\x1b[?{number}{letter}"));
        };
        if self.application_cursor != before.application_cursor {
            set(1, self.application_cursor);
        }
        if self.bracketed_paste != before.bracketed_paste {
            set(2004, self.bracketed_paste);
        }
        if self.mouse != before.mouse {
            mouse(before.mouse).into_iter().for_each(|number| set(number, false));
            mouse(self.mouse).into_iter().for_each(|number| set(number, true));
        }
        if self.encoding != before.encoding {
            encoding(before.encoding).into_iter().for_each(|number| set(number, false));
            encoding(self.encoding).into_iter().for_each(|number| set(number, true));
        }
        if self.application_keypad != before.application_keypad {
            text.push_str(if self.application_keypad { "\x1b=" } else { "\x1b>" });
        }
        text
    }
}

fn mouse(mode: MouseProtocolMode) -> Option<u16> {
    match mode {
        MouseProtocolMode::None => None,
        MouseProtocolMode::Press => Some(9),
        MouseProtocolMode::PressRelease => Some(1000),
        MouseProtocolMode::ButtonMotion => Some(1002),
        MouseProtocolMode::AnyMotion => Some(1003),
    }
}

fn encoding(encoding: MouseProtocolEncoding) -> Option<u16> {
    match encoding {
        MouseProtocolEncoding::Default => None,
        MouseProtocolEncoding::Utf8 => Some(1005),
        MouseProtocolEncoding::Sgr => Some(1006),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_lead_from_any_to_any() {
        let of = |bytes: &str| {
            let mut model = Model::new(4, 10);
            model.draw(bytes.as_bytes());
            Modes::of(model.screen())
        };
        let some = [
            "",
            "\x1b[?1h\x1b=",
            "\x1b[?2004h\x1b[?1000h\x1b[?1006h",
            "\x1b[?1003h\x1b[?1005h",
            "\x1b[?1002h\x1b[?1006h\x1b[?1h",
            "\x1b[?9h",
        ];
        for before in some {
            for after in some {
                let led = format!("{before}{}", of(after).since(&of(before)));
                assert_eq!(of(&led), of(after), "{before:?} {after:?}");
            }
        }
    }

    #[test]
    fn a_model_has_a_size_whatever_is_said() {
        for (rows, columns) in [(0, 0), (u16::MAX, u16::MAX), (1, 1)] {
            let mut model = Model::new(rows, columns);
            model.draw("wide 東京*\u{fe0f}\r\nnext\x1b[99;99Hx".as_bytes());
            assert!(!model.rows().is_empty());
        }
    }

    #[test]
    fn a_parser_that_panics_leaves_a_blank_screen() {
        let one = NonZeroU16::MIN;
        let mut model = Model { parser: Parser::new(one.saturating_add(1), one, 0) };
        model.draw("*\u{fe0f}".as_bytes());
        model.draw(b"ok");
        assert_eq!(model.rows()[0], "ok");
    }
}
