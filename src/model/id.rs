//! Ids of secrets and services: 25 base36 characters, as Docker's are, from random bytes that the caller brings.

use serde::{Deserialize, Serialize};

use super::error::ModelError;
use super::text::text_type;

/// Random bytes that go into an id: 129 bits are used.
pub const ID_ENTROPY: usize = 17;
const LENGTH: usize = 25;
const ALPHABET: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// An object's id: 25 characters of `[0-9a-z]`, about 129 random bits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Id(String);

impl Id {
    /// The id that `entropy` spells; the bytes must come from a cryptographic generator.
    pub fn from_entropy(mut entropy: [u8; ID_ENTROPY]) -> Self {
        // One set bit on top and none above it keeps every id at 25 digits.
        entropy[0] = 1;
        let mut digits = [b'0'; LENGTH];
        for digit in digits.iter_mut().rev() {
            let mut remainder = 0u32;
            for byte in &mut entropy {
                let value = (remainder << 8) | u32::from(*byte);
                *byte = u8::try_from(value / 36).unwrap_or(u8::MAX);
                remainder = value % 36;
            }
            *digit = ALPHABET[remainder as usize];
        }
        // Every digit is from the alphabet, which is ASCII.
        Self(digits.iter().map(|digit| char::from(*digit)).collect())
    }

    /// Checks `text`.
    ///
    /// # Errors
    /// [`ModelError::IdInvalid`].
    pub fn parse(text: &str) -> Result<Self, ModelError> {
        let bytes = text.as_bytes();
        if bytes.len() == LENGTH && bytes.iter().all(|byte| ALPHABET.contains(byte)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ModelError::IdInvalid)
        }
    }
}

text_type!(Id);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_dockers_form() {
        for seed in 0..=255u8 {
            let mut entropy = [seed; ID_ENTROPY];
            entropy[5] = seed.wrapping_mul(7);
            let id = Id::from_entropy(entropy);
            assert_eq!(Id::parse(id.as_str()), Ok(id.clone()));
        }
    }

    #[test]
    fn different_entropy_gives_different_ids() {
        let mut entropy = [0u8; ID_ENTROPY];
        let first = Id::from_entropy(entropy);
        entropy[ID_ENTROPY - 1] = 1;
        assert_ne!(first, Id::from_entropy(entropy));
    }
}
