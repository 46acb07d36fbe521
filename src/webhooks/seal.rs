//! Sealing webhook secrets (AES-256-GCM), bound to their organization and row, so that a ciphertext moved to another row
//! does not open.

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{ids::OrgId, secrets::Digest};

#[derive(Debug, thiserror::Error)]
#[error("the webhook secret could not be sealed or opened")]
pub struct SealingFailed;

/// Holds the server key that seals.
pub struct Sealer {
    key: RandomizedNonceKey,
    key_id: String,
}

impl Sealer {
    /// `key`: 32 bytes in URL-safe base64.
    pub fn new(key: &SecretString) -> Result<Self, SealingFailed> {
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(key.expose_secret()).map_err(|_| SealingFailed)?);
        let mut key_id = Digest::of(&bytes).to_hex();
        key_id.truncate(16);
        Ok(Self { key: RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(|_| SealingFailed)?, key_id })
    }

    /// Which key this is: the beginning of its digest.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Nonce (12 bytes), ciphertext, tag.
    pub fn seal(&self, org: OrgId, row: Uuid, secret: &str) -> Result<Vec<u8>, SealingFailed> {
        let mut sealed = secret.as_bytes().to_vec();
        let nonce =
            self.key.seal_in_place_append_tag(Aad::from(bound_to(org, row)), &mut sealed).map_err(|_| SealingFailed)?;
        let mut out = nonce.as_ref().to_vec();
        out.append(&mut sealed);
        Ok(out)
    }

    pub fn open(&self, org: OrgId, row: Uuid, sealed: &[u8]) -> Result<SecretString, SealingFailed> {
        let (nonce, ciphertext) = sealed.split_at_checked(12).ok_or(SealingFailed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealingFailed)?;
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        let opened =
            self.key.open_in_place(nonce, Aad::from(bound_to(org, row)), &mut buffer).map_err(|_| SealingFailed)?;
        Ok(std::str::from_utf8(opened).map_err(|_| SealingFailed)?.into())
    }
}

fn bound_to(org: OrgId, row: Uuid) -> [u8; 32] {
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
