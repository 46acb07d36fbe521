//! Where forms arrive. A form is a server function whose one argument is the form's struct: it is read once, parsed once,
//! run, and answered: as JSON to the browser half, and as a page to a browser that sent it by itself. No error ever travels
//! in an address, and no result is lost in a redirect.

use std::sync::Arc;

use axum::{
    Json,
    body::{Body, Bytes, to_bytes},
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header};
use leptos::{
    prelude::*,
    reactive::computed::ScopedFuture,
    server_fn::{
        ServerFn,
        codec::{FromReq, PostUrl},
    },
};
use serde::Serialize;

use super::{context::RequestContext, error::ConsoleError, render, ui::ResendPage};

/// A page, or why there is none.
pub type Page = Result<Response, ConsoleError>;

/// A server function that forms call, and the pages that answer a browser without JavaScript.
pub trait Form: ServerFn<Error = ConsoleError> + FromReq<PostUrl, Request, ConsoleError> + Clone + Sync {
    /// The fields that no page repeats, such as passwords.
    const SECRETS: &'static [&'static str] = &[];

    /// The page that shows what was done.
    fn done(self, cx: &RequestContext, output: Self::Output) -> impl Future<Output = Page> + Send;

    /// The page that shows the form again, as it was filled in, and why it was refused. Nobody who is signed out or not
    /// allowed gets here: they are answered for all forms in the same way.
    fn refused(self, cx: &RequestContext, state: FormState) -> impl Future<Output = Page> + Send;
}

/// What a form held when it was refused, and why. The fields in [`Form::SECRETS`] are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormState {
    pub values: Vec<(String, String)>,
    pub error: Option<ConsoleError>,
}

impl FormState {
    pub fn value(&self, field: &str) -> Option<String> {
        self.values.iter().find(|(name, _)| name == field).map(|(_, value)| value.clone())
    }

    /// Whether a checkbox `field=value` was ticked.
    pub fn ticked(&self, field: &str, value: &str) -> bool {
        self.values.iter().any(|(name, v)| (name == field || name.starts_with(&format!("{field}["))) && v == value)
    }

    pub fn field_error(&self, field: &str) -> Option<String> {
        self.error.as_ref().and_then(|error| error.for_field(field))
    }

    pub fn message(&self) -> Option<String> {
        self.error.as_ref().and_then(ConsoleError::message)
    }

    /// Of what is not there, no form is shown again.
    pub fn unless_absent(self) -> Result<Self, ConsoleError> {
        match self.error {
            Some(error @ ConsoleError::NotFound { .. }) => Err(error),
            _ => Ok(self),
        }
    }

    /// The status of the page that shows it.
    pub fn status(&self) -> StatusCode {
        self.error.as_ref().map_or(StatusCode::OK, ConsoleError::status_code)
    }
}

/// No form comes near it.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// `POST` to the address of the form `F`.
pub async fn submit<F: Form<Output: Serialize>>(cx: RequestContext, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let accept = parts.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let wants_page = accept.is_some_and(|accept| accept.contains("text/html"));
    let Some(body) = whole_body(&parts.headers, body).await else {
        let text = "What you sent is larger than any form here. Go back and shorten it.";
        return render::message(&cx, StatusCode::PAYLOAD_TOO_LARGE, "Too large", text, HOME).await;
    };
    let form = match F::from_req(Request::new(Body::from(body.clone()))).await {
        Ok(form) => form,
        Err(error) if !wants_page => return (StatusCode::BAD_REQUEST, Json(error)).into_response(),
        Err(_) => {
            let text = "The form did not arrive whole. Go back, reload the page and fill it in again.";
            return render::message(&cx, StatusCode::BAD_REQUEST, "This could not be read", text, HOME).await;
        }
    };
    // The function finds its request as server functions do, in the context of a reactive owner.
    let outcome = Owner::new().with(|| {
        provide_context(parts);
        provide_context(Arc::clone(&cx.console));
        ScopedFuture::new(form.clone().run_body())
    });
    let page = match outcome.await {
        Ok(output) if wants_page => form.done(&cx, output).await,
        Ok(output) => return Json(output).into_response(),
        Err(error) if !wants_page => return (error.status_code(), Json(error)).into_response(),
        Err(ConsoleError::SignedOut) => return signed_out::<F>(&cx, &body),
        Err(error @ ConsoleError::Forbidden { .. }) => Err(error),
        Err(error) => {
            let (values, _) = values::<F>(&body);
            form.refused(&cx, FormState { values, error: Some(error) }).await
        }
    };
    match page {
        Ok(page) => page,
        Err(error) => render::refusal(&cx, &error, "/").await,
    }
}

const HOME: (&str, &str) = ("/", "Back to the console");

/// `None` if it is too large. What announces itself as too large is not waited for.
async fn whole_body(headers: &HeaderMap, body: Body) -> Option<Bytes> {
    let announced = headers.get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > MAX_BODY_BYTES) {
        return None;
    }
    to_bytes(body, MAX_BODY_BYTES).await.ok()
}

/// The fields of a form that a page may repeat, as the browser sent them, and whether these are all.
fn values<F: Form>(body: &[u8]) -> (Vec<(String, String)>, bool) {
    let (kept, secret): (Vec<_>, Vec<_>) =
        form_urlencoded::parse(body).into_owned().partition(|(name, _)| !F::SECRETS.contains(&name.as_str()));
    (kept, secret.is_empty())
}

/// The session ended while somebody was typing: nothing they typed is lost.
fn signed_out<F: Form>(cx: &RequestContext, body: &[u8]) -> Response {
    let (values, whole) = values::<F>(body);
    let place = render::Place::outside("Signed out");
    render::page(cx, StatusCode::UNAUTHORIZED, place, || view! { <ResendPage action=F::PATH values whole /> })
}
