//! The answers to the keys' forms where there is no JavaScript.

use axum::response::Response;
use http::StatusCode;

use super::{
    list::{
        load::Ask,
        routes::{draw_list, preview_again},
        view::ListView,
    },
    one::{self, view::Panel},
};
use crate::console_plane::{
    door::{Done, RequestContext},
    error::ConsoleError,
    forms::Sent,
    model::{KeysPanel, Notice},
};

/// The page that answers a form of this feature.
pub async fn answer(
    cx: &RequestContext,
    sent: &Sent,
    outcome: Result<Done, ConsoleError>,
) -> Result<Response, ConsoleError> {
    if one::routes::ANSWERED.contains(&sent.name.as_str()) {
        return one::routes::answer(cx, sent, outcome).await;
    }
    let back = sent.value("back");
    let view = ListView::parse(back.strip_prefix("/keys?").unwrap_or_default(), &cx.console.catalog);
    match outcome {
        Ok(Done::Key(key)) => {
            draw_list(cx, StatusCode::OK, ListView::default(), Ask::Show(KeysPanel::Issued(key)), None).await
        }
        Ok(Done::Changed(change)) => {
            let notice = Notice::from(change);
            if back.starts_with("/keys/") {
                let (id, looks) = one::routes::sent_from(sent);
                return one::routes::draw(cx, StatusCode::OK, &id, Panel::Closed, &looks, Some(notice)).await;
            }
            draw_list(cx, StatusCode::OK, view, Ask::Nothing, Some(notice)).await
        }
        Ok(_) => Err(ConsoleError::Unavailable),
        Err(error) => {
            let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let ask = match sent.name.as_str() {
                "keys/issue" => Ask::Create(sent.refill(error)),
                "keys/revoke-all" => Ask::RevokeAll(sent.refill(error)),
                _ if matches!(error, ConsoleError::NotFound { .. }) => return Err(error),
                "keys/revoke-some" => return preview_again(cx, status, view, sent, error).await,
                _ => Ask::Revoke(sent.value("key_id"), sent.refill(error)),
            };
            draw_list(cx, status, view, ask, None).await
        }
    }
}
