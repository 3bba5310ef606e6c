//! Output that is more than was asked for: its beginning, its end, or both, and how much was left out.

use std::collections::VecDeque;

/// Passes the head on as it comes and keeps the tail for the end. Whatever fits altogether is whole.
#[derive(Debug)]
pub struct Cut {
    head: u64,
    tail: u64,
    text: bool,
    head_done: bool,
    passed: u64,
    seen: u64,
    last: VecDeque<u8>,
}

/// What follows the head once everything was seen.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// Bytes left out between head and tail; 0 when the output is whole.
    pub missed: u64,
    pub tail: Vec<u8>,
}

impl Cut {
    /// The first `bytes`.
    pub fn head(bytes: u64) -> Self {
        Self::new(bytes, 0)
    }

    /// The last `bytes`.
    pub fn tail(bytes: u64) -> Self {
        Self::new(0, bytes)
    }

    /// Half of `bytes` from the beginning, half from the end.
    pub fn head_and_tail(bytes: u64) -> Self {
        Self::new(bytes - bytes / 2, bytes / 2)
    }

    fn new(head: u64, tail: u64) -> Self {
        Self {
            head,
            tail,
            text: false,
            head_done: false,
            passed: 0,
            seen: 0,
            last: VecDeque::new(),
        }
    }

    /// The cut falls between characters of UTF-8, up to three bytes earlier or later.
    pub fn text(mut self) -> Self {
        self.text = true;
        self
    }

    /// What of these bytes belongs to the head, to be passed on at once.
    pub fn push<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        self.seen += bytes.len() as u64;
        let (head, rest) = bytes.split_at(self.head_part(bytes));
        self.passed += head.len() as u64;
        // Behind a shortened head the tail may be longer, so that what fits altogether stays whole.
        let room = usize::try_from(self.whole() - self.passed).unwrap_or(usize::MAX);
        let rest = &rest[rest.len().saturating_sub(room)..];
        let over = (self.last.len() + rest.len()).saturating_sub(room);
        self.last.drain(..over);
        self.last.extend(rest);
        head
    }

    pub fn end(self) -> Ending {
        let whole = self.whole();
        let mut tail = Vec::from(self.last);
        if self.seen <= whole {
            return Ending { missed: 0, tail };
        }
        let keep = usize::try_from(self.tail).unwrap_or(usize::MAX);
        let mut from = tail.len().saturating_sub(keep);
        if self.text {
            from += tail[from..].iter().take(3).take_while(|byte| is_continuation(**byte)).count();
        }
        tail.drain(..from);
        Ending { missed: self.seen - self.passed - tail.len() as u64, tail }
    }

    fn whole(&self) -> u64 {
        self.head.saturating_add(self.tail)
    }

    fn head_part(&mut self, bytes: &[u8]) -> usize {
        if self.head_done {
            return 0;
        }
        let left = self.head - self.passed;
        let mut part = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        if self.text {
            let from = part.saturating_sub(3);
            let too_long = |at: &usize| *at as u64 + character_len(bytes[*at]) > left;
            if let Some(at) = (from..part).find(too_long) {
                part = at;
                self.head_done = true;
            }
        }
        self.head_done |= part as u64 == left;
        part
    }
}

fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

/// The length that a character's first byte announces (RFC 3629, section 3).
fn character_len(first: u8) -> u64 {
    match first {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(mut cut: Cut, chunks: &[&[u8]]) -> (Vec<u8>, u64, Vec<u8>) {
        let head = chunks.iter().flat_map(|chunk| cut.push(chunk).to_vec()).collect();
        let ending = cut.end();
        (head, ending.missed, ending.tail)
    }

    fn chunks(bytes: &[u8], size: usize) -> Vec<&[u8]> {
        bytes.chunks(size).collect()
    }

    #[test]
    fn head_tail_and_both() {
        let chunks: &[&[u8]] = &[b"abc", b"defgh", b"", b"ij"];
        assert_eq!(run(Cut::head(4), chunks), (b"abcd".to_vec(), 6, vec![]));
        assert_eq!(run(Cut::tail(4), chunks), (vec![], 6, b"ghij".to_vec()));
        assert_eq!(run(Cut::head_and_tail(5), chunks), (b"abc".to_vec(), 5, b"ij".to_vec()));
        assert_eq!(run(Cut::head_and_tail(10), chunks), (b"abcde".to_vec(), 0, b"fghij".to_vec()));
        assert_eq!(run(Cut::head(0), chunks), (vec![], 10, vec![]));
        assert_eq!(run(Cut::tail(u64::MAX), chunks).2, b"abcdefghij");
    }

    #[test]
    fn a_character_is_not_split() {
        let text = "aé€𝄞".as_bytes();
        for size in 1..=text.len() {
            let chunks = chunks(text, size);
            assert_eq!(run(Cut::head(2).text(), &chunks), (b"a".to_vec(), 9, vec![]));
            assert_eq!(run(Cut::head(9).text(), &chunks), ("aé€".into(), 4, vec![]));
            assert_eq!(run(Cut::tail(6).text(), &chunks), (vec![], 6, "𝄞".into()));
            assert_eq!(run(Cut::head_and_tail(4).text(), &chunks), (b"a".to_vec(), 9, vec![]));
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_but_what_is_told(
            bytes in prop_oneof![any::<Vec<u8>>(), any::<String>().prop_map(String::into_bytes)],
            size in 1usize..20, head in 0u64..40, tail in 0u64..40, text: bool,
        ) {
            let mut cut = Cut::new(head, tail);
            cut.text = text;
            let (first, missed, last) = run(cut, &chunks(&bytes, size));
            prop_assert_eq!(first.len() as u64 + missed + last.len() as u64, bytes.len() as u64);
            prop_assert!(bytes.starts_with(&first) && bytes.ends_with(&last));
            if bytes.len() as u64 <= head + tail {
                prop_assert_eq!(missed, 0);
            } else {
                prop_assert!(first.len() as u64 <= head && last.len() as u64 <= tail);
                let slack = if text { 3 } else { 0 };
                prop_assert!((first.len() + slack) as u64 >= head && (last.len() + slack) as u64 >= tail);
            }
            if let (true, Ok(_)) = (text, std::str::from_utf8(&bytes)) {
                let whole = [&first[..], &last[..]].concat();
                let parts = if missed == 0 { vec![&whole[..]] } else { vec![&first[..], &last[..]] };
                prop_assert!(parts.iter().all(|part| std::str::from_utf8(part).is_ok()));
            }
        }
    }
}
