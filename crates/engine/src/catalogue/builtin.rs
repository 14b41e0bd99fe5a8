//! The rows that come with the binary (`catalogue/README.md` says where they are from).

use std::sync::LazyLock;

use grantry_core::nouns::Service;
use serde::Deserialize;
use serde_json::{Map, Value};

/// `catalogue/services.json`.
#[derive(Deserialize)]
struct File {
    services: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    id: String,
    #[serde(flatten)]
    data: Map<String, Value>,
}

/// The file's text.
pub(super) const TEXT: &str = include_str!("../../catalogue/services.json");

static SERVICES: LazyLock<Vec<Service>> = LazyLock::new(|| {
    // A test reads the same text, so no binary is made of one that does not parse.
    let rows = serde_json::from_str::<File>(TEXT).map(|file| file.services);
    let service = |row: Row| Service {
        id: row.id,
        data: row.data,
    };
    rows.unwrap_or_default().into_iter().map(service).collect()
});

/// The built-in rows, by id.
pub fn services() -> &'static [Service] {
    &SERVICES
}

/// One built-in row.
pub fn service(id: &str) -> Option<&'static Service> {
    let at = SERVICES.binary_search_by(|service| service.id.as_str().cmp(id));
    at.ok().map(|at| &SERVICES[at])
}
