//! SQL that finds the keys of a list: ids only, so that what is shown of them is read for one page alone.
//!
//! What these statements name of a key is in the index `api_keys_list`: one organization's keys are looked at, there, and
//! never the table from end to end (a test reads the plans). What is not in it, scopes and uses, is read where a
//! filter or an order asks for it. Postgres has no idea how many keys a filter lets through, and guesses few: to sort them by
//! use it would look each of ten thousand up by itself, were it not for the full join, which it cannot do so.
//!
//! Capitals and small letters of ASCII are made the same byte by byte, which takes a fraction of the time; those of other
//! alphabets only where somebody asks for them (the … of a hint is no letter).

use crate::ids::{KeyId, OrgId, UserId};
use sqlx::{FromRow, PgConnection, Postgres, QueryBuilder};
use time::OffsetDateTime;

use super::{Column, Creator, Filter, Order};

/// Adds ` where …`: the keys `k` of an organization that a filter lets through. Only what the filter asks for is in it.
fn push_filter(query: &mut QueryBuilder<Postgres>, org: OrgId, filter: &Filter, now: OffsetDateTime) {
    query.push(" where k.org_id = ").push_bind(org);
    if let Some(text) = &filter.text {
        for (begin, column) in [(" and (", "name"), (" or ", "hint")] {
            query.push(format_args!("{begin}strpos(lower(k.{column} collate \"C\"), lower("));
            query.push_bind(text.clone()).push(" collate \"C\")) > 0");
        }
        if !text.replace('…', "").is_ascii() {
            query.push(" or strpos(lower(k.name), lower(").push_bind(text.clone()).push(")) > 0");
        }
        query.push(")");
    }
    for (column, value) in [("environment", &filter.environment), ("tier", &filter.tier)] {
        if let Some(value) = value {
            query.push(format_args!(" and k.{column} = ")).push_bind(value.clone());
        }
    }
    if let Some(state) = filter.status {
        query.push(" and key_state(k.revoked_at, k.overlap_ended, k.overlap_ends_at, k.disabled_at, k.expires_at, ");
        query.push_bind(now).push(") = ").push_bind(state.as_str());
    }
    match filter.creator {
        Some(Creator::Person(user)) => query.push(" and k.created_by = ").push_bind(user),
        Some(Creator::Operator) => query.push(" and k.created_by is null"),
        None => query,
    };
    if let Some(since) = filter.unused_since(now) {
        query.push(" and k.created_at < ").push_bind(since);
        query.push(" and k.id not in (select u.key_id from key_last_used u where u.org_id = ").push_bind(org);
        query.push(" and u.used_at >= ").push_bind(since).push(")");
    }
    if let Some(scope) = &filter.scope {
        query.push(" and ").push_bind(scope.clone()).push(" = any (k.scopes)");
    }
}

/// Adds ` order by … offset … limit …`. Ids sort by creation.
fn push_order(query: &mut QueryBuilder<Postgres>, order: Order, offset: i64, limit: i64) {
    let way = if order.descending { "desc" } else { "asc" };
    match order.by {
        Column::Created => query.push(format_args!(" order by k.id {way}")),
        Column::Name => query.push(format_args!(" order by lower(k.name) {way}, k.id {way}")),
        Column::Expires => query.push(format_args!(" order by k.expires_at {way} nulls last, k.id {way}")),
        Column::LastUsed => query.push(format_args!(" order by k.used_at {way} nulls last, k.id {way}")),
    };
    query.push(" offset ").push_bind(offset).push(" limit ").push_bind(limit);
}

/// A page of the keys that a filter lets through.
#[derive(FromRow)]
pub struct Hits {
    /// How many keys the filter lets through.
    pub count: i64,
    /// Those of the page, in order.
    pub ids: Vec<KeyId>,
}

/// The ids of a page, in order. Where the order is an index's, this reads no further than that page.
pub async fn page(
    db: &mut PgConnection,
    org: OrgId,
    filter: &Filter,
    order: Order,
    now: OffsetDateTime,
    offset: i64,
    limit: i64,
) -> sqlx::Result<Vec<KeyId>> {
    if order.by == Column::LastUsed {
        return Ok(page_and_count(db, org, filter, order, now, offset, limit).await?.ids);
    }
    let mut query = QueryBuilder::new("select k.id from api_keys k");
    push_filter(&mut query, org, filter, now);
    push_order(&mut query, order, offset, limit);
    query.build_query_scalar().fetch_all(db).await
}

/// The same, and how many keys the filter lets through. They are looked at once for both.
pub async fn page_and_count(
    db: &mut PgConnection,
    org: OrgId,
    filter: &Filter,
    order: Order,
    now: OffsetDateTime,
    offset: i64,
    limit: i64,
) -> sqlx::Result<Hits> {
    let column = match order.by {
        Column::Created | Column::LastUsed => "",
        Column::Name => ", k.name",
        Column::Expires => ", k.expires_at",
    };
    let mut query = QueryBuilder::new(format!("with hits as materialized (select k.id{column} from api_keys k"));
    push_filter(&mut query, org, filter, now);
    query.push(")");
    let from = if order.by == Column::LastUsed {
        query.push(
            ", used as materialized (
                 select k.id, u.used_at from hits k
                 full join (select key_id, used_at from key_last_used where org_id = ",
        );
        query.push_bind(org).push(") u on u.key_id = k.id)");
        "used k where k.id is not null"
    } else {
        "hits k"
    };
    query.push(format_args!(" select (select count(*) from hits) as count, array(select k.id from {from}"));
    push_order(&mut query, order, offset, limit);
    query.push(") as ids").build_query_as().fetch_one(db).await
}

/// Everybody who made a key of an organization, by name. Walks from one creator to the next, not over their keys; and people
/// are looked up one by one (the limit has Postgres do that), since nobody knows beforehand how few they are.
pub async fn creators(db: &mut PgConnection, org: OrgId) -> sqlx::Result<Vec<(UserId, String)>> {
    let rows = sqlx::query!(
        r#"with recursive creator (id) as (
               (select created_by from api_keys where org_id = $1 and created_by is not null order by created_by limit 1)
               union all
               select (select k.created_by from api_keys k where k.org_id = $1 and k.created_by > c.id
                       order by k.created_by limit 1)
               from creator c where c.id is not null)
           select u.id, u.name
           from creator c cross join lateral (select id, name from users where id = c.id limit 1) u
           order by lower(u.name), u.id"#,
        org as _
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (UserId(row.id), row.name)).collect())
}
