//! What is drawn is read by another terminal and compared with the model.

use std::num::NonZeroU16;

use proptest::prelude::*;

use super::*;
use crate::cli::ui::terminal::model::Model;

/// The operator's terminal.
struct Window {
    canvas: Canvas,
    parser: vt100::Parser<Odd>,
    all: Vec<u8>,
}

/// Counts what a picture has no business to hold.
#[derive(Default)]
struct Odd(usize);

impl vt100::Callbacks for Odd {
    fn audible_bell(&mut self, _: &mut Screen) {
        self.0 += 1;
    }
    fn set_window_title(&mut self, _: &mut Screen, _: &[u8]) {
        self.0 += 1;
    }
    fn copy_to_clipboard(&mut self, _: &mut Screen, _: &[u8], _: &[u8]) {
        self.0 += 1;
    }
    fn unhandled_char(&mut self, _: &mut Screen, _: char) {
        self.0 += 1;
    }
    fn unhandled_control(&mut self, _: &mut Screen, _: u8) {
        self.0 += 1;
    }
    fn unhandled_escape(&mut self, _: &mut Screen, _: Option<u8>, _: Option<u8>, _: u8) {
        self.0 += 1;
    }
    fn unhandled_csi(
        &mut self,
        _: &mut Screen,
        _: Option<u8>,
        _: Option<u8>,
        _: &[&[u16]],
        _: char,
    ) {
        self.0 += 1;
    }
    fn unhandled_osc(&mut self, _: &mut Screen, _: &[&[u8]]) {
        self.0 += 1;
    }
    fn resize(&mut self, _: &mut Screen, _: (u16, u16)) {
        self.0 += 1;
    }
}

const STATUS: &str = " SHARED  deploy@web1";

impl Window {
    fn new(rows: u16, columns: u16) -> Self {
        let size = |size| NonZeroU16::new(size).unwrap();
        let parser =
            vt100::Parser::new_with_callbacks(size(rows), size(columns), 0, Odd::default());
        Self { canvas: Canvas::new(Size { rows, columns }), parser, all: Vec::new() }
    }

    fn show(&mut self, picture: &Picture) {
        let bytes = self.canvas.draw(picture);
        self.parser.process(&bytes);
        self.all.extend(bytes);
    }

    fn shows(&mut self, model: &Model) {
        self.show(&Picture {
            screen: Some(model.screen()),
            status: STATUS,
            keys: true,
            ..Picture::default()
        });
    }

    fn row(&self, row: u16) -> String {
        let columns = self.canvas.size().columns;
        self.parser.screen().rows(0, columns).nth(usize::from(row)).unwrap()
    }

    /// The status line is whole, in reverse video to its end, and nothing else was written.
    fn holds(&self) -> Result<(), TestCaseError> {
        let Size { rows, columns } = self.canvas.size();
        prop_assert_eq!(self.row(rows - 1), text::line(STATUS, "", columns.into()));
        for column in 0..columns {
            prop_assert!(self.parser.screen().cell(rows - 1, column).unwrap().inverse());
        }
        prop_assert_eq!(self.parser.callbacks().0, 0);
        Ok(())
    }

    fn looks_like(&self, model: &Screen) -> Result<(), TestCaseError> {
        let Size { rows, columns } = self.canvas.size();
        let (height, width) = model.size();
        let top = (model.cursor_position().0 + 1).saturating_sub(rows - 1);
        for row in 0..(rows - 1).min(height.get() - top) {
            for column in 0..columns.min(width.get()) {
                let (seen, meant) =
                    (self.parser.screen().cell(row, column), model.cell(row + top, column));
                let (seen, meant) = (seen.unwrap(), meant.unwrap());
                prop_assert!(Look::of(seen) == Look::of(meant), "{row} {column}");
                let halved = meant.is_wide() && column + 1 == columns;
                if !halved {
                    prop_assert_eq!(seen.contents().trim(), text_of(meant.contents()).trim());
                }
            }
        }
        Ok(())
    }
}

/// Pieces of what a terminal is sent, and noise.
fn drawing() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        "[a-z ]{1,12}".prop_map(String::into_bytes),
        "[東京é😀\u{301}\u{200d}\u{fe0f}\u{202e}]{1,4}".prop_map(String::into_bytes),
        (1u16..12, 1u16..30).prop_map(|(row, column)| format!("\x1b[{row};{column}H").into_bytes()),
        (0u16..110).prop_map(|code| format!("\x1b[{code}m").into_bytes()),
        (0u8..=255).prop_map(|index| format!("\x1b[38;5;{index};48;2;1;{index};3m").into_bytes()),
        prop::sample::select(vec![
            "\r\n",
            "\n",
            "\x1b[K",
            "\x1b[2J",
            "\x1b[?1049h",
            "\x1b[?1049l",
            "\x1b[?25l",
            "\x1b[?25h",
            "\x1b[?1h",
            "\x1b[?2004h",
            "\x1b[?1003h",
            "\x1b[2;5r",
            "\x1b[4L",
            "\x1b[3M",
            "\t",
            "\x08",
            "\x1b]0;title\x07",
            "\x1b]52;c;aGk=\x07",
            "\x1bPq\x1b\\",
            "\x1b[99;99Hedge edge",
            "\x07",
            "\x1b[5 q",
            "\x1b[8;1;1t",
            "\x1b[c",
            "\x1b[?7h",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 1..8),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn a_window_looks_like_the_model_and_its_status_line_is_out_of_reach(
        (rows, columns) in (1u16..12, 2u16..30),
        (window_rows, window_columns) in (2u16..14, 2u16..34),
        drawings in prop::collection::vec(drawing(), 1..5),
    ) {
        let mut model = Model::new(rows, columns);
        let mut window = Window::new(window_rows, window_columns);
        for bytes in drawings {
            model.draw(&bytes);
            window.shows(&model);
            window.holds()?;
            // What it widens is drawn otherwise by each terminal, this one's two ends included.
            if !model.screen().contents().contains('\u{fe0f}') {
                window.looks_like(model.screen())?;
            }
            prop_assert_eq!(Modes::of(window.parser.screen()), Modes::of(model.screen()));
        }
    }
}

#[test]
fn what_is_shown_already_is_not_written_again() {
    let mut model = Model::new(5, 20);
    let mut window = Window::new(6, 20);
    model.draw(b"first\r\nsecond");
    window.shows(&model);
    window.all.clear();
    window.shows(&model);
    assert!(window.all.is_empty());
    model.draw(b"!");
    window.shows(&model);
    let written = String::from_utf8(window.all.clone()).unwrap();
    assert!(written.contains("second!") && !written.contains("first"), "{written:?}");
}

#[test]
fn the_cursor_stands_where_the_model_has_it() {
    let mut model = Model::new(5, 20);
    let mut window = Window::new(6, 20);
    model.draw(b"a\r\nbc");
    window.shows(&model);
    assert_eq!(window.parser.screen().cursor_position(), (1, 2));
    model.draw(b"\x1b[?25l");
    window.shows(&model);
    assert!(window.parser.screen().hide_cursor());
    model.draw(b"\x1b[?25h\x1b[3;4H");
    window.shows(&model);
    assert!(!window.parser.screen().hide_cursor());
    assert_eq!(window.parser.screen().cursor_position(), (2, 3));
    model.draw(b"\x1b[1;1H01234567890123456789");
    window.shows(&model);
    assert_eq!(window.parser.screen().cursor_position(), (0, 19));
}

#[test]
fn a_question_covers_the_last_rows_and_takes_the_keys() {
    let mut model = Model::new(5, 20);
    let mut window = Window::new(6, 20);
    model.draw(b"1\r\n2\r\n3\r\n4\r\n5\x1b[?2004h\x1b[?1003h\x1b[?1h\x1b[H");
    window.shows(&model);
    assert_ne!(Modes::of(window.parser.screen()), Modes::default());
    let panel = [String::from("one"), String::from("two")];
    window.show(&Picture {
        screen: Some(model.screen()),
        panel: &panel,
        status: "word: x",
        typing: Some(7),
        keys: true,
        ..Picture::default()
    });
    assert_eq!(
        (window.row(2), window.row(3), window.row(4)),
        ("3".into(), line("one"), line("two"))
    );
    assert_eq!(window.parser.screen().cursor_position(), (5, 7));
    assert_eq!(Modes::of(window.parser.screen()), Modes::default());
    window.shows(&model);
    assert_eq!((window.row(3).as_str(), window.row(4).as_str()), ("4", "5"));
    assert_eq!(Modes::of(window.parser.screen()), Modes::of(model.screen()));
}

fn line(text: &str) -> String {
    text::line(text, "", 20)
}

#[test]
fn a_window_smaller_than_the_model_shows_what_is_around_the_cursor() {
    let mut model = Model::new(10, 20);
    let mut window = Window::new(4, 10);
    for row in 0..10 {
        model.draw(format!("\x1b[{};1Hrow {row} and more", row + 1).as_bytes());
    }
    window.shows(&model);
    assert_eq!((window.row(0).as_str(), window.row(2).as_str()), ("row 7 and ", "row 9 and "));
    assert!(window.parser.screen().hide_cursor(), "the cursor is outside the window");
    model.draw(b"\x1b[1;1H");
    window.shows(&model);
    assert_eq!(window.row(0), "row 0 and ");
    assert_eq!(window.parser.screen().cursor_position(), (0, 0));
}
