//! The rows of a type's `data` as a JSON schema (draft 2020-12), for clients that ask people for it
//! (reference/vercel-connect §9 F1).

use grantry_core::limits::{
    CONNECTOR_URL_BYTES_MAX, CONNECTOR_VALUES_MAX, ITEMS_MAX, PEM_BYTES_MAX,
};
use grantry_core::nouns::ConnectorType;
use serde_json::{Value, json};

use super::{Field, Shape, VALUE, rows, server_config};

/// What a new connector of this type takes.
pub fn schema(kind: ConnectorType) -> Value {
    object(rows(kind))
}

/// The fields that are sealed and never given back.
pub fn sealed_fields(kind: ConnectorType) -> Vec<&'static str> {
    let sealed =
        |row: &&Field| matches!(row.shape, Shape::Secret(_) | Shape::Pem(_) | Shape::Values);
    rows(kind)
        .iter()
        .filter(sealed)
        .map(|row| row.name)
        .collect()
}

fn object(rows: &[Field]) -> Value {
    let properties = rows.iter().map(|row| (row.name.to_owned(), of(&row.shape)));
    let required: Vec<_> = rows
        .iter()
        .filter(|row| row.required)
        .map(|row| row.name)
        .collect();
    json!({
        "type": "object",
        "properties": Value::Object(properties.collect()),
        "required": required,
        "additionalProperties": false,
    })
}

fn of(shape: &Shape) -> Value {
    let list = |items: Value| json!({"type": "array", "items": items, "maxItems": ITEMS_MAX});
    match shape {
        Shape::Text(max) => json!({"type": "string", "maxLength": max}),
        Shape::Markdown(max) => {
            json!({"type": "string", "contentMediaType": "text/markdown", "maxLength": max})
        }
        Shape::Secret(max) => json!({"type": "string", "maxLength": max, "writeOnly": true}),
        Shape::Pem(_) => {
            json!({"type": "string", "format": "pem", "maxLength": PEM_BYTES_MAX, "writeOnly": true})
        }
        Shape::Formed(form) => {
            let pattern = format!("^{}$", form.pattern);
            json!({"type": "string", "pattern": pattern, "maxLength": form.max})
        }
        Shape::Phones => {
            list(json!({"type": "string", "pattern": "^\\+[1-9][0-9]{1,14}$", "maxLength": 16}))
        }
        Shape::Url | Shape::BareUrl => url(),
        Shape::Urls => list(url()),
        Shape::Bool => json!({"type": "boolean"}),
        Shape::Integer(least) => json!({"type": "integer", "minimum": least}),
        Shape::OneOf(words) => json!({"type": "string", "enum": words}),
        Shape::Object(rows) => object(rows),
        Shape::Objects(rows, most) => {
            json!({"type": "array", "items": object(rows), "maxItems": most})
        }
        Shape::Texts(max) => list(json!({"type": "string", "maxLength": max})),
        Shape::TextMap(max) => json!({
            "type": "object",
            "additionalProperties": {"type": "string", "maxLength": max},
            "propertyNames": {"maxLength": max},
            "maxProperties": ITEMS_MAX,
        }),
        Shape::Free => json!({"type": "object"}),
        Shape::ServerConfig => {
            json!({"type": "object", "propertyNames": {"enum": server_config::known()}})
        }
        Shape::Values => {
            json!({"type": "array", "items": object(VALUE), "maxItems": CONNECTOR_VALUES_MAX})
        }
    }
}

fn url() -> Value {
    json!({"type": "string", "format": "uri", "maxLength": CONNECTOR_URL_BYTES_MAX})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_says_what_it_takes_and_what_it_seals() {
        let oauth = schema(ConnectorType::Oauth);
        assert_eq!(oauth["properties"]["clientSecret"]["writeOnly"], true);
        let required = oauth["required"].as_array().unwrap();
        assert!(
            required
                .iter()
                .all(|name| oauth["properties"].get(name.as_str().unwrap()).is_some())
        );
        assert!(sealed_fields(ConnectorType::Oauth).contains(&"clientSecret"));
        let keys = schema(ConnectorType::ApiKey);
        assert_eq!(
            keys["properties"]["values"]["items"]["required"],
            json!(["value"])
        );
        assert_eq!(sealed_fields(ConnectorType::ApiKey), ["values"]);
        for kind in ConnectorType::ALL {
            assert_eq!(schema(*kind)["type"], "object", "{kind:?}");
        }
    }
}
