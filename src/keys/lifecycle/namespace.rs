//! An organization is let into one more namespace.

use serde_json::json;

use super::{KEYS_SUBJECT, namespaces};
use crate::{
    audit::Event,
    catalog::Catalog,
    keys::{error::KeyError, store},
    mutation::Mutation,
    orgs,
    permissions::{Permit, permit::AddNamespace},
};

/// Lets the permit's organization into a namespace: every key of it that has not ended, and those to come. Answers all
/// namespaces that the organization is bound to. A key that may enter every namespace stays as it is.
pub async fn add_namespace(
    m: &mut Mutation,
    permit: &Permit<AddNamespace>,
    namespace: &str,
    catalog: &Catalog,
) -> Result<Vec<String>, KeyError> {
    namespaces(&[namespace.to_owned()]).map_err(|message| KeyError::Fields(vec![("namespace", message.to_owned())]))?;
    let (org, now) = (permit.org(), m.now());
    // The organization first, as everybody locks it: no key is made meanwhile that does not know.
    orgs::store::lock(m, org).await?.ok_or(KeyError::NotFound)?;
    let mut all = orgs::store::namespaces(m, org).await?;
    let fresh = !all.iter().any(|known| known == namespace);
    if fresh {
        all.push(namespace.to_owned());
        orgs::store::set_namespaces(m, org, &all).await?;
    }
    let keys = store::add_namespace(m, org, namespace, catalog.namespaces_required, now).await?;
    if fresh || !keys.is_empty() {
        m.record(Event {
            action: "org.add_namespace",
            subject: KEYS_SUBJECT.to_owned(),
            summary: format!("Added the namespace “{namespace}”"),
            details: json!({ "namespace": namespace, "keys": keys }),
        })
        .await?;
    }
    Ok(all)
}
