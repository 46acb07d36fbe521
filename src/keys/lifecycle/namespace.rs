//! An organization is let into one more namespace.

use serde_json::json;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{KEYS_SUBJECT, namespaces};
use crate::{
    audit::{self, AuditKey, Chain, Event},
    catalog::Catalog,
    keys::{error::KeyError, store},
    orgs::{self, Permit, permit::AddNamespace},
};

/// Lets the permit's organization into a namespace: every key of it that has not ended, and those to come. Answers all
/// namespaces that the organization is bound to. A key that may enter every namespace stays as it is.
pub async fn add_namespace(
    db: &mut PgConnection,
    audit_key: &AuditKey,
    permit: &Permit<AddNamespace>,
    namespace: &str,
    catalog: &Catalog,
    now: OffsetDateTime,
) -> Result<Vec<String>, KeyError> {
    namespaces(&[namespace.to_owned()]).map_err(|message| KeyError::Fields(vec![("namespace", message.to_owned())]))?;
    let org = permit.org();
    // The organization first, as everybody locks it: no key is made meanwhile that does not know.
    orgs::store::lock(db, org).await?.ok_or(KeyError::NotFound)?;
    let mut all = orgs::store::namespaces(db, org).await?;
    let fresh = !all.iter().any(|known| known == namespace);
    if fresh {
        all.push(namespace.to_owned());
        orgs::store::set_namespaces(db, org, &all).await?;
    }
    let keys = store::add_namespace(db, org, namespace, catalog.namespaces_required, now).await?;
    if fresh || !keys.is_empty() {
        let event = Event {
            action: "org.add_namespace",
            subject: KEYS_SUBJECT.to_owned(),
            summary: format!("Added the namespace “{namespace}”"),
            details: json!({ "namespace": namespace, "keys": keys }),
            refused: false,
            actor: permit.actor(),
            at: now,
        };
        audit::record(db, audit_key, Chain::Org(org), event).await?;
    }
    Ok(all)
}
