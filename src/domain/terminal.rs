//! How large a terminal is.

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

#[cfg(test)]
mod tests {
    use super::*;

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
