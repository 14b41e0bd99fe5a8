//! Whose token: spelled alike in the native API and in Vercel's.

use grantry_core::nouns::Subject;
use grantry_core::{Error, Result};

use super::fields::{Field, Fields, Shape, optional, required};

/// The rows that every subject has.
pub const TYPE: Field = required("type", Shape::Text(32), "`app` or `user`.");
/// See [`TYPE`].
pub const ID: Field = optional(
    "id",
    Shape::Text(512),
    "With type `user`: the application's own name for the user.",
);
/// See [`TYPE`].
pub const ISSUER: Field = optional(
    "issuer",
    Shape::Text(512),
    "Tells apart users of several identity providers.",
);

/// The subject of a checked object. Types in `known` are ones that clients may name and that no
/// connector here has tokens for.
pub fn of(mut fields: Fields, known: &[&str]) -> Result<Subject> {
    let kind = fields.take_text("type").unwrap_or_default();
    let id = |fields: &mut Fields| {
        let id = fields.take_text("id").filter(|id| !id.is_empty());
        id.ok_or_else(|| Error::invalid("subject.id", "is required, and not empty"))
    };
    match kind.as_str() {
        "app" => Ok(Subject::App),
        "user" => Ok(Subject::User {
            id: id(&mut fields)?,
            issuer: fields.take_text("issuer"),
        }),
        "connection" if !known.contains(&"connection") => Ok(Subject::Connection {
            id: id(&mut fields)?,
        }),
        kind if known.contains(&kind) => Err(Error::Unresolvable {
            reason: format!("this connector has no tokens for the subject type {kind}"),
        }),
        kind => Err(Error::invalid(
            "subject.type",
            format!("{kind:?} is not a subject type; there are app and user"),
        )),
    }
}
