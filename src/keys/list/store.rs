//! SQL that finds the keys of a list: ids only, so that what is shown of them is read for one page alone.
//!
//! What these statements name of a key is in the index `api_keys_list`: one organization's keys are looked at, there, and
//! never the table from end to end (a test reads the plans). What is not in it, scopes and uses, is read where a
//! filter or an order asks for it. Postgres has no idea how many keys a filter lets through, and guesses few: to sort them by
//! use it would look each of ten thousand up by itself, were it not for the full join, which it cannot do so.
//!
//! Capitals and small letters of ASCII are made the same byte by byte, which takes a fraction of the time; those of other
//! alphabets only where somebody asks for them (the … of a hint is no letter).

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Column, Filter, Order};
use crate::ids::{KeyId, OrgId, UserId};

/// A statement about the keys that a filter lets through.
macro_rules! select_hits {
    ($query:ident, [$first:literal $(, $verb:literal)*], $scope:literal, [$($rest:literal),*], $org:expr, $filter:expr, $now:expr, $($more:expr),*) => {
        sqlx::$query!(
            $first $(+ $verb)* + r#" where k.org_id = $1
                  and ($2::text is null or strpos(lower(k.name collate "C"), lower($2 collate "C")) > 0
                       or strpos(lower(k.hint collate "C"), lower($2 collate "C")) > 0
                       or octet_length(replace($2, '…', '')) <> length(replace($2, '…', ''))
                          and strpos(lower(k.name), lower($2)) > 0)
                  and ($3::text is null or k.environment = $3)
                  and ($4::text is null or k.tier = $4)
                  and ($5::text is null or $5 = case when k.revoked_at is not null then 'revoked'
                                                     when k.overlap_ended or k.overlap_ends_at <= $6 then 'rotated'
                                                     when k.expires_at <= $6 then 'expired'
                                                     when k.disabled_at is not null then 'disabled'
                                                     else 'active' end)
                  and ($8::uuid is null or $8 = coalesce(k.created_by, '00000000-0000-0000-0000-000000000000'))
                  and ($9::timestamptz is null or k.created_at < $9 and k.id not in (
                          select u.key_id from key_last_used u where u.org_id = $1 and u.used_at >= $9))
                  and "# + $scope $(+ $rest)*,
            $org.0,
            $filter.text,
            $filter.environment,
            $filter.tier,
            $filter.status.map(|status| status.as_str()),
            $now,
            $filter.scope,
            $filter.creator.map(|creator| creator.id()),
            $filter.unused_since($now),
            $($more),*
        )
    };
}

/// Hands `$by` the condition about scopes, the column that an order needs besides the id, and the order itself. Scopes are in
/// no index: only where a filter asks for one are they read. Ids sort by creation.
macro_rules! in_order {
    ($filter:expr, $order:expr, $by:ident) => {
        if $filter.scope.is_some() {
            in_order!($order, $by, " $7 = any (k.scopes) ")
        } else {
            in_order!($order, $by, " $7::text is null ")
        }
    };
    ($order:expr, $by:ident, $scope:literal) => {
        match ($order.by, $order.descending) {
            (Column::Created, true) => $by!($scope, "", "k.id desc"),
            (Column::Created, false) => $by!($scope, "", "k.id"),
            (Column::Name, true) => $by!($scope, ", k.name", "lower(k.name) desc, k.id desc"),
            (Column::Name, false) => $by!($scope, ", k.name", "lower(k.name), k.id"),
            (Column::Expires, true) => $by!($scope, ", k.expires_at", "k.expires_at desc nulls last, k.id desc"),
            (Column::Expires, false) => $by!($scope, ", k.expires_at", "k.expires_at nulls last, k.id"),
            (Column::LastUsed, true) => $by!($scope, by use "k.used_at desc nulls last, k.id desc"),
            (Column::LastUsed, false) => $by!($scope, by use "k.used_at nulls last, k.id"),
        }
    };
}

/// The ids of a page of them, in order. It reads no further than that page where the order is an index's.
pub async fn page(
    db: &mut PgConnection,
    org: OrgId,
    filter: &Filter,
    order: Order,
    now: OffsetDateTime,
    offset: i64,
    limit: i64,
) -> sqlx::Result<Vec<KeyId>> {
    macro_rules! by {
        ($scope:literal, by use $order:literal) => {
            return Ok(page_and_count(db, org, filter, order, now, offset, limit).await?.0)
        };
        ($scope:literal, $column:literal, $order:literal) => {
            select_hits!(
                query_scalar,
                ["select k.id from api_keys k"],
                $scope,
                ["order by ", $order, " offset $10 limit $11"],
                org,
                filter,
                now,
                offset,
                limit
            )
            .fetch_all(db)
            .await?
        };
    }
    let ids = in_order!(filter, order, by);
    Ok(ids.into_iter().map(KeyId).collect())
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
) -> sqlx::Result<(Vec<KeyId>, i64)> {
    macro_rules! by {
        ($scope:literal, $column:literal, $more:literal, $from:literal, $order:literal) => {{
            let found = select_hits!(
                query,
                ["with hits as materialized (select k.id", $column, " from api_keys k"],
                $scope,
                [
                    ")",
                    $more,
                    " select (select count(*) from hits) as \"hits!\", array(select k.id from ",
                    $from,
                    " order by ",
                    $order,
                    " offset $10 limit $11) as \"ids!\""
                ],
                org,
                filter,
                now,
                offset,
                limit
            )
            .fetch_one(db)
            .await?;
            (found.ids, found.hits)
        }};
        ($scope:literal, $column:literal, $order:literal) => {
            by!($scope, $column, "", "hits k", $order)
        };
        ($scope:literal, by use $order:literal) => {
            by!(
                $scope,
                "",
                ", used as materialized (
                     select k.id, u.used_at from hits k
                     full join (select key_id, used_at from key_last_used where org_id = $1) u on u.key_id = k.id)",
                "used k where k.id is not null",
                $order
            )
        };
    }
    let (ids, hits) = in_order!(filter, order, by);
    Ok((ids.into_iter().map(KeyId).collect(), hits))
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
        org.0
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (UserId(row.id), row.name)).collect())
}
