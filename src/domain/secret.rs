//! A value that must not be seen: never serialised, printed or copied, and wiped when dropped.

pub mod named;

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

/// Holds a secret. It has no `Clone`, `Display` or `Serialize`; `Debug` prints `***`.
///
/// ```compile_fail
/// let secret = sgw::domain::secret::Secret::new(String::from("x"));
/// let _copy = secret.clone();
/// ```
///
/// ```compile_fail
/// let secret = sgw::domain::secret::Secret::new(String::from("x"));
/// println!("{secret}");
/// ```
///
/// ```compile_fail
/// let secret = sgw::domain::secret::Secret::new(String::from("x"));
/// serde_json::to_string(&secret).unwrap();
/// ```
pub struct Secret<T: Zeroize>(Zeroizing<T>);

impl<T: Zeroize> Secret<T> {
    pub fn new(value: T) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The only way to the value. Keep the borrow short.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl Secret<Vec<u8>> {
    /// The same secret as text; `None` when it is not UTF-8.
    pub fn into_text(mut self) -> Option<Secret<String>> {
        let bytes = std::mem::take(&mut *self.0);
        match String::from_utf8(bytes) {
            Ok(text) => Some(Secret::new(text)),
            Err(error) => {
                error.into_bytes().zeroize();
                None
            }
        }
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_stars_alone() {
        let secret = Secret::new(String::from("hunter2"));
        assert_eq!(format!("{secret:?}"), "***");
    }

    #[test]
    fn text_that_is_not_utf8_is_no_text() {
        assert!(Secret::new(vec![0xff, 0xfe]).into_text().is_none());
        let text = Secret::new(b"abc".to_vec()).into_text();
        assert_eq!(text.as_ref().map(|text| text.expose().as_str()), Some("abc"));
    }
}
