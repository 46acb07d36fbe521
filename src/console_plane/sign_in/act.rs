//! What signing in, signing out and setting up do.

use secrecy::SecretString;

use crate::{
    accounts::{
        self, Email, PersonName, lifecycle,
        password::NewPassword,
        sign_in::{self, Attempt},
    },
    actor::{Principal, Role},
    clock,
    console_plane::{
        answers::GoTo,
        context::RequestContext,
        error::{ConsoleError, FieldError},
        sign_in::forms::{SetUpForm, SignInForm},
    },
    database::RlsScope,
    error_kind::DomainError,
    ids::{OrgId, UserId},
    orgs::{
        self, OrgName,
        lifecycle::{NewPerson, OrgError},
    },
    secrets::Digest,
};

pub async fn sign_in(form: SignInForm) -> Result<GoTo, ConsoleError> {
    let SignInForm { email, password, next } = form;
    let password = SecretString::from(password.0);
    let cx = RequestContext::current().await?;
    let console = &cx.console;
    let email = email.trim();
    let checked = sign_in::check(&console.db, &console.hasher, email, &password).await?;
    let mut m = cx.begin_as(Principal::Anonymous, RlsScope::Nothing).await?;
    let attempt = sign_in::attempt(&mut m, email, checked).await?;
    orgs::lifecycle::note_sign_in(&mut m, &attempt).await?;
    let home = if matches!(m.actor().principal, Principal::Member { .. }) { "/keys" } else { "/support" };
    m.commit().await?;
    match attempt {
        Attempt::Accepted(account) => {
            cx.begin_session(account.id).await?;
            Ok(GoTo::new(safe_path(&next).unwrap_or(home)))
        }
        Attempt::Refused(_) => Err(ConsoleError::Refused {
            message:
                "Email or password is wrong, or there were too many attempts. Check both; after several failures, \
                      wait a few minutes."
                    .to_owned(),
        }),
    }
}

pub async fn sign_out() -> Result<GoTo, ConsoleError> {
    let cx = RequestContext::current().await?;
    match cx.begin_own().await {
        Ok((mut m, _)) => {
            lifecycle::sign_out(&mut m).await?;
            m.commit().await?;
        }
        Err(ConsoleError::SignedOut) => {}
        Err(error) => return Err(error),
    }
    cx.end_session().await?;
    Ok(GoTo::new("/sign-in?done=signed-out"))
}

pub async fn set_up(form: SetUpForm) -> Result<GoTo, ConsoleError> {
    let SetUpForm { token, organization, name, email, password } = form;
    let (token, password) = (SecretString::from(token.0), SecretString::from(password.0));
    let cx = RequestContext::current().await?;
    let console = &cx.console;
    let now = console.clock.now();
    let digest = Digest::of_text(&token);
    // Before the slow hashing, so that a dead link costs nothing.
    if !link_is_live(&cx, digest).await? {
        return Err(dead_link());
    }
    let mut wrong = Vec::new();
    let mut note =
        |field: &str, message: &str| wrong.push(FieldError { field: field.to_owned(), message: message.to_owned() });
    let org_name = OrgName::parse(&organization).map_err(|message| note("organization", message)).ok();
    let person_name = PersonName::parse(&name).map_err(|message| note("name", message)).ok();
    let address = Email::parse(&email).map_err(|message| note("email", message)).ok();
    let about = [organization.as_str(), name.as_str(), email.as_str(), email.split('@').next().unwrap_or_default()];
    let password = NewPassword::parse(&password, &about).map_err(|message| note("password", message)).ok();
    let (Some(org_name), Some(name), Some(email), Some(password)) = (org_name, person_name, address, password) else {
        return Err(ConsoleError::Fields { fields: wrong });
    };
    let person = NewPerson { email, name, password_hash: console.hasher.hash(password).await? };
    let user = found(&cx, digest, &org_name, &person).await?;
    tracing::info!(org = org_name.slug().as_str(), at = %now, "set up");
    cx.begin_session(user).await?;
    Ok(GoTo::new("/keys"))
}

/// The link, the organization and its owner, in one transaction: of two who use the link at once, one is too late.
async fn found(
    cx: &RequestContext,
    digest: Digest,
    org_name: &OrgName,
    person: &NewPerson,
) -> Result<UserId, ConsoleError> {
    let org = OrgId(clock::id(cx.console.clock.now()));
    // Whoever holds the link has it from the operator.
    let mut m = cx.begin_as(Principal::Operator, RlsScope::Org(org)).await?;
    if !lifecycle::use_setup_link(&mut m, digest).await? {
        return Err(dead_link());
    }
    let (may_create, may_add) = (m.permit()?, m.permit()?);
    let slug = org_name.slug();
    orgs::lifecycle::create_org(&mut m, &may_create, &slug, org_name).await.map_err(beside_its_field)?;
    let added = orgs::lifecycle::add_member(&mut m, &may_add, person, Role::Owner).await;
    let user = added.map_err(beside_its_field)?;
    m.commit().await?;
    Ok(user)
}

/// What is taken is told beside the field that it was typed into.
fn beside_its_field(error: OrgError) -> ConsoleError {
    match error {
        OrgError::SlugTaken(_) => ConsoleError::field("organization", error.sentence()),
        OrgError::EmailTaken(_) | OrgError::EmailDisabled(_) => ConsoleError::field("email", error.sentence()),
        error => error.into(),
    }
}

/// Whether a set-up link's token is the live one.
pub async fn link_is_live(cx: &RequestContext, digest: Digest) -> Result<bool, ConsoleError> {
    let mut db = cx.console.db.acquire().await?;
    Ok(accounts::store::setup_link_is_live(&mut db, digest, cx.console.clock.now()).await?)
}

pub fn dead_link() -> ConsoleError {
    ConsoleError::NotFound {
        message: "This set-up link has been used, has expired, or was replaced by a newer one. While nobody has an \
                  account, every start of the server prints a fresh link."
            .to_owned(),
    }
}

/// A path of ours to go to after signing in: known pages only, so that no address made elsewhere leads anywhere else.
pub fn safe_path(path: &str) -> Option<&str> {
    const PAGES: [&str; 6] = ["/keys", "/webhooks", "/audit", "/members", "/settings", "/support"];
    let (page, query) = path.split_once('?').unwrap_or((path, ""));
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_=&".contains(&b));
    let known =
        PAGES.contains(&page) || page.strip_prefix("/keys/").is_some_and(|id| uuid::Uuid::try_parse(id).is_ok());
    (known && plain(query)).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_ours_are_gone_to() {
        for good in ["/keys", "/keys?page=2", "/keys/0192f0c1-2345-7abc-8def-0123456789ab", "/audit?before=7"] {
            assert_eq!(safe_path(good), Some(good));
        }
        for bad in [
            "",
            "/",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/keys/../x",
            "/keys?x=\r\nSet-Cookie:a",
            "/keys@evil.example",
            "keys",
            "/\u{2215}evil.example",
            "/keys?next=//evil.example",
            "/console/fn/sign-out",
        ] {
            assert_eq!(safe_path(bad), None, "{bad:?}");
        }
    }
}
