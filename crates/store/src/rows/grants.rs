//! Grants: the columns that authorizations and connections have in common.

use grantry_core::nouns::{Grant, Subject};

use super::values::{json, params};
use crate::backend::{Bad, Row, Value};

/// The values of `subject_type`, `subject_id` (empty for the app itself) and `subject_issuer`.
pub(crate) fn subject_columns(subject: &Subject) -> Vec<Value> {
    let (id, issuer) = match subject {
        Subject::App | Subject::Token => ("", None),
        Subject::User { id, issuer } => (id.as_str(), issuer.clone()),
        // Which of its claims are said by whom is told apart by the JSON.
        Subject::JwtBearer {
            sub,
            iss,
            aud,
            claims,
        } => {
            let rest = serde_json::json!([iss, aud, claims, sub.is_some()]);
            (sub.as_deref().unwrap_or_default(), Some(rest.to_string()))
        }
        Subject::Connection { id } => (id.as_str(), None),
    };
    params![subject.kind(), id, issuer]
}

/// The values of `connector`, `subject_type` … `details`.
pub(super) fn grant_columns(grant: &Grant) -> Vec<Value> {
    let mut row = params![&grant.connector];
    row.extend(subject_columns(&grant.subject));
    row.extend(params![
        &grant.environment,
        grant.installation.as_ref(),
        json(&grant.scopes),
        json(&grant.audience),
        json(&grant.resources),
        json(&grant.details),
    ]);
    row
}

fn subject(row: &Row) -> Result<Subject, Bad> {
    let kind: String = row.get("subject_type")?;
    let id: String = row.get("subject_id")?;
    let issuer: Option<String> = row.get("subject_issuer")?;
    match kind.as_str() {
        "app" => Ok(Subject::App),
        "token" => Ok(Subject::Token),
        "jwt-bearer" => {
            type Rest = (Option<String>, Option<String>, Option<String>, bool);
            let rest = serde_json::from_str::<Rest>(issuer.as_deref().unwrap_or_default());
            let (iss, aud, claims, named) = rest.map_err(|_| Bad("subject_issuer"))?;
            Ok(Subject::JwtBearer {
                sub: named.then_some(id),
                iss,
                aud,
                claims,
            })
        }
        "user" => Ok(Subject::User { id, issuer }),
        "connection" => Ok(Subject::Connection { id }),
        _ => Err(Bad("subject_type")),
    }
}

pub(super) fn grant(row: &Row) -> Result<Grant, Bad> {
    Ok(Grant {
        connector: row.get("connector")?,
        subject: subject(row)?,
        environment: row.get("environment")?,
        installation: row.get("installation")?,
        scopes: row.json("scopes")?,
        audience: row.json("audience")?,
        resources: row.json("resources")?,
        details: row.json("details")?,
    })
}
