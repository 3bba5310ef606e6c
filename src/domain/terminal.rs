//! How large a terminal is, and what else somebody says who asks for one.

use std::num::NonZeroU16;

/// A terminal's rows and columns. A model of it is bounded by this: see [`Size::new`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub rows: NonZeroU16,
    pub columns: NonZeroU16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a terminal has 1 to {MOST_EACH} rows and columns, and at most {MOST_CELLS} characters in all"
)]
pub struct NoSize;

/// The most rows, and the most columns.
pub const MOST_EACH: u16 = 1000;
/// The most characters in all.
pub const MOST_CELLS: u32 = 128 * 1024;

impl Size {
    /// What a terminal has that nobody looks at.
    pub const USUAL: Self =
        Self { rows: NonZeroU16::new(48).unwrap(), columns: NonZeroU16::new(160).unwrap() };

    pub const LEAST: Self = Self { rows: NonZeroU16::MIN, columns: NonZeroU16::MIN };

    pub fn new(rows: u16, columns: u16) -> Result<Self, NoSize> {
        let cells = u32::from(rows) * u32::from(columns);
        match (NonZeroU16::new(rows), NonZeroU16::new(columns)) {
            (Some(rows), Some(columns))
                if rows.get().max(columns.get()) <= MOST_EACH && cells <= MOST_CELLS =>
            {
                Ok(Self { rows, columns })
            }
            _ => Err(NoSize),
        }
    }

    pub fn cells(self) -> usize {
        usize::from(self.rows.get()) * usize::from(self.columns.get())
    }
}

/// A window as its owner tells it, in characters and in pixels; 0 is not known (RFC 4254, 6.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    pub columns: u32,
    pub rows: u32,
    pub width: u32,
    pub height: u32,
}

impl Window {
    /// What a model of it is as large as: as it is, or the nearest that can be.
    pub fn size(self) -> Size {
        let usual = |told: u32, usual: NonZeroU16| {
            let told = u16::try_from(told).unwrap_or(u16::MAX).min(MOST_EACH);
            NonZeroU16::new(told).unwrap_or(usual)
        };
        let columns = usual(self.columns, Size::USUAL.columns);
        let most = u16::try_from(MOST_CELLS / u32::from(columns.get())).unwrap_or(u16::MAX);
        let rows = usual(self.rows, Size::USUAL.rows);
        Size { rows: NonZeroU16::new(rows.get().min(most)).unwrap_or(NonZeroU16::MIN), columns }
    }
}

impl From<Size> for Window {
    fn from(size: Size) -> Self {
        let (columns, rows) = (u32::from(size.columns.get()), u32::from(size.rows.get()));
        Self { columns, rows, width: 0, height: 0 }
    }
}

/// A terminal that somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What programs take it for.
    pub name: String,
    pub window: Window,
    /// By the numbers of RFC 4254, 8.
    pub modes: Vec<(u8, u32)>,
}

/// What remote programs take our model of a terminal for.
const OURS: &str = "xterm-256color";
/// What they take one for that calls itself by no name.
const PLAIN: &str = "dumb";
const LONGEST_NAME: usize = 64;
/// IUTF8: characters are UTF-8, so that erasing one erases all its bytes (RFC 8160).
const UTF8: u8 = 42;
/// What keys do, and what becomes of them, in a terminal as everybody has it. Otherwise a line would be
/// another than the keys say: VINTR, VQUIT, VERASE, VKILL, VEOF, VEOL, VEOL2, VSTART, VSTOP, VSUSP,
/// VREPRINT, VWERASE, VLNEXT, VDISCARD; ISTRIP, INLCR, IGNCR, ICRNL, IUCLC; ISIG, ICANON, XCASE.
const KEYS: &[(u8, &[u32])] = &[
    (1, &[3]),
    (2, &[28]),
    (3, &[127]),
    (4, &[21]),
    (5, &[4]),
    (6, &[0, 255]),
    (7, &[0, 255]),
    (8, &[17]),
    (9, &[19]),
    (10, &[26]),
    (12, &[18]),
    (13, &[23]),
    (14, &[22]),
    (18, &[15]),
    (33, &[0]),
    (34, &[0]),
    (35, &[0]),
    (36, &[1]),
    (37, &[0]),
    (50, &[1]),
    (51, &[1]),
    (52, &[0]),
];
/// What says how it looks, how fast it is and when output stops: PARMRK, INPCK and IGNPAR, IXON to IUTF8,
/// ECHO to PENDIN, OPOST to ONLRET, CS7 to PARODD, and the two speeds.
const LOOKS: &[std::ops::RangeInclusive<u8>] =
    &[30..=32, 38..=42, 53..=62, 70..=75, 90..=93, 128..=129];

impl Wanted {
    /// As it is asked for, but for modes that change what keys mean: of those the server's own count.
    pub fn new(name: &str, window: Window, modes: &[(u8, u32)]) -> Self {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte);
        let fits = (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(plain);
        let name = if fits { name } else { PLAIN }.to_owned();
        let passes = |(mode, value): &(u8, u32)| {
            let usual = KEYS.iter().find(|(key, _)| key == mode);
            usual.map_or(LOOKS.iter().any(|looks| looks.contains(mode)), |(_, usual)| {
                usual.contains(value)
            })
        };
        let modes = modes.iter().copied().filter(passes).collect();
        Self { name, window, modes }
    }

    /// What our own model is.
    pub fn ours(size: Size) -> Self {
        Self { name: OURS.to_owned(), window: size.into(), modes: vec![(UTF8, 1)] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_of_any_size_has_a_model() {
        let size = |columns, rows| {
            let size = Window { columns, rows, width: 0, height: 0 }.size();
            (size.columns.get(), size.rows.get())
        };
        assert_eq!(size(80, 24), (80, 24));
        assert_eq!(size(0, 0), (160, 48));
        assert_eq!(size(u32::MAX, u32::MAX), (1000, 131));
        assert_eq!(size(1, 5000), (1, 1000));
        assert!(Size::new(131, 1000).is_ok());
    }

    #[test]
    fn modes_by_which_a_line_is_another_than_its_keys_do_not_pass() {
        let wanted = |modes: &[(u8, u32)]| Wanted::new("xterm", Window::default(), modes).modes;
        let usual = [(1, 3), (3, 127), (6, 255), (36, 1), (50, 1), (53, 0), (72, 1), (129, 38400)];
        assert_eq!(wanted(&usual), usual);
        for odd in
            [(6, 120), (1, 120), (3, 101), (33, 1), (35, 1), (37, 1), (50, 0), (0, 0), (99, 1)]
        {
            assert_eq!(wanted(&[odd]), [], "{odd:?}");
        }
    }

    #[test]
    fn a_name_that_is_none_is_that_of_a_plain_terminal() {
        let name = |name: &str| Wanted::new(name, Window::default(), &[]).name;
        assert_eq!(name("screen.xterm-256color"), "screen.xterm-256color");
        for odd in ["", "a b", "x\nY=1", "\u{e9}", &"x".repeat(65)] {
            assert_eq!(name(odd), "dumb");
        }
    }

    #[test]
    fn only_what_can_be_drawn_is_a_size() {
        for (rows, columns) in [(0, 80), (24, 0), (0, 0), (1001, 1), (1, 1001), (1000, 1000)] {
            assert_eq!(Size::new(rows, columns), Err(NoSize), "{rows}x{columns}");
        }
        for (rows, columns) in [(1, 1), (48, 160), (1000, 1), (131, 1000)] {
            assert!(Size::new(rows, columns).is_ok(), "{rows}x{columns}");
        }
    }
}
