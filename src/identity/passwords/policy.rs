//! What a new password must be like.
//!
//! "Verifiers and CSPs SHALL require passwords … to be a minimum of 15 characters in length" and
//! "SHALL NOT impose other composition rules" (NIST SP 800-63B-4 §3.1.1.2). An operator may let
//! shorter ones through that are hard to guess all the same.

use std::fmt;

use unicode_normalization::UnicodeNormalization as _;
use zxcvbn::{Score, zxcvbn};

use super::breached::BreachedPasswords;
use crate::domain::password::Password;

/// Long enough whatever it is made of, in characters.
pub const LONG_ENOUGH: usize = 15;
/// Too short whatever it is made of: estimates of so few characters say little.
pub const TOO_SHORT: usize = 8;

/// Why a new password is not taken. Holds no part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnsuitablePassword {
    /// Shorter than [`LONG_ENOUGH`], where only the length counts.
    Short,
    /// Shorter than [`LONG_ENOUGH`], and easy to guess.
    Guessable,
    /// The name that its owner logs in with.
    Name,
    /// Others have lost it already.
    Breached,
}

impl fmt::Display for UnsuitablePassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => write!(f, "a password has {LONG_ENOUGH} characters or more: several words are easy to remember"),
            Self::Guessable => {
                write!(f, "the password is easy to guess; one of {LONG_ENOUGH} characters or more is always taken")
            }
            Self::Name => f.write_str("the password is the name of its user"),
            Self::Breached => {
                f.write_str("the password is in a list of passwords that others have lost; choose one that nobody has used")
            }
        }
    }
}

impl std::error::Error for UnsuitablePassword {}

/// The operator's rules for new passwords. Nobody is locked out by a stricter one: old passwords
/// stay good.
#[derive(Clone, Debug)]
pub struct PasswordPolicy {
    least_score: Option<Score>,
    breached: Option<BreachedPasswords>,
}

impl PasswordPolicy {
    /// A password of fewer than 15 characters needs a zxcvbn score of `least_score`, from 1 to 4; with 0 none is taken.
    pub fn new(least_score: u8, breached: Option<BreachedPasswords>) -> Self {
        let least_score = match least_score {
            0 => None,
            1 => Some(Score::One),
            2 => Some(Score::Two),
            3 => Some(Score::Three),
            _ => Some(Score::Four),
        };
        Self { least_score, breached }
    }

    /// Judges a new password of the user who logs in as `name`. Reads the operator's file: not for
    /// a thread that has requests to answer.
    ///
    /// # Errors
    /// When the file of breached passwords cannot be read.
    pub fn judge(&self, password: &Password, name: &str) -> std::io::Result<Result<(), UnsuitablePassword>> {
        let password = password.expose();
        if folded(password) == folded(name) {
            return Ok(Err(UnsuitablePassword::Name));
        }
        let length = password.chars().count();
        if length < LONG_ENOUGH {
            let Some(least) = self.least_score else { return Ok(Err(UnsuitablePassword::Short)) };
            // Whoever guesses begins with the name, and with its parts.
            let parts = name.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty());
            let known: Vec<&str> = std::iter::once(name).chain(parts).collect();
            if length < TOO_SHORT || zxcvbn(password, &known).score() < least {
                return Ok(Err(UnsuitablePassword::Guessable));
            }
        }
        match &self.breached {
            Some(list) if list.contains(password)? => Ok(Err(UnsuitablePassword::Breached)),
            _ => Ok(Ok(())),
        }
    }
}

fn folded(text: &str) -> zeroize::Zeroizing<String> {
    zeroize::Zeroizing::new(text.nfkc().collect::<String>().to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(policy: &PasswordPolicy, password: &str) -> Result<(), UnsuitablePassword> {
        policy.judge(&Password::parse(password).unwrap(), "Mira.Jansen@Example.com").unwrap()
    }

    #[test]
    fn fifteen_characters_are_enough_whatever_they_are() {
        let policy = PasswordPolicy::new(0, None);
        assert_eq!(judge(&policy, "aaaaaaaaaaaaaa"), Err(UnsuitablePassword::Short));
        assert_eq!(judge(&policy, "aaaaaaaaaaaaaaa"), Ok(()));
        // Characters, not bytes.
        assert_eq!(judge(&policy, &"ä".repeat(14)), Err(UnsuitablePassword::Short));
        assert_eq!(judge(&policy, &"🦆".repeat(15)), Ok(()));
        assert_eq!(judge(&policy, "v8#Kq!z0Lw"), Err(UnsuitablePassword::Short));
    }

    #[test]
    fn an_operator_may_take_shorter_ones_that_are_hard_to_guess() {
        let policy = PasswordPolicy::new(3, None);
        assert_eq!(judge(&policy, "v8#Kq!z0Lw"), Ok(()));
        for guessable in ["password1234", "qwertyuiop[]", "v8#Kq!z", ""] {
            assert_eq!(judge(&policy, guessable), Err(UnsuitablePassword::Guessable), "{guessable}");
        }
        assert_eq!(judge(&policy, "aaaaaaaaaaaaaaa"), Ok(()));
    }

    #[test]
    fn what_is_made_of_the_name_is_easy_to_guess() {
        let policy = PasswordPolicy::new(3, None);
        let typed = Password::parse("xq7vkzpwm1").unwrap();
        assert_eq!(policy.judge(&typed, "mira").unwrap(), Ok(()));
        let guessed = policy.judge(&typed, "xq7vkzpwm.jansen@example.com").unwrap();
        assert_eq!(guessed, Err(UnsuitablePassword::Guessable));
    }

    #[test]
    fn a_name_is_no_password() {
        let policy = PasswordPolicy::new(0, None);
        assert_eq!(judge(&policy, "mira.jansen@EXAMPLE.com"), Err(UnsuitablePassword::Name));
        assert_eq!(judge(&policy, "mira.jansen@example.com!"), Ok(()));
    }

    #[test]
    fn a_breached_password_is_refused_however_long() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "correct horse battery staple\n").unwrap();
        let list = BreachedPasswords::open(file.path()).unwrap();
        let policy = PasswordPolicy::new(0, Some(list));
        assert_eq!(judge(&policy, "correct horse battery staple"), Err(UnsuitablePassword::Breached));
        assert_eq!(judge(&policy, "correct horse battery stapler"), Ok(()));
    }
}
