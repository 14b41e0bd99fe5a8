//! The native API's JSON.

mod applied;
mod belongings;
mod connections;
mod connectors;
mod nouns;
mod search;
mod setups;
mod team;

use grantry_core::Timestamp;
use grantry_core::nouns::Connector as ConnectorRow;
use grantry_engine::CursorPage;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

pub use applied::{Applied, AppliedInLines, AppliedRow};
pub use belongings::{Installation, Secret};
pub use connections::{Authorization, Connection, Ended, EndedSome, Outcome, Request, Token};
pub use connectors::{Connector, Link};
pub use nouns::{Actor, KeyLevel, Progress, Role, Subject, WebhookSecret};
pub use search::Searched;
pub use setups::{OpenSetup, Setup};
pub use team::{Event, Minted, SigningKey};

use crate::kit::cursor;

/// RFC 3339, in UTC.
#[derive(ToSchema)]
#[schema(value_type = String, format = DateTime)]
pub struct Time(pub Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// An OpenAPI document.
#[derive(Serialize, ToSchema)]
#[schema(value_type = Object)]
pub struct OpenApi(pub utoipa::openapi::OpenApi);

/// One page of a list.
#[derive(Serialize, ToSchema)]
pub struct List<T> {
    data: Vec<T>,
    /// For `cursor` of the next request; `null` on the last page.
    next_cursor: Option<String>,
}

impl<T> List<T> {
    /// `page` with each row as `show` shows it.
    pub fn of<'a, R>(page: &'a CursorPage<R>, show: impl Fn(&'a R) -> T) -> Self {
        Self {
            data: page.data.iter().map(show).collect(),
            next_cursor: page.next.as_ref().map(cursor::encode),
        }
    }
}

/// A connector, in short.
#[derive(Serialize, ToSchema)]
struct Named<'a> {
    id: &'a str,
    uid: &'a str,
    name: &'a str,
    r#type: &'static str,
}

impl<'a> From<&'a ConnectorRow> for Named<'a> {
    fn from(row: &'a ConnectorRow) -> Self {
        Self {
            id: row.id.as_str(),
            uid: &row.uid,
            name: &row.name,
            r#type: row.kind.as_str(),
        }
    }
}
