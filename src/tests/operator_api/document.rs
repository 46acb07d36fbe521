//! The document of the operator API.

use keydesk::operator_api::router::document;

use crate::world::World;

/// Read as a diff: what the back office is promised.
#[test]
fn the_document() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&document()).unwrap());
}

#[tokio::test]
async fn the_document_is_served_as_it_is() {
    assert_eq!(World::new().await.program().get("/gate/openapi.json").await.is(200).json(), document());
}
