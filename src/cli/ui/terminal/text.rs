//! Lines of sgw's own on a full screen: cut to the window by what is seen.

use unicode_width::UnicodeWidthChar;

/// The start of `text` that takes at most so many columns. Control characters take none, and go.
pub fn cut(text: &str, columns: usize) -> String {
    let mut used = 0;
    let fits = |char: &char| {
        used += char.width().unwrap_or(0);
        used <= columns
    };
    text.chars().filter(|char| !char.is_control()).take_while(fits).collect()
}

/// The same, with an ellipsis where there was more.
pub fn clipped(text: &str, columns: usize) -> String {
    match width(text) <= columns {
        true => cut(text, columns),
        false if columns == 0 => String::new(),
        false => cut(text, columns - 1) + "\u{2026}",
    }
}

/// How many columns it takes.
pub fn width(text: &str) -> usize {
    text.chars().filter_map(UnicodeWidthChar::width).sum()
}

/// `text` on a line of so many columns, with `right` at its end where both have room.
pub fn line(text: &str, right: &str, columns: usize) -> String {
    let (taken, wanted) = (width(text), width(right));
    let room = columns.saturating_sub(taken);
    if wanted == 0 || room < wanted + 2 {
        let text = clipped(text, columns);
        let fill = columns.saturating_sub(width(&text));
        return text + &" ".repeat(fill);
    }
    format!("{text}{}{right}", " ".repeat(room - wanted))
}

/// `text` as it is where it fits, else word by word on lines of at most so many columns.
pub fn wrapped(text: &str, columns: usize) -> Vec<String> {
    if width(text) <= columns {
        return vec![text.to_owned()];
    }
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!(" {word}")),
        }
    }
    lines.retain(|line| !line.is_empty());
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_right_end_gives_way_first() {
        assert_eq!(line("left", "help", 12), "left    help");
        assert_eq!(line("left", "help", 9), "left     ");
        assert_eq!(line("東京 and more", "", 5), "東京…");
        assert_eq!(line("a東京", "", 4), "a東…");
    }

    proptest! {
        #[test]
        fn a_line_fills_its_columns_and_controls_nothing(text: String, right in "[ -~]{0,9}", columns in 0usize..90) {
            let line = line(&text, &right, columns);
            prop_assert!(width(&line) <= columns);
            prop_assert!(!line.chars().any(char::is_control) || text.chars().any(char::is_control));
        }
    }
}
