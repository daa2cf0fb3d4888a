//! Proof Key for Code Exchange (RFC 7636): whoever redeems a code proves that they asked for it.
//!
//! Only the method `S256` exists here: with `plain`, whoever sees the request has the verifier.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// The one method that is supported, as `code_challenge_method` names it.
pub const METHOD: &str = "S256";

/// The text is not a code challenge of the method S256, or not a code verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedPkce;

/// RFC 7636 §4.2: `code_challenge = BASE64URL-ENCODE(SHA256(ASCII(code_verifier)))`. Not a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeChallenge([u8; 32]);

impl CodeChallenge {
    /// # Errors
    /// When the text is anything but 43 characters of unpadded base64url: no verifier fits it.
    pub fn parse(text: &str) -> Result<Self, MalformedPkce> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| MalformedPkce)?;
        bytes.try_into().map(Self).map_err(|_| MalformedPkce)
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The secret half, as a client presents it with its code.
#[derive(Clone)]
pub struct CodeVerifier(Zeroizing<String>);

impl CodeVerifier {
    /// RFC 7636 §4.1: "code-verifier = 43*128unreserved"
    ///
    /// # Errors
    /// When the text is something else.
    pub fn parse(text: &str) -> Result<Self, MalformedPkce> {
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if !(43..=128).contains(&text.len()) || !text.bytes().all(unreserved) {
            return Err(MalformedPkce);
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// The challenge that this verifier fits.
    pub fn challenge(&self) -> CodeChallenge {
        CodeChallenge(Sha256::digest(self.0.as_bytes()).into())
    }
}

impl fmt::Debug for CodeVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeVerifier(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_7636_appendix_b_fits() {
        let verifier = CodeVerifier::parse("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").unwrap();
        let challenge = CodeChallenge::parse("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM").unwrap();
        assert_eq!(verifier.challenge(), challenge);
    }

    #[test]
    fn p3_a_challenge_is_43_characters_of_base64url() {
        let good = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        let long = good.repeat(4);
        // The last character carries four bits: another one with the same four is no spelling of it.
        let respelled = format!("{}N", &good[..42]);
        for text in ["", &good[..42], &format!("{good}="), &format!("{good}A"), &long, &respelled] {
            assert_eq!(CodeChallenge::parse(text), Err(MalformedPkce), "{text}");
        }
        assert_eq!(CodeChallenge::parse(&good.replace('-', "+")), Err(MalformedPkce));
    }

    #[test]
    fn p6_a_verifier_is_43_to_128_unreserved_characters() {
        for length in [43, 128] {
            assert!(CodeVerifier::parse(&"~".repeat(length)).is_ok());
        }
        let (short, long) = ("a".repeat(42), "a".repeat(129));
        for text in ["", &short, &long, &format!("{short}+"), &format!("{short}ä"), &format!("{short} a")] {
            assert!(CodeVerifier::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn x23_debug_shows_no_verifier() {
        let verifier = CodeVerifier::parse(&"hunter2".repeat(7)).unwrap();
        assert!(!format!("{verifier:?}").contains("hunter2"));
    }
}
