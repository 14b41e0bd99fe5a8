//! Where a list goes on: opaque to clients, base64url of the last row's position.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantry_core::store::Page;
use grantry_core::{Error, Result};

use super::fields::Fields;

/// Largest page.
pub const LIMIT_MAX: i64 = 100;

/// Rows of a page when the caller does not say.
const LIMIT: u32 = 20;

/// The cursor of a position.
pub fn encode((sort, id): &(String, String)) -> String {
    URL_SAFE_NO_PAD.encode(format!("{sort}\0{id}"))
}

fn decode(cursor: &str) -> Option<(String, String)> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (sort, id) = text.split_once('\0')?;
    Some((sort.to_owned(), id.to_owned()))
}

/// The page that the parameters `limit` and `cursor` name.
pub fn page(query: &Fields) -> Result<Page> {
    let after = match query.text("cursor").filter(|cursor| !cursor.is_empty()) {
        Some(cursor) => {
            let position = decode(cursor);
            Some(position.ok_or_else(|| Error::invalid("cursor", "is not a cursor of this list"))?)
        }
        None => None,
    };
    let limit = query
        .count("limit")
        .and_then(|limit| u32::try_from(limit).ok());
    Ok(Page {
        limit: limit.unwrap_or(LIMIT),
        after,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_leads_back_to_its_position(sort in "[^\0]{0,20}", id in "[^\0]{0,20}") {
            let query = Fields::of_query(&format!("cursor={}", encode(&(sort.clone(), id.clone()))));
            prop_assert_eq!(page(&query).unwrap().after, Some((sort, id)));
        }

        #[test]
        fn no_text_makes_a_cursor_panic(text in ".*") {
            let _ = decode(&text);
        }
    }

    #[test]
    fn what_is_no_cursor_is_a_wrong_field() {
        for bad in ["!", "YQ", "AA=", "%FF"] {
            let refused = page(&Fields::of_query(&format!("cursor={bad}")));
            assert!(matches!(refused, Err(Error::Invalid(_))), "{bad}");
        }
        assert_eq!(page(&Fields::default()).unwrap(), Page::first(20));
    }
}
