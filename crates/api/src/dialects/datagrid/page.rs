//! Lists as the SDKs' pager reads them (reference/datagrid §2.9): it goes on behind the last row's id until a page is
//! empty, or, where `before` was sent, in front of the first row's id. A `before` page is in the list's own order.

use axum::response::Response;
use grantry_core::Result;
use grantry_core::store::{Listed, Page};

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
pub type Place = (String, String);

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

    /// The id that the page follows or precedes.
    pub const fn cursor(&self) -> Option<&'a str> {
        self.cursor
    }

    /// The page at a place.
    pub fn at(&self, after: Option<Place>) -> Page {
        Page {
            limit: self.limit,
            after,
            oldest_first: self.back,
        }
    }

    /// What is read from `page` on; nothing where there is none.
    pub const fn rows<W>(&self, page: Option<Page>) -> Rows<W> {
        Rows {
            limit: self.limit as usize,
            back: self.back,
            page,
            kept: Vec::new(),
        }
    }
}

/// A page on its way: a read may bring rows that this dialect has no form of, so there may be several.
pub struct Rows<W> {
    limit: usize,
    back: bool,
    page: Option<Page>,
    kept: Vec<W>,
}

impl<W: serde::Serialize> Rows<W> {
    /// What to read next, while rows are wanted and there may be some.
    pub const fn wanted(&mut self) -> Option<Page> {
        self.page.take()
    }

    /// Takes what `page` brought, as far as it is shown, and where that read could go on.
    pub fn add(&mut self, page: Page, shown: impl IntoIterator<Item = W>, next: Option<Place>) {
        self.kept.extend(shown);
        if self.kept.len() <= self.limit
            && let Some(after) = next
        {
            let after = Some(after);
            self.page = Some(Page { after, ..page });
        }
    }

    /// The answer.
    pub fn answer(mut self) -> Result<Response> {
        let has_more = self.kept.len() > self.limit;
        self.kept.truncate(self.limit);
        if self.back {
            self.kept.reverse();
        }
        answer::ok(&List::paged(self.kept, has_more))
    }
}
