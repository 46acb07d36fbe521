//! The document of the key plane.

use keydesk::{catalog::Catalog, key_plane::router::document};

use crate::world::World;

/// Read as a diff: what programs are promised, where the catalog offers everything.
#[test]
fn the_document() {
    let catalog = format!("audit_scope = \"read\"\n{}", include_str!("../../catalog/presets/default.toml"));
    insta::assert_snapshot!(serde_json::to_string_pretty(&document(&Catalog::parse(&catalog).unwrap())).unwrap());
}

#[tokio::test]
async fn the_document_is_served_as_it_is() {
    let world = World::new().await;
    let served = world.program().get("/v1/openapi.json").await.is(200).json();
    assert_eq!(served, document(&world.catalog));
    assert!(served["paths"].get("/v1/audit/chain").is_none(), "the catalog offers no audit log");
}
