//! The management API's OpenAPI document.

use keydesk::{catalog::Catalog, management_api::router::document};

use crate::world::World;

/// Read as a diff: what scripts are promised.
#[test]
fn the_document() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&document(&Catalog::load("default").unwrap())).unwrap());
}

#[tokio::test]
async fn the_document_is_served_as_it_is() {
    let world = World::new().await;
    let served = world.nobodys_script().get("/api/v1/openapi.json").await.is(200).json();
    assert_eq!(served, document(&world.catalog));
    assert_eq!(served["openapi"], "3.1.0");
}
