//! Tokens of services that ask their containers for one: made here, shown once, kept as a hash.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::model::TokenHash;

/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;
/// How a token begins, so that a leaked one is recognised.
const PREFIX: &str = "RSCLAIM-1-";

/// A new token.
///
/// # Errors
/// Why the kernel gave no random bytes.
pub fn token() -> Result<Zeroizing<String>, String> {
    let mut entropy = Zeroizing::new([0; TOKEN_BYTES]);
    getrandom::fill(&mut *entropy).map_err(|error| error.to_string())?;
    Ok(Zeroizing::new(format!("{PREFIX}{}", *hex(&*entropy))))
}

/// What is kept of a token.
pub fn hash(token: &str) -> TokenHash {
    TokenHash(hex(&Sha256::digest(token.as_bytes())).to_string())
}

fn hex(bytes: &[u8]) -> Zeroizing<String> {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    Zeroizing::new(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_sha256_in_hex() {
        // FIPS 180-2, the one-block example.
        let TokenHash(text) = hash("abc");
        assert_eq!(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn tokens_differ_and_say_what_they_are() {
        let (one, two) = (token().unwrap(), token().unwrap());
        assert!(one.starts_with(PREFIX) && one.len() == PREFIX.len() + 64 && one != two);
    }
}
