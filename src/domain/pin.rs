//! What a PIN may be: short, because it opens nothing and has three tries.

/// Fewer digits fall to three tries too often.
pub const MIN_BYTES: usize = 4;
pub const MAX_BYTES: usize = 64;

/// Why a PIN is refused.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Weak {
    #[error("a PIN has {MIN_BYTES} to {MAX_BYTES} characters")]
    Length,
    #[error("a PIN has no control characters")]
    Control,
    #[error("a PIN is more than one character repeated, or counted up or down")]
    Run,
}

/// Whether three tries at a PIN are few.
pub fn judge(pin: &[u8]) -> Result<(), Weak> {
    if !(MIN_BYTES..=MAX_BYTES).contains(&pin.len()) {
        return Err(Weak::Length);
    }
    if pin.iter().any(u8::is_ascii_control) {
        return Err(Weak::Control);
    }
    let steps: Vec<i16> = pin.windows(2).map(|two| i16::from(two[1]) - i16::from(two[0])).collect();
    let even = steps.iter().all(|step| Some(step) == steps.first());
    if even && steps.first().is_some_and(|step| step.abs() <= 1) {
        return Err(Weak::Run);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_to_mind_first_is_no_pin() {
        for (pin, why) in [
            ("", Weak::Length),
            ("731", Weak::Length),
            ("0000", Weak::Run),
            ("1234", Weak::Run),
            ("4321", Weak::Run),
            ("73\u{1b}1", Weak::Control),
        ] {
            assert_eq!(judge(pin.as_bytes()), Err(why), "{pin:?}");
        }
        assert_eq!(judge(&[b'1'; 65]), Err(Weak::Length));
        for pin in ["7314", "1224", "vier", "1357"] {
            assert_eq!(judge(pin.as_bytes()), Ok(()), "{pin}");
        }
    }
}
