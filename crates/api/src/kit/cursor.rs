//! Where a list goes on: opaque to clients, base64url of the last row's position.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantry_core::store::Page;
use grantry_core::{Error, Result};
use grantry_engine::CursorPage;

use super::fields::Fields;

/// Rows of a page when the caller does not say.
const LIMIT: u32 = 20;

/// Rows that one read of a list brings which is answered whole.
const ROWS: u32 = 500;

/// All rows of a list that the engine gives page by page.
pub async fn all_pages<T, F>(read: impl Fn(Page) -> F) -> Result<Vec<T>>
where
    F: Future<Output = Result<CursorPage<T>>>,
{
    let mut found = Vec::new();
    let mut page = Page::first(ROWS);
    loop {
        let rows = read(page.clone()).await?;
        found.extend(rows.data);
        match rows.next {
            Some(after) => page.after = Some(after),
            None => return Ok(found),
        }
    }
}

/// The cursor of a position.
pub fn encode((sort, id): &(String, String)) -> String {
    URL_SAFE_NO_PAD.encode(format!("{sort}\0{id}"))
}

fn decode(cursor: &str) -> Option<(String, String)> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (sort, id) = text.split_once('\0')?;
    // No id has a NUL, and PostgreSQL would not even look for it.
    (!id.contains('\0')).then(|| (sort.to_owned(), id.to_owned()))
}

/// The page of a list by time that the parameters `limit`, `cursor` and `order` name.
pub fn page(query: &Fields) -> Result<Page> {
    let page = Page {
        oldest_first: query.text("order") == Some("asc"),
        ..page_by_name(query)?
    };
    match &page.after {
        Some((time, _)) if time.parse::<i64>().is_err() => Err(not_of_this_list()),
        _ => Ok(page),
    }
}

/// The same of a list by name, whose cursors hold a name where others hold a time.
pub fn page_by_name(query: &Fields) -> Result<Page> {
    let after = match query.text("cursor").filter(|cursor| !cursor.is_empty()) {
        Some(cursor) => Some(decode(cursor).ok_or_else(not_of_this_list)?),
        None => None,
    };
    let limit = query
        .count("limit")
        .and_then(|limit| u32::try_from(limit).ok());
    Ok(Page {
        after,
        ..Page::first(limit.unwrap_or(LIMIT))
    })
}

fn not_of_this_list() -> Error {
    Error::invalid("cursor", "is not a cursor of this list")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_leads_back_to_its_position(sort in "[^\0]{0,20}|-?[0-9]{1,15}", id in "[^\0]{0,20}") {
            let query = Fields::of_query(&format!("cursor={}", encode(&(sort.clone(), id.clone()))));
            let by_time = page(&query).map(|page| page.after);
            let position = Some((sort.clone(), id));
            prop_assert_eq!(by_time.is_ok(), sort.parse::<i64>().is_ok());
            prop_assert_eq!(page_by_name(&query).unwrap().after, position);
        }

        #[test]
        fn no_text_makes_a_cursor_panic(text in ".*") {
            let _ = decode(&text);
        }
    }

    #[test]
    fn what_is_no_cursor_is_a_wrong_field() {
        // The last ones are "a\0b", in order, but no time; and "7\0b\0c".
        for bad in ["!", "YQ", "AA=", "%FF", "YQBi", "NwBiAGM"] {
            let refused = page(&Fields::of_query(&format!("cursor={bad}")));
            assert!(matches!(refused, Err(Error::Invalid(_))), "{bad}");
        }
        assert!(page(&Fields::of_query("cursor=NwBi")).is_ok());
        assert_eq!(page(&Fields::default()).unwrap(), Page::first(20));
    }
}
