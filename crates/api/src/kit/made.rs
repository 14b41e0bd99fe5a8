//! Answers that are made of nothing but the server's URL, and are hundreds of kilobytes: made once, so that
//! strangers who ask for them cost no more than those who ask for others.

use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

/// The answer for the URL that was asked for last; a process has one.
pub struct Made(Mutex<Option<Kept>>);

#[derive(Clone)]
struct Kept {
    url: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Default for Made {
    fn default() -> Self {
        Self::new()
    }
}

impl Made {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// The answer of the server at `url`. One that is not 200 is not kept.
    pub async fn of(&self, url: String, make: impl FnOnce(&str) -> Response) -> Response {
        let kept = self.kept().clone().filter(|kept| kept.url == url);
        if let Some(kept) = kept {
            return kept.answer();
        }
        let (parts, body) = make(&url).into_parts();
        let headers = parts.headers.clone();
        match to_bytes(body, usize::MAX).await {
            Ok(body) if parts.status == StatusCode::OK => {
                let kept = Kept { url, headers, body };
                *self.kept() = Some(kept.clone());
                kept.answer()
            }
            Ok(body) => Response::from_parts(parts, Body::from(body)),
            Err(_) => Response::from_parts(parts, Body::empty()),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn answer(self) -> Response {
        let mut answer = Response::new(Body::from(self.body));
        *answer.headers_mut() = self.headers;
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_is_made_once_for_a_url_and_a_failure_is_not_kept() {
        let made = Made::new();
        let mut times = 0;
        let mut ask = async |url: &str, status: StatusCode| {
            let answer = made.of(url.to_owned(), |url| {
                times += 1;
                let mut answer = Response::new(Body::from(format!("{url} {times}")));
                answer.headers_mut().insert("x-made", times.into());
                *answer.status_mut() = status;
                answer
            });
            let (parts, body) = answer.await.into_parts();
            let body = to_bytes(body, 99).await.unwrap();
            assert_eq!(parts.status, status);
            assert!(parts.headers.contains_key("x-made"));
            String::from_utf8(body.to_vec()).unwrap()
        };
        let (ok, failed) = (StatusCode::OK, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(ask("a", failed).await, "a 1");
        assert_eq!(ask("a", ok).await, "a 2");
        assert_eq!(ask("a", ok).await, "a 2");
        assert_eq!(ask("b", ok).await, "b 3");
    }
}
