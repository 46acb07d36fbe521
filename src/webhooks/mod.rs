//! DOMAIN: webhook signing secrets, one live one for each environment of an organization.

pub mod seal;
pub mod store;

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    audit::Event,
    clock,
    database::Inserted,
    error_kind::{DomainError, ErrorKind},
    mutation::Mutation,
    permissions::{Permit, permit::ManageWebhooks},
    secrets::{self, NoRandomness},
};
use seal::{Sealer, SealingFailed};

#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// Generate was asked for, but there is a secret; or this form has made one before.
    #[error("there is a secret already, which is not shown again: regenerate it if it is lost")]
    Exists,
    /// Regenerate was asked for, but there is none.
    #[error("there is no secret to replace: generate one")]
    Absent,
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    #[error(transparent)]
    Sealing(#[from] SealingFailed),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl DomainError for WebhookError {
    fn kind(&self) -> ErrorKind<'_> {
        match self {
            Self::Exists | Self::Absent => ErrorKind::Conflict,
            Self::Randomness(_) | Self::Sealing(_) | Self::Database(_) => ErrorKind::Unavailable,
        }
    }
}

/// A signing secret just made: `whsec_` and 32 random bytes in base64 (Standard Webhooks). Neither prints nor serialises.
pub struct NewWebhookSecret(SecretString);

impl NewWebhookSecret {
    fn generate() -> Result<Self, NoRandomness> {
        let mut bytes = Zeroizing::new([0; 32]);
        secrets::random(bytes.as_mut())?;
        let encoded = Zeroizing::new(STANDARD.encode(bytes.as_ref()));
        Ok(Self(format!("whsec_{}", *encoded).into()))
    }

    /// Hands the text out, for the one response that shows it.
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }
}

/// Which of the two somebody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    First,
    Replacement,
}

/// Makes an environment's secret. A replacement retires the one before in the same transaction.
pub async fn make(
    m: &mut Mutation,
    permit: &Permit<ManageWebhooks>,
    sealer: &Sealer,
    make: Make,
    environment: &str,
    idempotency_key: Uuid,
) -> Result<NewWebhookSecret, WebhookError> {
    let (org, now) = (permit.org(), m.now());
    let retired = match make {
        Make::First => false,
        Make::Replacement => store::retire(m, org, environment, now).await?,
    };
    if make == Make::Replacement && !retired {
        return Err(WebhookError::Absent);
    }
    let secret = NewWebhookSecret::generate()?;
    let id = clock::id(now);
    let row = store::NewRow {
        id,
        org,
        environment,
        ciphertext: sealer.seal(org, id, secret.reveal())?,
        sealed_by: sealer.key_id(),
        created_by: m.actor().user(),
        created_at: now,
        idempotency_key,
    };
    // A form sent again conflicts with itself, and of two at once the second waits here for the first. Either way the
    // caller's transaction ends without a change, the retirement above included.
    if store::insert(m, &row).await? == Inserted::Duplicate {
        return Err(WebhookError::Exists);
    }
    let (action, words) = match make {
        Make::First => ("webhook_secret.generate", "Generated the webhook secret"),
        Make::Replacement => ("webhook_secret.regenerate", "Replaced the webhook secret"),
    };
    m.record(Event {
        action,
        subject: format!("webhook_secret:{id}"),
        summary: format!("{words} of {environment}"),
        details: json!({ "environment": environment }),
    })
    .await?;
    Ok(secret)
}
