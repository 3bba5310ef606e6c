//! A terminal's screen for whom nothing can be drawn: the rows that are new since the last look.

/// Rows to print, numbered from 1 as they stand on the screen. A screen that has only scrolled gives
/// what came at its end; else every row that is other than before, and not blank.
pub fn news<'a>(before: &[String], now: &'a [String]) -> Vec<(usize, &'a str)> {
    let old_end = end(before);
    let scrolled = (1..old_end).find(|by| {
        // The last row of before may have gone on where it stood.
        let kept = &before[*by..old_end - 1];
        !kept.is_empty()
            && kept.iter().any(|row| !row.is_empty())
            && now.len() >= kept.len()
            && now[..kept.len()] == *kept
            && now[..end(now)].len() >= kept.len()
    });
    let same =
        old_end > 0 && before.len() == now.len() && before[..old_end - 1] == now[..old_end - 1];
    let shift = if same { Some(0) } else { scrolled };
    let numbered = now.iter().enumerate().filter(|(_, row)| !row.is_empty());
    let new = |(index, row): &(usize, &'a String)| match shift {
        Some(by) => before.get(index + by) != Some(*row),
        None => before.get(*index) != Some(*row),
    };
    numbered.filter(new).map(|(index, row)| (index + 1, row.as_str())).collect()
}

/// Behind the last row that is not blank.
fn end(rows: &[String]) -> usize {
    rows.iter().rposition(|row| !row.is_empty()).map_or(0, |last| last + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn screen(rows: &[&str]) -> Vec<String> {
        rows.iter().map(|row| (*row).to_owned()).collect()
    }

    fn told(before: &[&str], now: &[&str]) -> Vec<String> {
        let (before, now) = (screen(before), screen(now));
        news(&before, &now).into_iter().map(|(row, text)| format!("{row} {text}")).collect()
    }

    #[test]
    fn what_came_is_told_once() {
        assert_eq!(told(&["", "", ""], &["$", "", ""]), ["1 $"]);
        assert_eq!(told(&["$", "", ""], &["$ ls", "a", "$"]), ["1 $ ls", "2 a", "3 $"]);
        assert_eq!(told(&["a", "b", "$"], &["b", "$ ls", "c"]), ["2 $ ls", "3 c"]);
        assert_eq!(told(&["a", "b", "c", "$"], &["c", "$ x", "d", "$"]), ["2 $ x", "3 d", "4 $"]);
        assert_eq!(told(&["a", "b", "$"], &["x", "y", "z"]), ["1 x", "2 y", "3 z"]);
        assert_eq!(told(&["menu", "one", "two"], &["menu", "one", "TWO"]), ["3 TWO"]);
        assert_eq!(told(&["a", "b"], &["a", "b"]), Vec::<String>::new());
        assert_eq!(told(&["a", "b"], &["", ""]), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn a_row_that_was_nowhere_is_always_told(before in prop::collection::vec("[ab]{0,2}", 0..6), now in prop::collection::vec("[abc]{0,2}", 0..6)) {
            let told = news(&before, &now);
            for (index, row) in now.iter().enumerate() {
                if !row.is_empty() && !before.contains(row) {
                    prop_assert!(told.contains(&(index + 1, row.as_str())));
                }
            }
        }
    }
}
