//! Lists as the SDKs' pager reads them (reference/datagrid §2.9): it goes on behind the last row's id until a page is
//! empty, or, where `before` was sent, in front of the first row's id. A `before` page is in the list's own order.

use axum::response::Response;
use grantry_core::Result;
use grantry_core::store::{Listed, Page};
use grantry_engine::CursorPage;

use super::wire::List;
use crate::kit::answer;
use crate::kit::call::Call;
use crate::kit::fields::Fields;

/// Rows of a page when the caller does not say.
const ROWS: u32 = 20;

/// What part of a list is asked for.
pub struct Asked<'a> {
    limit: u32,
    cursor: Option<&'a str>,
    back: bool,
}

/// Where a row stands in its list.
type Place = (String, String);

impl<'a> Asked<'a> {
    /// As the query says.
    pub fn of(query: &'a Fields) -> Self {
        let id = |name: &str| query.text(name).filter(|id| !id.is_empty());
        let limit = query.count("limit");
        let limit = limit.and_then(|limit| u32::try_from(limit).ok());
        let before = id("before");
        Self {
            limit: limit.unwrap_or(ROWS),
            cursor: before.or_else(|| id("after")),
            back: before.is_some(),
        }
    }

    /// The page of a list by id.
    pub fn by_id(&self) -> Page {
        self.at(self.cursor.map(|id| (id.to_owned(), id.to_owned())))
    }

    /// The page of one of a team's lists by time. None behind an id that never was.
    pub async fn by_time(&self, call: &Call, list: Listed) -> Result<Option<Page>> {
        let Some(id) = self.cursor else {
            return Ok(Some(self.at(None)));
        };
        let place = call.engine.list_place(call.caller()?, list, id).await?;
        Ok(place.map(|place| self.at(Some(place))))
    }

    /// The page at a place.
    fn at(&self, after: Option<Place>) -> Page {
        Page {
            limit: self.limit,
            after,
            oldest_first: self.back,
        }
    }

    /// The answer: what `read` brings from `start` on, which is nothing where that is `None`. A read may bring rows that
    /// this dialect has no form of, so there may be several.
    pub async fn answer<W, F>(
        &self,
        start: Option<Page>,
        read: impl Fn(Page) -> F,
    ) -> Result<Response>
    where
        W: serde::Serialize,
        F: Future<Output = Result<CursorPage<Option<W>>>>,
    {
        let limit = self.limit as usize;
        let (mut kept, mut has_more, mut wanted) = (Vec::new(), false, start);
        while let Some(page) = wanted.take() {
            let CursorPage { data, next } = read(page.clone()).await?;
            let rows = data.len();
            kept.extend(data.into_iter().flatten());
            // Behind rows that are shown there are more; behind others, who knows.
            has_more =
                kept.len() > limit || (kept.len() == limit && rows == limit && next.is_some());
            if !has_more && let Some(after) = next {
                let after = Some(after);
                wanted = Some(Page { after, ..page });
            }
        }
        kept.truncate(limit);
        if self.back {
            kept.reverse();
        }
        answer::ok(&List::paged(kept, has_more))
    }
}
