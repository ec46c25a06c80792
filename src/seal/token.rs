//! Claim tokens: random text that a container brings, of which only a hash is stored.

use std::fmt::Write;

use subtle::ConstantTimeEq;

use super::cipher::{fill_random, sha256};
use super::error::SealError;
use crate::model::TokenHash;

/// Random bytes in a token.
const TOKEN_ENTROPY: usize = 32;
const PREFIX: &str = "RSCLAIM-1-";

/// A new token and its hash: show the token once, store the hash.
///
/// # Errors
/// [`SealError::Random`].
pub fn new_token() -> Result<(String, TokenHash), SealError> {
    let mut entropy = [0; TOKEN_ENTROPY];
    fill_random(&mut entropy)?;
    let token = format!("{PREFIX}{}", hex(&entropy));
    let hash = hash_token(&token);
    Ok((token, hash))
}

/// SHA-256 of a token, in lower-case hex. A token has 256 random bits, so a slow hash would add nothing.
pub fn hash_token(token: &str) -> TokenHash {
    TokenHash(hex(&sha256(&[token.as_bytes()])))
}

/// Whether `token` hashes to `hash`, in a time that says nothing of where they differ.
pub fn token_matches(token: &str, hash: &TokenHash) -> bool {
    hash_token(token).0.as_bytes().ct_eq(hash.0.as_bytes()).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_matches_its_own_hash_only() {
        let (token, hash) = new_token().unwrap();
        assert!(token_matches(&token, &hash));
        assert!(!token_matches(&new_token().unwrap().0, &hash));
        assert!(!token_matches("", &hash));
        assert!(!token_matches(&token, &TokenHash(String::new())));
    }

    #[test]
    fn the_hash_is_sha256_in_hex() {
        assert_eq!(hash_token("abc").0, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
