//! What the documents (OpenAPI 3.1) of all APIs for programs have in common.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::openapi::{Content, HeaderBuilder, Object, OpenApi, Ref, RefOr, Response, ResponseBuilder, Type};

/// How requests may be refused: with which statuses, and what each is about.
pub fn problems(reasons: &[(u16, &str)]) -> BTreeMap<String, RefOr<Response>> {
    let problem = |(status, about): &(u16, &str)| {
        let document = Content::new(Some(Ref::from_schema_name("ProblemDocument")));
        let response = ResponseBuilder::new().description(*about).content("application/problem+json", document);
        let header = match status {
            401 => Some(("www-authenticate", "How to authenticate (RFC 6750).")),
            429 => Some(("retry-after", "Seconds after which to try again.")),
            _ => None,
        };
        let response = header.into_iter().fold(response, |response, (name, about)| {
            let text = Object::with_type(Type::String);
            response.header(name, HeaderBuilder::new().schema(Some(text)).description(Some(about)).build())
        });
        (status.to_string(), response.build().into())
    };
    reasons.iter().map(problem).collect()
}

/// Writes a document out, with the ways to authenticate and with the header that every answer carries.
pub fn written(document: &OpenApi, security_schemes: Value) -> Value {
    fn children(value: &mut Value) -> impl Iterator<Item = &mut Value> {
        value.as_object_mut().into_iter().flat_map(|object| object.values_mut())
    }
    fn put(value: &mut Value, part: &str, name: &str, new: Value) {
        let part = value.as_object_mut().map(|object| object.entry(part).or_insert_with(|| json!({})));
        if let Some(object) = part.and_then(Value::as_object_mut) {
            object.insert(name.to_owned(), new);
        }
    }
    // A document can always be written as JSON.
    let mut document = serde_json::to_value(document).unwrap_or_default();
    put(&mut document, "components", "securitySchemes", security_schemes);
    let operations = document.get_mut("paths").into_iter().flat_map(children).flat_map(children);
    for response in operations.filter_map(|operation| operation.get_mut("responses")).flat_map(children) {
        let request_id = json!({"description": "What the log knows the request by.", "schema": {"type": "string", "format": "uuid"}});
        put(response, "headers", "x-request-id", request_id);
    }
    document
}
