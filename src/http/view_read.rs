//! Views as answers: what the handlers of sheets, summaries, the directory and the calendar have in common.

use std::time::Instant;

use bytes::Bytes;
use hyper::HeaderMap;
use jiff::Timestamp;

use super::error::HttpError;
use super::listing;
use super::query_parameters::QueryParameters;
use super::request::RequestContext;
use super::response::Reply;
use super::route_path::RoutePath;
use super::state::AppState;
use crate::attendance::{NextPage, PreparedView, ViewQuery, Visibility};

/// A view whose query has been parsed.
#[derive(Debug)]
pub struct ViewRead {
    view: PreparedView,
    /// For the link to the next page.
    parameters: QueryParameters,
    path: RoutePath,
}

impl ViewRead {
    /// The view as it is now.
    ///
    /// # Errors
    /// All problems of the parameters, if there are any.
    pub fn new(
        app: &AppState,
        path: RoutePath,
        mut parameters: QueryParameters,
        query: Option<ViewQuery>,
        visibility: Visibility,
    ) -> Result<Self, HttpError> {
        let query = parameters.checked(query)?;
        Ok(Self { view: app.attendance.prepare_view(query, visibility, Timestamp::now()), parameters, path })
    }

    /// The answer, if memory has a valid one. Does not wait.
    pub fn try_cached(&self, app: &AppState, headers: &HeaderMap, now: Instant) -> Option<Reply> {
        let answer = app.attendance.try_view_cached(&self.view, now)?;
        Some(listing::page(headers, &answer, |next| self.link(next)))
    }

    /// The answer, from memory, Redis or the database.
    ///
    /// # Errors
    /// When there is no slot for the read, or the database fails.
    pub async fn read(&self, context: &RequestContext) -> Result<Reply, HttpError> {
        let page = context.app.attendance.view(&self.view, &listing::client(context)).await?;
        Ok(listing::reply(&context.head.headers, page, |next| self.link(next)))
    }

    fn link(&self, next: &NextPage) -> Bytes {
        listing::next_link(&self.path, &self.parameters.next_page(next.cursor())).into()
    }
}

/// Implements `CachedRead` for a type that has a [`ViewRead`], with the function that parses a query and the one that answers.
macro_rules! view_read {
    ($name:ident, $parse:ident, $answer:ident) => {
        impl $crate::http::cached_read::CachedRead for $name {
            fn parse(
                app: &$crate::http::state::AppState,
                path: $crate::http::route_path::RoutePath,
                query: &str,
                visibility: $crate::attendance::Visibility,
            ) -> Result<Self, $crate::http::error::HttpError> {
                let (parameters, query) = $parse(query);
                $crate::http::view_read::ViewRead::new(app, path, parameters, query, visibility).map(Self)
            }

            fn try_cached(
                &self,
                app: &$crate::http::state::AppState,
                headers: &hyper::HeaderMap,
                now: std::time::Instant,
            ) -> Option<$crate::http::response::Reply> {
                self.0.try_cached(app, headers, now)
            }

            async fn read(
                self,
                context: &$crate::http::request::RequestContext,
            ) -> Result<$crate::http::response::Reply, $crate::http::error::HttpError> {
                $answer(context, &self.0).await
            }
        }
    };
}
pub(super) use view_read;
