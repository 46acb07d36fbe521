//! The management API's OpenAPI document.

use keydesk::{catalog::Catalog, management_api::router::document};

use crate::world::World;

/// Read as a diff: what scripts are promised.
#[test]
fn the_document() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&document(&Catalog::load("default").unwrap())).unwrap());
}

#[test]
fn what_the_document_refers_to_is_in_it() {
    let document = document(&Catalog::load("default").unwrap());
    let text = document.to_string();
    let names: Vec<&str> =
        text.split("#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(names.len() > 100);
    for name in names {
        assert!(document["components"]["schemas"].get(name).is_some(), "{name}");
    }
}

#[tokio::test]
async fn the_document_is_served_as_it_is() {
    let world = World::new().await;
    let served = world.nobodys_script().get("/api/v1/openapi.json").await.is(200).json();
    assert_eq!(served, document(&world.catalog));
    assert_eq!(served["openapi"], "3.1.0");
}
