//! Secrets as types that neither print nor serialise, and the few cryptographic acts done with them, all from one
//! library.

use aws_lc_rs::{constant_time, digest, hmac, rand};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};

/// SHA-256 of a secret: the only form in which a key, a session id or a link's token is kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, sqlx::Type)]
#[sqlx(transparent)]
pub struct Digest([u8; 32]);

impl Digest {
    pub fn of(secret: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, secret).as_ref());
        Self(bytes)
    }

    pub fn of_text(secret: &SecretString) -> Self {
        Self::of(secret.expose_secret().as_bytes())
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// `None` unless they are 32.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// From 64 lower-case hexadecimal digits; `None` otherwise.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        (!text.bytes().any(|digit| digit.is_ascii_uppercase())).then_some(Self(bytes))
    }

    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.to_hex())
    }
}

/// The operating system's random numbers gave out, which nothing sensible can follow.
#[derive(Debug, thiserror::Error)]
#[error("no random numbers from the operating system")]
pub struct NoRandomness;

/// Fills `bytes` from the cryptographic generator.
pub fn random(bytes: &mut [u8]) -> Result<(), NoRandomness> {
    rand::fill(bytes).map_err(|_| NoRandomness)
}

/// A fresh token of 256 bits, URL-safe: for set-up links and server keys.
pub fn random_token() -> Result<SecretString, NoRandomness> {
    let mut bytes = zeroize::Zeroizing::new([0; 32]);
    random(bytes.as_mut())?;
    Ok(URL_SAFE_NO_PAD.encode(bytes.as_ref()).into())
}

/// Hands a generated secret out, for the one answer that shows it.
pub fn reveal(secret: &SecretString) -> String {
    secret.expose_secret().to_owned()
}

/// The 32 bytes that a server key's text stands for; `None` if it stands for something else.
pub fn seed(key: &SecretString) -> Option<zeroize::Zeroizing<[u8; 32]>> {
    let bytes = zeroize::Zeroizing::new(URL_SAFE_NO_PAD.decode(key.expose_secret()).ok()?);
    bytes.as_slice().try_into().ok().map(zeroize::Zeroizing::new)
}

/// HMAC-SHA256 of `parts`, one after the other.
pub fn hmac_sha256(key: &SecretString, parts: &[&[u8]]) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose_secret().as_bytes());
    let mut context = hmac::Context::with_key(&key);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.sign().as_ref());
    out
}

/// Whether two byte strings are equal, in time that does not depend on where they differ.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_back_from_its_hex_and_from_nothing_else() {
        let digest = Digest::of(b"kd_live_x");
        assert_eq!(Digest::from_hex(&digest.to_hex()), Some(digest));
        assert_eq!(Digest::from_hex(&digest.to_hex().to_uppercase()), None);
        assert_eq!(Digest::from_hex(&digest.to_hex()[1..]), None);
        assert_eq!(Digest::from_hex(&"g".repeat(64)), None);
    }
}
