//! An answer that comes in lines of JSON, the last of which is the result.

use std::future::poll_fn;
use std::pin::Pin;

use axum::body::HttpBody as _;
use grantry_core::http::Method;
use grantry_egress::{Lines, Reply, TooLong};
use serde_json::Value;

use super::{Answer, Client, Content, Failure, Transport, broken, no_answer, oneshot};
use crate::failure::chain;

const MEDIA_TYPE: &str = "application/x-ndjson";

impl Client {
    /// [`Client::call`] that shows each line of the answer to `see` when it arrives; the last one is
    /// the answer.
    ///
    /// # Errors
    /// Those of [`Client::call`].
    pub async fn call_in_lines(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        content: Content,
        mut see: impl FnMut(Value) + Send,
    ) -> Result<Answer, Failure> {
        let path = self.path(path, query);
        let body = content.body();
        let mut line = |line: &[u8]| {
            if let Ok(value) = serde_json::from_slice(line) {
                see(value);
            }
        };
        let reply = match &self.transport {
            Transport::Wire { local, .. } => {
                crate::out::detail(&format!("> {method:?} {path}"));
                let key = self.key.as_ref().map(|key| &key.text);
                let sent = local.send_patiently(method, &path, key, body, MEDIA_TYPE, &mut line);
                sent.await.map_err(no_answer)?
            }
            Transport::Here(router) => {
                let answer = oneshot(router.clone(), method, &path, MEDIA_TYPE, body).await?;
                let status = answer.status().as_u16();
                let mut lines = Lines::default();
                let mut body = answer.into_body();
                while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
                    let frame = frame.map_err(|error| broken(chain(&error)))?;
                    if let Ok(bytes) = frame.into_data() {
                        let taken = lines.take(&bytes, &mut line);
                        taken.map_err(|TooLong| broken("the answer is too large".to_owned()))?;
                    }
                }
                Reply {
                    status,
                    body: lines.last(),
                }
            }
        };
        Ok(self.answer(&reply))
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::post;

    use super::*;

    #[tokio::test]
    async fn every_line_is_seen_and_the_last_one_is_the_answer() {
        let lines = || async { "{\"done\":1}\n{\"done\":2}\n{\"report\":[]}\n" };
        let whole = || async { "{\"rows\":[]}" };
        let router = Router::new()
            .route("/api/v1/lines", post(lines))
            .route("/api/v1/whole", post(whole));
        let client = Client::here(router);
        let mut seen = Vec::new();
        let answer = client.call_in_lines(Method::Post, "/lines", &[], Content::None, |line| {
            seen.push(line.to_string());
        });
        assert_eq!(
            answer.await.unwrap().unwrap().to_string(),
            "{\"report\":[]}"
        );
        assert_eq!(seen, ["{\"done\":1}", "{\"done\":2}", "{\"report\":[]}"]);
        let answer = client.call_in_lines(Method::Post, "/whole", &[], Content::None, |_| ());
        assert_eq!(answer.await.unwrap().unwrap().to_string(), "{\"rows\":[]}");
    }
}
