//! Access tokens: what a person's scripts show to the management API instead of a session. Signed (EdDSA), valid for 15
//! minutes, and dead at once with the session they were minted from: a token says which session that is, and whoever takes
//! one looks whether it lives.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::{
    actor::{Actor, Principal},
    audit::{self, AuditKey, Chain, Event},
    config::Origin,
    error_kind::{DomainError, ErrorKind},
    ids::UserId,
    secrets::{self, Digest},
};

pub const LIFETIME: Duration = Duration::minutes(15);
/// Between the clocks of the servers that mint and those that look.
const LEEWAY: Duration = Duration::seconds(5);
/// Ours are about 600 bytes; longer ones are not looked at.
const MAX_BYTES: usize = 2048;
/// What a token is for: nothing but the management API of this deployment.
const AUDIENCE_PATH: &str = "/api/v1";

#[derive(Debug, thiserror::Error)]
#[error("it does not hold 32 bytes in URL-safe base64")]
pub struct DamagedKey;

/// The server's keys for access tokens: one that signs, and those whose signatures count.
pub struct TokenKeys {
    signing: EncodingKey,
    kid: String,
    known: Vec<PublicKey>,
}

struct PublicKey {
    kid: String,
    /// The key itself, in URL-safe base64.
    x: String,
    verifying: DecodingKey,
}

/// What a token says. All of it is needed, in exactly these types, and nothing else may be there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    iss: String,
    aud: String,
    exp: i64,
    nbf: i64,
    iat: i64,
    pub jti: Uuid,
    /// The person.
    sub: Uuid,
    /// The session it was minted from, by its public id.
    pub sid: Uuid,
}

impl Claims {
    pub fn user(&self) -> UserId {
        UserId(self.sub)
    }
}

/// A token's header, whole: one that names a key or a place to get one from is refused, not ignored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    alg: String,
    typ: String,
    kid: String,
}

/// Not a token of ours, or not one that is valid now. Why is for the log.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("its shape is not a token's")]
    Shape,
    #[error("its header is not one of ours")]
    Header,
    #[error("it names no key of ours")]
    Key,
    #[error("its signature or its claims are not ours")]
    SignatureOrClaims,
    #[error("it is not valid yet, or not any more")]
    Time,
}

impl TokenKeys {
    /// `old` was `current` before: what it signed counts until it has expired.
    pub fn new(current: &SecretString, old: Option<&SecretString>) -> Result<Self, DamagedKey> {
        let pair = pair(current)?;
        let signing = EncodingKey::from_ed_der(pair.to_pkcs8v1().map_err(|_| DamagedKey)?.as_ref());
        let first = PublicKey::of(&pair);
        let kid = first.kid.clone();
        let mut known = vec![first];
        if let Some(old) = old {
            known.push(PublicKey::of(&self::pair(old)?));
        }
        Ok(Self { signing, kid, known })
    }

    /// The public keys, as a JWK set (RFC 7517, RFC 8037).
    pub fn jwks(&self) -> serde_json::Value {
        let keys = self.known.iter().map(
            |key| json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": key.kid, "x": key.x }),
        );
        json!({ "keys": keys.collect::<Vec<_>>() })
    }

    /// What a token says, if it is one of this deployment's and valid now. Whether its session lives is another question.
    pub fn read(&self, token: &[u8], issuer: &Origin, now: OffsetDateTime) -> Result<Claims, Invalid> {
        let parts: Vec<&[u8]> = token.split(|byte| *byte == b'.').collect();
        let [head, _, _] = parts.as_slice() else { return Err(Invalid::Shape) };
        if token.len() > MAX_BYTES {
            return Err(Invalid::Shape);
        }
        let head = URL_SAFE_NO_PAD.decode(head).map_err(|_| Invalid::Shape)?;
        let head: Head = serde_json::from_slice(&head).map_err(|_| Invalid::Header)?;
        if head.alg != "EdDSA" || head.typ != "JWT" {
            return Err(Invalid::Header);
        }
        let key = self.known.iter().find(|key| key.kid == head.kid).ok_or(Invalid::Key)?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_required_spec_claims(&["exp", "nbf", "aud", "iss"]);
        validation.set_audience(&[audience(issuer)]);
        validation.set_issuer(&[issuer.to_string()]);
        // The library would read the wall clock; time is a parameter here.
        validation.validate_exp = false;
        let data = jsonwebtoken::decode::<Claims>(token, &key.verifying, &validation);
        let claims = data.map_err(|_| Invalid::SignatureOrClaims)?.claims;
        let (now, leeway) = (now.unix_timestamp(), LEEWAY.whole_seconds());
        if claims.exp.saturating_add(leeway) <= now || claims.nbf.saturating_sub(leeway) > now {
            return Err(Invalid::Time);
        }
        Ok(claims)
    }
}

fn pair(key: &SecretString) -> Result<Ed25519KeyPair, DamagedKey> {
    let seed = secrets::seed(key).ok_or(DamagedKey)?;
    Ed25519KeyPair::from_seed_unchecked(seed.as_ref()).map_err(|_| DamagedKey)
}

impl PublicKey {
    fn of(pair: &Ed25519KeyPair) -> Self {
        let bytes = pair.public_key().as_ref();
        let x = URL_SAFE_NO_PAD.encode(bytes);
        // RFC 7638: the digest of the key's required members, in alphabetical order.
        let thumb = Digest::of(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#).as_bytes());
        Self { kid: URL_SAFE_NO_PAD.encode(thumb.as_bytes()), verifying: DecodingKey::from_ed_der(bytes), x }
    }
}

fn audience(issuer: &Origin) -> String {
    format!("{issuer}{AUDIENCE_PATH}")
}

/// A token just minted. Neither prints nor serialises.
pub struct AccessToken {
    text: SecretString,
    pub expires_at: OffsetDateTime,
}

impl AccessToken {
    /// Hands the text out, for the one response that shows it.
    pub fn reveal(&self) -> String {
        secrets::reveal(&self.text)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// Staff, that is: the management API is an organization's.
    #[error("access tokens are for members of an organization: support staff have none")]
    NotAMember,
    #[error("the token could not be signed")]
    Signing,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl DomainError for MintError {
    fn kind(&self) -> ErrorKind<'_> {
        match self {
            Self::NotAMember => ErrorKind::Forbidden,
            Self::Signing | Self::Database(_) => ErrorKind::Unavailable,
        }
    }
}

/// Mints a token for a member, from one of their sessions. Needs their organization's reach.
pub async fn mint(
    db: &mut PgConnection,
    audit_key: &AuditKey,
    keys: &TokenKeys,
    issuer: &Origin,
    actor: &Actor,
    session: Uuid,
    now: OffsetDateTime,
) -> Result<AccessToken, MintError> {
    let Principal::Member { user, org, .. } = &actor.principal else { return Err(MintError::NotAMember) };
    let (begin, expires_at) = (now.unix_timestamp(), now + LIFETIME);
    let claims = Claims {
        iss: issuer.to_string(),
        aud: audience(issuer),
        exp: expires_at.unix_timestamp(),
        nbf: begin,
        iat: begin,
        jti: Uuid::new_v4(),
        sub: user.0,
        sid: session,
    };
    let header = Header { kid: Some(keys.kid.clone()), ..Header::new(Algorithm::EdDSA) };
    let text = jsonwebtoken::encode(&header, &claims, &keys.signing).map_err(|_| MintError::Signing)?.into();
    let event = Event {
        action: "access_token.create",
        subject: format!("user:{}", user.0),
        summary: "Created an access token for the management API".to_owned(),
        details: json!({ "jti": claims.jti, "session": session, "expires_at": claims.exp }),
        refused: false,
        actor,
        at: now,
    };
    audit::record(db, audit_key, Chain::Org(*org), event).await?;
    Ok(AccessToken { text, expires_at })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> SecretString {
        secrets::random_token().unwrap()
    }

    #[test]
    fn an_old_key_is_published_and_counts_but_signs_nothing() {
        let (old, new) = (keys(), keys());
        let before = TokenKeys::new(&old, None).unwrap();
        let after = TokenKeys::new(&new, Some(&old)).unwrap();
        assert_eq!(after.jwks()["keys"].as_array().unwrap().len(), 2);
        assert_eq!(after.jwks()["keys"][1], before.jwks()["keys"][0]);
        assert_ne!(after.kid, before.kid);
        assert!(!after.jwks().to_string().contains("\"d\""), "no private part");
    }

    #[test]
    fn a_damaged_key_is_refused() {
        assert!(TokenKeys::new(&"short".into(), None).is_err());
        assert!(TokenKeys::new(&keys(), Some(&"not base64!".into())).is_err());
    }
}
