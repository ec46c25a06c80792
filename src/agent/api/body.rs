//! The body of a request: bounded before it is read, timed while it is, and the way from its base64 to locked memory.
//! What it holds may be a value, so nothing here logs it or quotes it.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use serde::{Deserialize, Deserializer, de};
use zeroize::Zeroizing;

use super::error::ApiError;
use crate::secret::{MAX_VALUE, SecretBytes};

/// The longest body of a request that carries a value, in bytes: Docker's client sends up to 1,000 KiB, in base64.
pub const MAX_VALUE_BODY: usize = 1536 * 1024;
/// The longest body of any other request, in bytes.
pub const MAX_BODY: usize = 64 * 1024;

/// Standard base64 as Go reads it, and without padding as well.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Reads a body of at most `limit` bytes that comes `within` a time.
///
/// # Errors
/// [`ApiError::BodyTooLong`], [`ApiError::BodyTooSlow`], [`ApiError::BodyBroken`].
pub async fn read(body: Incoming, limit: usize, within: Duration) -> Result<Vec<u8>, ApiError> {
    tokio::time::timeout(within, collect(body, limit)).await.unwrap_or(Err(ApiError::BodyTooSlow))
}

async fn collect(mut body: Incoming, limit: usize) -> Result<Vec<u8>, ApiError> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(ApiError::BodyTooLong(limit));
    }
    let mut bytes = Vec::with_capacity(announced);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| ApiError::BodyBroken)?.into_data() else { continue };
        if data.len() > limit - bytes.len() {
            return Err(ApiError::BodyTooLong(limit));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// A text of a JSON body, borrowed from it unless it has escapes; `null` and a missing one are `None`.
#[derive(Default)]
pub struct Text<'a>(pub Option<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or null")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Borrowed(text))))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Some(Cow::Owned(text.to_owned()))))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(Text(None))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Decodes `text` straight into locked memory; line breaks are passed over, as Go does.
///
/// # Errors
/// [`ApiError::DataSize`] when it is longer than a value may be, [`ApiError::DataEncoding`], [`ApiError::Memory`].
pub fn value(text: &str) -> Result<SecretBytes, ApiError> {
    if text.contains(['\r', '\n']) {
        let joined: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
        return decode(&Zeroizing::new(joined));
    }
    decode(text.as_bytes())
}

fn decode(text: &[u8]) -> Result<SecretBytes, ApiError> {
    let room = base64::decoded_len_estimate(text.len());
    // The estimate counts padding as bytes: at most two more than there are, and at most one group of three.
    if room > MAX_VALUE + 3 {
        return Err(ApiError::DataSize);
    }
    let mut value = SecretBytes::zeroed(room)?;
    let len = BASE64.decode_slice(text, value.expose_mut()).map_err(|_| ApiError::DataEncoding)?;
    value.truncate(len);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Vec<u8> {
        value(text).ok().unwrap().expose().to_vec()
    }

    #[test]
    fn base64_is_read_with_and_without_padding_and_line_breaks() {
        for text in ["aHVudGVyMg==", "aHVudGVyMg=", "aHVudGVyMg", "aHVu\r\ndGVy\nMg=="] {
            assert_eq!(decoded(text), b"hunter2", "{text:?}");
        }
        assert_eq!(decoded(""), b"");
        assert_eq!(decoded("/+8A"), [0xff, 0xef, 0]);
    }

    #[test]
    fn what_is_not_base64_is_refused_without_a_word_of_it() {
        for text in ["aHVudGVy*g==", "_-8A", "aHVud", "aHVu dGVy"] {
            let error = value(text).err().unwrap();
            assert!(matches!(error, ApiError::DataEncoding));
            assert!(!error.to_string().contains(text));
        }
    }

    #[test]
    fn the_largest_value_passes_and_a_longer_one_is_refused_before_it_is_decoded() {
        let largest = base64::engine::general_purpose::STANDARD.encode(vec![7; MAX_VALUE]);
        assert_eq!(decoded(&largest).len(), MAX_VALUE);
        let longer = base64::engine::general_purpose::STANDARD.encode(vec![7; MAX_VALUE + 6]);
        assert!(matches!(value(&longer), Err(ApiError::DataSize)));
    }

    #[test]
    fn a_text_is_borrowed_where_it_can_be() {
        let plain: Text<'_> = serde_json::from_str("\"aGk=\"").unwrap();
        assert!(matches!(plain.0, Some(Cow::Borrowed("aGk="))));
        let escaped: Text<'_> = serde_json::from_str("\"a\\/b\"").unwrap();
        assert!(matches!(escaped.0, Some(Cow::Owned(text)) if text == "a/b"));
        assert!(serde_json::from_str::<Text<'_>>("null").unwrap().0.is_none());
    }
}
