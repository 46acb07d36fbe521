//! What a key is made of: `{prefix}{30 base62}{6 base62 CRC-32 of the 30}`.
//!
//! The shape follows GitHub's tokens: about 178 bits of randomness, only `[A-Za-z0-9_]` so that a double click selects
//! all of it, and a checksum so that a mistyped key is refused without asking the database.

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::secrets::{self, Digest, NoRandomness};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BODY: usize = 30;
const CHECKSUM: usize = 6;
/// No more bytes of a presented credential are ever looked at.
pub const MAX_LENGTH: usize = 256;

/// A key as it is made: the one time that its text exists here. Neither prints nor serialises.
pub struct NewSecret {
    text: SecretString,
    pub digest: Digest,
    /// `kd_live_AbCd…WxYz`.
    pub hint: String,
}

impl NewSecret {
    /// A fresh key with `prefix`.
    pub fn generate(prefix: &str) -> Result<Self, NoRandomness> {
        let mut body = Zeroizing::new(String::with_capacity(BODY));
        let mut bytes = Zeroizing::new([0; 64]);
        while body.len() < BODY {
            secrets::random(bytes.as_mut())?;
            // 248 is the largest multiple of 62 in a byte: what lies above would favour the alphabet's beginning.
            let missing = BODY - body.len();
            body.extend(
                bytes
                    .iter()
                    .filter(|byte| **byte < 248)
                    .filter_map(|byte| ALPHABET.get(usize::from(byte % 62)))
                    .take(missing)
                    .map(|byte| char::from(*byte)),
            );
        }
        let text = Zeroizing::new(format!("{prefix}{}{}", *body, checksum(&body)));
        Ok(Self { digest: Digest::of(text.as_bytes()), hint: hint(&text, prefix), text: text.as_str().into() })
    }

    /// Hands the text out, for the one response that shows it.
    pub fn reveal(&self) -> &str {
        self.text.expose_secret()
    }
}

/// The full prefix, the first four and the last four characters.
fn hint(text: &str, prefix: &str) -> String {
    let first = text.get(prefix.len()..prefix.len() + 4).unwrap_or_default();
    let last = text.get(text.len() - 4..).unwrap_or_default();
    format!("{prefix}{first}…{last}")
}

/// The hint of a whole key, for where one was given that should not have been.
pub fn hint_of(text: &str) -> Option<String> {
    digest_of_key(text.as_bytes()).ok()?;
    Some(hint(text, text.get(..text.len() - BODY - CHECKSUM)?))
}

/// CRC-32 (IEEE) of the body alone, in base62, padded on the left with `0` to six digits.
fn checksum(body: &str) -> String {
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut digits = [b'0'; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        // 62^6 exceeds 2^32, so six digits always hold it.
        *digit = ALPHABET.get((rest % 62) as usize).copied().unwrap_or(b'0');
        rest /= 62;
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

/// Why a presented credential cannot be a key, said so that its sender can mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    WhiteSpace,
    TooLong,
    Shape,
    Checksum,
}

impl Malformed {
    pub fn detail(self) -> &'static str {
        match self {
            Self::WhiteSpace => {
                "The key holds a space, a tab or a line break. Send it exactly as it was shown, with nothing around it."
            }
            Self::TooLong => "The credential is longer than any key.",
            Self::Shape => "The credential does not have the shape of a key: check that it is whole and unquoted.",
            Self::Checksum => "The key's checksum does not match: a character is missing or mistyped.",
        }
    }
}

/// The digest under which a key is known, of a credential that has a key's shape and checksum: only such a one is worth
/// asking the database about. It is read byte for byte; nothing is trimmed or folded. Any well-formed prefix will do,
/// since the environment of a key is in its record.
pub fn digest_of_key(credential: &[u8]) -> Result<Digest, Malformed> {
    if credential.len() > MAX_LENGTH {
        return Err(Malformed::TooLong);
    }
    if credential.iter().any(u8::is_ascii_whitespace) {
        return Err(Malformed::WhiteSpace);
    }
    let text = std::str::from_utf8(credential).map_err(|_| Malformed::Shape)?;
    let tail = text.len().checked_sub(BODY + CHECKSUM).ok_or(Malformed::Shape)?;
    let (prefix, body, check) = text
        .split_at_checked(tail)
        .and_then(|(prefix, rest)| rest.split_at_checked(BODY).map(|(body, check)| (prefix, body, check)))
        .ok_or(Malformed::Shape)?;
    let prefix_fits = prefix.len() > 1
        && prefix.ends_with('_')
        && prefix.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if !prefix_fits || !body.bytes().chain(check.bytes()).all(|b| b.is_ascii_alphanumeric()) {
        return Err(Malformed::Shape);
    }
    if checksum(body) != check {
        return Err(Malformed::Checksum);
    }
    Ok(Digest::of(credential))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_checksum_of_the_published_vector() {
        assert_eq!(checksum("zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ"), "0mLq17");
    }

    #[test]
    fn a_new_key_has_the_shape_and_its_hint_shows_eight_characters() {
        let secret = NewSecret::generate("kd_live_").unwrap();
        let text = secret.reveal();
        assert_eq!(text.len(), 8 + 36);
        assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
        assert_eq!(secret.hint, format!("kd_live_{}…{}", &text[8..12], &text[40..]));
        assert_eq!(digest_of_key(text.as_bytes()).ok(), Some(secret.digest));
    }

    #[test]
    fn a_million_keys_do_not_repeat_and_no_character_is_favoured() {
        const KEYS: usize = 1_000_000;
        let mut seen = HashSet::with_capacity(KEYS);
        let mut counts = [0u32; 128];
        for _ in 0..KEYS {
            let secret = NewSecret::generate("p_").unwrap();
            let body = &secret.reveal().as_bytes()[2..32];
            body.iter().for_each(|b| counts[usize::from(*b)] += 1);
            assert!(seen.insert(<[u8; 30]>::try_from(body).unwrap()));
        }
        let expected = KEYS as f64 * 30.0 / 62.0;
        // Chi-squared with 61 degrees of freedom: beyond 140 happens by chance less than once in ten million runs; a
        // modulo bias (the first 8 characters favoured by a quarter) would score in the hundred thousands.
        let score: f64 =
            ALPHABET.iter().map(|b| (f64::from(counts[usize::from(*b)]) - expected).powi(2) / expected).sum();
        assert!(score < 140.0, "chi-squared {score}");
    }

    #[test]
    fn every_one_changed_character_is_refused() {
        let secret = NewSecret::generate("kd_live_").unwrap();
        let good = secret.reveal().as_bytes();
        for at in 8..good.len() {
            for with in ALPHABET.iter().filter(|with| **with != good[at]) {
                let mut bytes = good.to_vec();
                bytes[at] = *with;
                assert_eq!(digest_of_key(&bytes).err(), Some(Malformed::Checksum));
            }
        }
    }

    #[test]
    fn what_cannot_be_a_key_is_told_apart() {
        let secret = NewSecret::generate("kd_live_").unwrap();
        let good = secret.reveal();
        let parse = |text: String| digest_of_key(text.as_bytes()).err();
        for padded in
            [format!(" {good}"), format!("{good}\n"), format!("{good}\r\n"), format!("{}\t{}", &good[..9], &good[9..])]
        {
            assert_eq!(parse(padded), Some(Malformed::WhiteSpace));
        }
        assert_eq!(parse("x".repeat(257)), Some(Malformed::TooLong));
        for shapeless in
            ["", "kd_live_", "Bearer", &good[1..20], &good.to_uppercase(), &good.replace("kd_", "kd-"), &good[8..]]
        {
            assert_eq!(parse(shapeless.to_owned()), Some(Malformed::Shape), "{shapeless}");
        }
        assert_eq!(digest_of_key(&[0xff; 44]).err(), Some(Malformed::Shape));
        assert_eq!(parse(format!("\u{430}{}", &good[1..])), Some(Malformed::Shape), "a Cyrillic a is not an a");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = digest_of_key(&bytes);
        }
    }
}
