//! Randomness as a parameter.

use std::fmt;

use rand::TryRng;
use rand::rngs::SysRng;

/// The operating system could not give random bytes. Nothing may be issued without them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntropyUnavailable;

impl fmt::Display for EntropyUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the operating system gave no random bytes")
    }
}

impl std::error::Error for EntropyUnavailable {}

/// Where random bytes come from.
pub trait Entropy: Send + Sync {
    /// Fills `bytes` with bytes that nobody can guess (RFC 6749 §10.10).
    ///
    /// # Errors
    /// When the source fails; `bytes` is then not to be used.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyUnavailable>;
}

/// A fresh array of random bytes.
///
/// # Errors
/// When the source fails.
pub fn random<const N: usize>(entropy: &dyn Entropy) -> Result<[u8; N], EntropyUnavailable> {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes)?;
    Ok(bytes)
}

/// The operating system's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyUnavailable> {
        SysRng.try_fill_bytes(bytes).map_err(|_| EntropyUnavailable)
    }
}
