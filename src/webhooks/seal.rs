//! Encryption of webhook secrets with AES-256-GCM. Each is bound to its organization and row, so that a ciphertext that
//! was moved to another row does not open.

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{ids::OrgId, secrets::Digest};

#[derive(Debug, thiserror::Error)]
#[error("the webhook secret could not be sealed or opened")]
pub struct SealingFailed;

/// The length of an AES-GCM nonce.
const NONCE_BYTES: usize = 12;
const KEY_ID_CHARS: usize = 16;

/// Seals and opens secrets with one of the server's own keys.
pub struct Sealer {
    sealing_key: RandomizedNonceKey,
    key_id: String,
}

impl Sealer {
    /// `sealing_key` holds 32 bytes in URL-safe base64.
    pub fn new(sealing_key: &SecretString) -> Result<Self, SealingFailed> {
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(sealing_key.expose_secret()).map_err(|_| SealingFailed)?);
        let mut key_id = Digest::of(&bytes).to_hex();
        key_id.truncate(KEY_ID_CHARS);
        let sealing_key = RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(|_| SealingFailed)?;
        Ok(Self { sealing_key, key_id })
    }

    /// The beginning of the key's digest, which is stored with each secret.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Seals a secret. The result is the nonce, the ciphertext and the tag, in this order.
    pub fn seal(&self, org: OrgId, row: Uuid, secret: &str) -> Result<Vec<u8>, SealingFailed> {
        let mut sealed = secret.as_bytes().to_vec();
        let aad = Aad::from(place(org, row));
        let nonce = self.sealing_key.seal_in_place_append_tag(aad, &mut sealed).map_err(|_| SealingFailed)?;
        let mut out = nonce.as_ref().to_vec();
        out.append(&mut sealed);
        Ok(out)
    }

    pub fn open(&self, org: OrgId, row: Uuid, sealed: &[u8]) -> Result<SecretString, SealingFailed> {
        let (nonce, ciphertext) = sealed.split_at_checked(NONCE_BYTES).ok_or(SealingFailed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealingFailed)?;
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        let aad = Aad::from(place(org, row));
        let opened = self.sealing_key.open_in_place(nonce, aad, &mut buffer).map_err(|_| SealingFailed)?;
        Ok(std::str::from_utf8(opened).map_err(|_| SealingFailed)?.into())
    }
}

/// The additional data that binds a ciphertext to its organization and row.
fn place(org: OrgId, row: Uuid) -> [u8; 32] {
    let mut bytes = [0; 32];
    let (first, second) = bytes.split_at_mut(16);
    first.copy_from_slice(org.0.as_bytes());
    second.copy_from_slice(row.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer() -> Sealer {
        Sealer::new(&crate::secrets::random_token().unwrap()).unwrap()
    }

    #[test]
    fn what_was_sealed_opens_in_its_own_place_only() {
        let sealer = sealer();
        let (org, row) = (OrgId(Uuid::from_u128(1)), Uuid::from_u128(2));
        let sealed = sealer.seal(org, row, "whsec_abc").unwrap();
        assert_eq!(sealer.open(org, row, &sealed).unwrap().expose_secret(), "whsec_abc");
        assert!(sealer.open(OrgId(Uuid::from_u128(9)), row, &sealed).is_err());
        assert!(sealer.open(org, Uuid::from_u128(9), &sealed).is_err());
        assert!(self::sealer().open(org, row, &sealed).is_err());
        assert!(sealer.open(org, row, &sealed[..11]).is_err());
        assert_ne!(sealed, sealer.seal(org, row, "whsec_abc").unwrap(), "a fresh nonce each time");
    }
}
