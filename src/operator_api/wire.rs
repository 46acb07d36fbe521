//! What the operator API reads and writes: bodies and queries in which every field is known, and lists.

use axum::{
    Json,
    extract::{FromRequest, FromRequestParts, Query, Request},
};
use http::request::Parts;
use serde::{Serialize, de::DeserializeOwned};
use utoipa::ToSchema;

use crate::machine_http::{self, Object, Problem};

/// Something that a request may hold.
pub trait Asked: DeserializeOwned {
    /// A sentence that says what it is to be.
    const SHAPE: &'static str;
}

/// A request's JSON.
pub struct Body<T>(pub T);

impl<T: Asked, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if machine_http::announces_too_much(request.headers()) {
            return Err(Problem::too_large());
        }
        match Json::<Object<T>>::from_request(request, state).await {
            Ok(Json(Object(body))) => Ok(Self(body)),
            Err(rejection) => Err(Problem::bad_body(&rejection, T::SHAPE)),
        }
    }
}

/// A request's query.
pub struct Params<T>(pub T);

impl<T: Asked, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(query)| Self(query)).map_err(|_| Problem::bad_request(T::SHAPE))
    }
}

/// A page of a list, and where the next begins; `null` at the end.
#[derive(Serialize, ToSchema)]
pub struct List<T> {
    data: Vec<T>,
    next_cursor: Option<String>,
}

/// How long a page is.
#[derive(Clone, Copy)]
pub struct Limit(i64);

impl Limit {
    const DEFAULT: i64 = 100;
    const MAX: i64 = 1_000;

    pub fn parse(text: Option<&str>) -> Option<Self> {
        let limit = text.map_or(Some(Self::DEFAULT), |text| text.parse().ok())?;
        (1..=Self::MAX).contains(&limit).then_some(Self(limit))
    }

    /// One more than a page: whoever gets it knows that there is a next.
    pub fn and_one(self) -> i64 {
        self.0 + 1
    }

    /// Makes a page of rows that were asked for with [`Self::and_one`].
    pub fn page<R, T>(self, rows: Vec<R>, cursor: impl Fn(&R) -> String, row: impl Fn(R) -> T) -> List<T> {
        let (rows, next_cursor) = machine_http::part(rows, self.0, cursor);
        List { data: rows.into_iter().map(row).collect(), next_cursor }
    }
}
