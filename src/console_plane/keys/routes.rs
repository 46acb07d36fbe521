//! The answers to the forms about keys where there is no JavaScript.

use http::StatusCode;

use super::{
    forms::{
        ConfirmKey, CreateKey, DisableKey, EditKey, EnableKey, ExtendRotation, FinishRotation, IssuedKey,
        RevokeAllKeys, RevokeKey, RevokeSomeKeys, RotateKey,
    },
    list::{
        load::{Ask, KeysPanel},
        routes::{draw_list, preview_again},
        view::ListView,
    },
    one::{routes::draw, view::Panel},
};
use crate::console_plane::{
    answers::Change,
    context::RequestContext,
    form::{Form, FormState, Page},
    ui::Notice,
};

/// The list as a form left it; `back` is the address of the page that the form was on.
fn list_of(cx: &RequestContext, back: &str) -> ListView {
    let query = back.strip_prefix("/keys?").unwrap_or_default();
    let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    ListView::parse(&pairs, &cx.console.catalog)
}

impl Form for CreateKey {
    async fn done(self, cx: &RequestContext, key: IssuedKey) -> Page {
        draw_list(cx, StatusCode::OK, ListView::default(), Ask::Show(KeysPanel::Issued(key)), None).await
    }

    async fn refused(self, cx: &RequestContext, state: FormState) -> Page {
        draw_list(cx, state.status(), ListView::default(), Ask::Create(state), None).await
    }
}

impl Form for RevokeKey {
    async fn done(self, cx: &RequestContext, change: Change) -> Page {
        if self.back.starts_with("/keys/") {
            return said(cx, &self.back, &self.key_id, change).await;
        }
        draw_list(cx, StatusCode::OK, list_of(cx, &self.back), Ask::Nothing, Some(change.into())).await
    }

    async fn refused(self, cx: &RequestContext, state: FormState) -> Page {
        let state = state.unless_absent()?;
        let view = list_of(cx, &self.back);
        draw_list(cx, state.status(), view, Ask::Revoke(self.form.key_id, state), None).await
    }
}

impl Form for RevokeSomeKeys {
    async fn done(self, cx: &RequestContext, change: Change) -> Page {
        draw_list(cx, StatusCode::OK, list_of(cx, &self.back), Ask::Nothing, Some(change.into())).await
    }

    async fn refused(self, cx: &RequestContext, state: FormState) -> Page {
        let state = state.unless_absent()?;
        preview_again(cx, list_of(cx, &self.back), &self.key_ids, state).await
    }
}

impl Form for RevokeAllKeys {
    async fn done(self, cx: &RequestContext, change: Change) -> Page {
        draw_list(cx, StatusCode::OK, ListView::default(), Ask::Nothing, Some(change.into())).await
    }

    async fn refused(self, cx: &RequestContext, state: FormState) -> Page {
        draw_list(cx, state.status(), ListView::default(), Ask::RevokeAll(state), None).await
    }
}

/// The page of a key says what was done.
async fn said(cx: &RequestContext, back: &str, key_id: &str, change: Change) -> Page {
    draw(cx, back, key_id, Panel::Closed, Some(Notice::from(change))).await
}

/// The forms on a key's own page: what was done is said there, and what was refused is shown again in its panel.
macro_rules! on_the_page_of_a_key {
    ($($form:ty => $panel:ident;)*) => {$(
        impl Form for $form {
            async fn done(self, cx: &RequestContext, change: Change) -> Page {
                said(cx, &self.back, &self.key_id, change).await
            }

            async fn refused(self, cx: &RequestContext, state: FormState) -> Page {
                draw(cx, &self.back, &self.key_id, Panel::$panel(state.unless_absent()?), None).await
            }
        }
    )*};
}
on_the_page_of_a_key! {
    ConfirmKey => Confirm;
    EditKey => Edit;
    DisableKey => Refused;
    EnableKey => Refused;
    ExtendRotation => Refused;
    FinishRotation => Finish;
}

impl Form for RotateKey {
    async fn done(self, cx: &RequestContext, key: IssuedKey) -> Page {
        draw(cx, &self.back, &self.key_id, Panel::Issued(key), None).await
    }

    async fn refused(self, cx: &RequestContext, state: FormState) -> Page {
        draw(cx, &self.back, &self.key_id, Panel::Rotate(state.unless_absent()?), None).await
    }
}
