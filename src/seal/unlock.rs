//! Autolock: the root key wrapped under an unlock key that an operator keeps, so that a machine that starts cannot open its
//! own store.
//!
//! The unlock key is 32 random bytes, shown once as `RSKEY-1-` and 43 characters of base64. The wrapped root key is
//! `format (1) | 'U' | nonce (12) | ciphertext (32) | tag (16)`, AES-256-GCM-SIV under HKDF-SHA-256 of the unlock key, with
//! the first two bytes as associated data. No slow hash: the unlock key has 256 random bits.

use hkdf::Hkdf;
use sha2::Sha256;

use super::cipher::{KEY_BYTES, NONCE_BYTES, TAG_BYTES, fill_random, open_in_place, seal_in_place};
use super::error::SealError;
use super::keys::{ROOT_KEY_BYTES, RootKey};
use crate::secret::SecretBytes;

/// How an unlock key begins, so that a leaked one is recognised.
const PREFIX: &[u8] = b"RSKEY-1-";
/// Characters after the prefix.
const TEXT_BYTES: usize = 43;
const HEADER: [u8; 2] = [1, b'U'];
const PURPOSE: &[u8] = b"runsecrets/1 unlock";
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Bytes of a wrapped root key.
pub const WRAPPED_BYTES: usize = HEADER.len() + NONCE_BYTES + ROOT_KEY_BYTES + TAG_BYTES;

/// A key that unlocks: in locked memory, as its text, which is what an operator has.
pub struct UnlockKey(SecretBytes);

impl UnlockKey {
    /// A new one.
    ///
    /// # Errors
    /// [`SealError::Random`], [`SealError::Memory`].
    pub fn generate() -> Result<Self, SealError> {
        let mut entropy = SecretBytes::zeroed(KEY_BYTES)?;
        fill_random(entropy.expose_mut())?;
        let mut text = SecretBytes::zeroed(PREFIX.len() + TEXT_BYTES)?;
        text.expose_mut()[..PREFIX.len()].copy_from_slice(PREFIX);
        encode(entropy.expose(), &mut text.expose_mut()[PREFIX.len()..]);
        Ok(Self(text))
    }

    /// The one that a text is, white space around it passed over; `None` when it cannot be one.
    pub fn from_text(text: &SecretBytes) -> Option<Self> {
        let bytes = text.expose().trim_ascii();
        let digits = bytes.strip_prefix(PREFIX)?;
        if digits.len() != TEXT_BYTES || !digits.iter().all(|digit| ALPHABET.contains(digit)) {
            return None;
        }
        let mut own = SecretBytes::zeroed(bytes.len()).ok()?;
        own.expose_mut().copy_from_slice(bytes);
        Some(Self(own))
    }

    /// The text, to be shown once and nowhere kept.
    pub fn expose(&self) -> &[u8] {
        self.0.expose()
    }

    fn key(&self) -> Result<SecretBytes, SealError> {
        let mut key = SecretBytes::zeroed(KEY_BYTES)?;
        let kdf = Hkdf::<Sha256>::new(None, self.0.expose());
        kdf.expand(PURPOSE, key.expose_mut()).expect("32 bytes are within HKDF's limit");
        Ok(key)
    }
}

/// Wraps `root` for whoever has `unlock`.
///
/// # Errors
/// [`SealError::Random`], [`SealError::Memory`].
pub fn wrap_root_key(root: &RootKey, unlock: &UnlockKey) -> Result<Vec<u8>, SealError> {
    let mut nonce = [0; NONCE_BYTES];
    fill_random(&mut nonce)?;
    let mut buffer = SecretBytes::zeroed(ROOT_KEY_BYTES)?;
    buffer.expose_mut().copy_from_slice(root.expose());
    let tag =
        seal_in_place(unlock.key()?.expose(), &nonce, &HEADER, buffer.expose_mut()).ok_or(SealError::WrongUnlockKey)?;
    Ok([&HEADER[..], &nonce, buffer.expose(), &tag].concat())
}

/// Opens a wrapped root key.
///
/// # Errors
/// [`SealError::WrongUnlockKey`] when `unlock` is another one, or the bytes are damaged: which of the two cannot be told.
pub fn unwrap_root_key(wrapped: &[u8], unlock: &UnlockKey) -> Result<RootKey, SealError> {
    let rest =
        wrapped.strip_prefix(&HEADER).filter(|_| wrapped.len() == WRAPPED_BYTES).ok_or(SealError::WrongUnlockKey)?;
    let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(SealError::WrongUnlockKey)?;
    let (sealed, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(SealError::WrongUnlockKey)?;
    let mut root = SecretBytes::zeroed(sealed.len())?;
    root.expose_mut().copy_from_slice(sealed);
    open_in_place(unlock.key()?.expose(), nonce, &HEADER, root.expose_mut(), tag)
        .map_err(|_| SealError::WrongUnlockKey)?;
    RootKey::from_secret(root).ok_or(SealError::WrongUnlockKey)
}

/// Base64 without padding (RFC 4648), from locked memory to locked memory. 32 bytes are ten groups of three, and two more.
fn encode(bytes: &[u8], text: &mut [u8]) {
    let mut digits = text.iter_mut();
    for group in bytes.chunks(3) {
        let mut number = 0u32;
        for place in 0..3 {
            number = number << 8 | u32::from(group.get(place).copied().unwrap_or(0));
        }
        for place in 0..=group.len() {
            if let Some(digit) = digits.next() {
                *digit = ALPHABET[(number >> (18 - 6 * place) & 63) as usize];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_key_opens_with_its_own_unlock_key_only() {
        let (root, unlock) = (RootKey::generate().unwrap(), UnlockKey::generate().unwrap());
        let wrapped = wrap_root_key(&root, &unlock).unwrap();
        assert_eq!(wrapped.len(), WRAPPED_BYTES);
        assert_eq!(unwrap_root_key(&wrapped, &unlock).unwrap().expose(), root.expose());
        let other = UnlockKey::generate().unwrap();
        assert!(matches!(unwrap_root_key(&wrapped, &other), Err(SealError::WrongUnlockKey)));
        for at in 0..wrapped.len() {
            let mut damaged = wrapped.clone();
            damaged[at] ^= 1;
            assert!(unwrap_root_key(&damaged, &unlock).is_err(), "byte {at}");
        }
        assert!(unwrap_root_key(&wrapped[1..], &unlock).is_err());
    }

    #[test]
    fn an_unlock_key_has_dockers_form_and_is_read_back() {
        let key = UnlockKey::generate().unwrap();
        let text = String::from_utf8(key.expose().to_vec()).unwrap();
        assert!(text.starts_with("RSKEY-1-") && text.len() == 51, "{text}");
        let mut typed = format!(" {text}\n").into_bytes();
        let again = UnlockKey::from_text(&SecretBytes::take_from(&mut typed).unwrap()).unwrap();
        assert_eq!(again.expose(), key.expose());
        for text in ["", "RSKEY-1-", "SWMKEY-1-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "RSKEY-1-!"] {
            assert!(UnlockKey::from_text(&SecretBytes::take_from(&mut text.as_bytes().to_vec()).unwrap()).is_none());
        }
    }

    #[test]
    fn the_text_is_base64() {
        let mut text = [0; 43];
        encode(&[0xff; 32], &mut text);
        assert_eq!(&text, b"//////////////////////////////////////////8");
        encode(b"runsecrets: thirty-two bytes it is"[..32].try_into().unwrap_or(&[0; 32]), &mut text);
        assert_eq!(&text[..8], b"cnVuc2Vj");
    }
}
