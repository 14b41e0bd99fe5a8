//! Whose token: spelled alike in the native API and in Vercel's.

use grantry_core::nouns::{Subject, canonical};
use grantry_core::{Error, Result, Secret};

use super::fields::{Field, Fields, Shape, optional, required};

/// The rows that every subject has.
pub const TYPE: Field = required(
    "type",
    Shape::Text(32),
    "`app`, `user`, `jwt-bearer` or `token`.",
);
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

/// Of the type `jwt-bearer`: what the connector's assertion says, in place of its own `jwtBearer`.
pub const SUB: Field = optional("sub", Shape::Text(512), "With type `jwt-bearer`: whom for.");
/// See [`SUB`].
pub const ISS: Field = optional("iss", Shape::Text(2048), "With type `jwt-bearer`.");
/// See [`SUB`].
pub const AUD: Field = optional("aud", Shape::Text(2048), "With type `jwt-bearer`.");
/// Of the type `token`.
pub const TOKEN: Field = optional(
    "token",
    Shape::Text(65_536),
    "With type `token`: a JWT that is exchanged (RFC 8693). It is not kept.",
);

/// A subject, and the token that names it where it is of that type.
pub struct Named {
    /// The subject.
    pub subject: Subject,
    /// With [`Subject::Token`].
    pub token: Option<Secret>,
}

/// The subject of a checked object, and its token. `claims`: what further claims are called.
pub fn named(mut fields: Fields, known: &[&str], claims: &str) -> Result<Named> {
    let text = |fields: &mut Fields, name| fields.take_text(name).filter(|text| !text.is_empty());
    match fields.text("type") {
        Some("jwt-bearer") => {
            let more = fields.take_map(claims).filter(|more| !more.is_empty());
            let subject = Subject::JwtBearer {
                sub: text(&mut fields, "sub"),
                iss: text(&mut fields, "iss"),
                aud: text(&mut fields, "aud"),
                claims: more.map(|more| canonical(&more.into()).to_string()),
            };
            Ok(Named {
                subject,
                token: None,
            })
        }
        Some("token") => {
            let token = text(&mut fields, "token");
            let token = token.ok_or_else(|| Error::invalid("subject.token", "is required"))?;
            Ok(Named {
                subject: Subject::Token,
                token: Some(Secret::new(token)),
            })
        }
        _ => Ok(Named {
            subject: of(fields, known)?,
            token: None,
        }),
    }
}

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
