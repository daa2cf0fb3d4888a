//! argon2id and its PHC strings, in memory that is lent.

use argon2::password_hash::phc::{self, Output, ParamsString, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::Zeroizing;

use super::pool::Memory;
use crate::domain::password::{Password, PasswordHash};

/// What every new hash costs: 19 MiB, two passes, one lane.
const PARAMS: Params = Params::DEFAULT;
const _: () = assert!(PARAMS.m_cost() == 19_456 && PARAMS.t_cost() == 2 && PARAMS.p_cost() == 1);

pub(super) const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = Params::DEFAULT_OUTPUT_LEN;

/// The most that a stored hash may cost to verify, whoever made it.
const MOST_MEMORY_KIB: u32 = 128 * 1024;
const MOST_PASSES: u32 = 16;

/// The stored text is no argon2 hash, or one that costs too much to verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unintelligible;

impl From<argon2::Error> for Unintelligible {
    fn from(_: argon2::Error) -> Self {
        Self
    }
}

impl From<phc::Error> for Unintelligible {
    fn from(_: phc::Error) -> Self {
        Self
    }
}

impl From<argon2::password_hash::Error> for Unintelligible {
    fn from(_: argon2::password_hash::Error) -> Self {
        Self
    }
}

/// How a password compares with a stored hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compared {
    Differs,
    Fits,
    /// It fits, and the hash was made in another way than new ones are.
    FitsOutdated,
}

pub(super) fn hash(
    password: &Password,
    salt: [u8; SALT_BYTES],
    memory: &mut Memory,
) -> Result<PasswordHash, Unintelligible> {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, PARAMS);
    let output = compute(&argon2, password, &salt, HASH_BYTES, memory)?;
    let hash = phc::PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&PARAMS)?,
        salt: Some(Salt::new(&salt)?),
        hash: Some(Output::new(&output)?),
    };
    Ok(PasswordHash::from_stored(hash.to_string()))
}

pub(super) fn compare(
    password: &Password,
    stored: &PasswordHash,
    memory: &mut Memory,
) -> Result<Compared, Unintelligible> {
    let stored = phc::PasswordHash::new(stored.expose())?;
    let (Some(salt), Some(expected)) = (&stored.salt, &stored.hash) else { return Err(Unintelligible) };
    let params = Params::try_from(&stored)?;
    if params.m_cost() > MOST_MEMORY_KIB || params.t_cost() > MOST_PASSES {
        return Err(Unintelligible);
    }
    let algorithm = Algorithm::try_from(stored.algorithm.as_str())?;
    let version = stored.version.map_or(Ok(Version::V0x10), Version::try_from)?;
    let argon2 = Argon2::new(algorithm, version, params.clone());
    let output = compute(&argon2, password, salt, expected.len(), memory)?;
    // In constant time.
    if Output::new(&output)? != *expected {
        return Ok(Compared::Differs);
    }
    let costs = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
    let is_current = algorithm == Algorithm::Argon2id
        && version == Version::V0x13
        && costs(&params) == costs(&PARAMS)
        && expected.len() == HASH_BYTES;
    Ok(if is_current { Compared::Fits } else { Compared::FitsOutdated })
}

fn compute(
    argon2: &Argon2<'_>,
    password: &Password,
    salt: &[u8],
    length: usize,
    memory: &mut Memory,
) -> Result<Zeroizing<Vec<u8>>, Unintelligible> {
    let blocks = argon2.params().block_count();
    if memory.len() < blocks {
        memory.resize(blocks, Block::new());
    }
    let mut output = Zeroizing::new(vec![0; length]);
    let lent = memory.as_mut_slice();
    argon2.hash_password_into_with_memory(password.expose().as_bytes(), salt, &mut output, lent)?;
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: [u8; SALT_BYTES] = *b"sixteen bytes...";

    fn memory() -> Memory {
        Memory::default()
    }

    fn password(text: &str) -> Password {
        Password::parse(text).unwrap()
    }

    fn made_otherwise(text: &str, algorithm: Algorithm, params: &Params) -> PasswordHash {
        let argon2 = Argon2::new(algorithm, Version::V0x13, params.clone());
        let output = compute(&argon2, &password(text), &SALT, HASH_BYTES, &mut memory()).unwrap();
        let hash = phc::PasswordHash {
            algorithm: algorithm.ident(),
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(params).unwrap(),
            salt: Some(Salt::new(&SALT).unwrap()),
            hash: Some(Output::new(&output).unwrap()),
        };
        PasswordHash::from_stored(hash.to_string())
    }

    #[test]
    fn x9_a_hash_is_argon2id_with_19_mib_two_passes_and_one_lane() {
        let hash = hash(&password("correct horse battery staple"), SALT, &mut memory()).unwrap();
        let text = hash.expose();
        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$c2l4dGVlbiBieXRlcy4uLg$"), "{text}");
    }

    #[test]
    fn the_whole_password_counts() {
        let mut memory = memory();
        let typed = "x".repeat(1024);
        let kept = hash(&password(&typed), SALT, &mut memory).unwrap();
        assert_eq!(compare(&password(&typed), &kept, &mut memory), Ok(Compared::Fits));
        for other in [&typed[1..], "", &"X".repeat(1024), &format!("{}y", &typed[1..])] {
            assert_eq!(compare(&password(other), &kept, &mut memory), Ok(Compared::Differs));
        }
    }

    #[test]
    fn memory_that_others_worked_in_changes_no_result() {
        let mut used = memory();
        let larger = Params::new(2 * PARAMS.m_cost(), 1, 1, None).unwrap();
        let large = made_otherwise("another", Algorithm::Argon2id, &larger);
        compare(&password("another"), &large, &mut used).unwrap();
        let fresh = hash(&password("one"), SALT, &mut memory()).unwrap();
        assert_eq!(hash(&password("one"), SALT, &mut used).unwrap().expose(), fresh.expose());
    }

    #[test]
    fn a_hash_that_was_made_otherwise_still_fits_and_is_outdated() {
        let dearer = Params::new(19_456, 3, 1, None).unwrap();
        for kept in [
            made_otherwise("one", Algorithm::Argon2id, &dearer),
            made_otherwise("one", Algorithm::Argon2i, &PARAMS),
        ] {
            assert_eq!(compare(&password("one"), &kept, &mut memory()), Ok(Compared::FitsOutdated));
            assert_eq!(compare(&password("two"), &kept, &mut memory()), Ok(Compared::Differs));
        }
    }

    #[test]
    fn what_is_no_hash_is_a_failure_and_not_a_wrong_password() {
        let good = hash(&password("one"), SALT, &mut memory()).unwrap();
        for text in [
            "",
            "one",
            "$argon2id$v=19$m=19456,t=2,p=1$c2l4dGVlbiBieXRlcy4uLg",
            "$2b$12$abcdefghijklmnopqrstuv",
            &good.expose().replace("argon2id", "argon2x"),
            &good.expose().replace("m=19456", "m=4194304"),
            &good.expose().replace("t=2", "t=4000000"),
        ] {
            let stored = PasswordHash::from_stored(text.to_owned());
            assert_eq!(compare(&password("one"), &stored, &mut memory()), Err(Unintelligible), "{text}");
        }
    }
}
