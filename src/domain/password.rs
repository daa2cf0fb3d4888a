//! Passwords of people: what they typed, and what is kept of it.

use std::fmt;

use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfkc_quick};
use zeroize::Zeroizing;

/// The longest password, in bytes of UTF-8. It is taken whole; a longer one is refused, never cut.
pub const MAX_PASSWORD_BYTES: usize = 1024;

/// The password is longer than [`MAX_PASSWORD_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordTooLong;

impl fmt::Display for PasswordTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a password has {MAX_PASSWORD_BYTES} bytes or fewer")
    }
}

impl std::error::Error for PasswordTooLong {}

/// A password as somebody typed it, in the one spelling that is hashed.
///
/// Keyboards disagree on how an accented letter is written; "the verifier SHOULD apply the
/// normalization process for stabilized strings using either the NFKC or NFKD normalization"
/// (NIST SP 800-63B-3 §5.1.1.2). It is NFKC here.
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes whatever was typed: what a new password must be like is a policy's business.
    ///
    /// # Errors
    /// When it is too long.
    pub fn parse(typed: &str) -> Result<Self, PasswordTooLong> {
        if typed.len() > MAX_PASSWORD_BYTES {
            return Err(PasswordTooLong);
        }
        if is_nfkc_quick(typed.chars()) == IsNormalized::Yes {
            return Ok(Self(Zeroizing::new(typed.to_owned())));
        }
        // Measured first: a string that grows leaves copies of itself behind.
        let length = typed.nfkc().map(char::len_utf8).sum();
        let mut text = Zeroizing::new(String::with_capacity(length));
        text.extend(typed.nfkc());
        Ok(Self(text))
    }

    /// The password itself. Name it only where it is hashed or judged.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// What is kept of a password: its argon2id hash with salt and parameters, as a PHC string.
#[derive(Clone)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// A PHC string; whether it is one shows when a password is verified against it.
    pub const fn from_stored(phc: String) -> Self {
        Self(phc)
    }

    /// The PHC string. Name it only where it is stored or verified against.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x9_a_password_is_taken_whole_up_to_1024_bytes() {
        let longest = "ä".repeat(512);
        assert_eq!(Password::parse(&longest).unwrap().expose(), longest);
        assert_eq!(Password::parse(&format!("{longest}!")).unwrap_err(), PasswordTooLong);
    }

    #[test]
    fn two_keyboards_type_the_same_password() {
        let composed = Password::parse("caf\u{e9} \u{fb01}n").unwrap();
        let decomposed = Password::parse("cafe\u{301} fin").unwrap();
        assert_eq!(composed.expose(), decomposed.expose());
        // Blanks and letter case are part of it.
        assert_eq!(Password::parse(" Aa ").unwrap().expose(), " Aa ");
    }

    #[test]
    fn x23_debug_shows_no_password() {
        assert_eq!(format!("{:?}", Password::parse("hunter2").unwrap()), "Password(…)");
        assert_eq!(format!("{:?}", PasswordHash::from_stored("$argon2id$".to_owned())), "PasswordHash(…)");
    }
}
