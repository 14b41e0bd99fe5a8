//! A person with a browser, for `grantry dev`: follows redirects, keeps cookies, fills in the one
//! form of a page. Goes to loopback only.

use std::collections::BTreeMap;
use std::sync::Arc;

use grantry_core::http::{Http, Method, Purpose, Request};
use grantry_egress::{Egress, Options, Policy, SystemLookup};
use url::Url;
use zeroize::Zeroizing;

use crate::failure::{Exit, Failure, chain};

/// More redirects in a row are a loop.
const REDIRECTS_MAX: usize = 20;

/// A browser without scripts.
pub struct Visitor {
    http: Egress,
    /// By origin, then by name. Hosts that differ in their port alone keep theirs apart.
    cookies: BTreeMap<String, BTreeMap<String, String>>,
}

/// Where the visitor stands.
#[derive(Debug)]
pub struct Page {
    /// Its address.
    pub url: Url,
    /// Status of the answer.
    pub status: u16,
    /// Its source.
    pub html: String,
}

impl Visitor {
    /// A visitor without cookies.
    pub fn new() -> Result<Self, Failure> {
        let loopback = Policy::from_strings(["127.0.0.0/8", "::1"]).map_err(failed)?;
        let http = Egress::new(loopback, Arc::new(SystemLookup), &Options::default());
        Ok(Self {
            http: http.map_err(|error| failed(chain(&error)))?,
            cookies: BTreeMap::new(),
        })
    }

    /// Opens `url`.
    pub async fn open(&mut self, url: Url) -> Result<Page, Failure> {
        self.go(Method::Get, url, String::new()).await
    }

    /// Sends the form of `page` as it is, with `choice` as the pressed button.
    pub async fn press(
        &mut self,
        page: &Page,
        choice: Option<(&str, &str)>,
    ) -> Result<Page, Failure> {
        let form = Form::of(&page.html)
            .ok_or_else(|| failed(format!("no form at {} (status {})", page.url, page.status)))?;
        let target = page.url.join(&form.action).map_err(failed)?;
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&form.fields)
            .extend_pairs(choice)
            .finish();
        self.go(Method::Post, target, body).await
    }

    async fn go(
        &mut self,
        mut method: Method,
        mut url: Url,
        mut body: String,
    ) -> Result<Page, Failure> {
        for _ in 0..REDIRECTS_MAX {
            let origin = url.origin().ascii_serialization();
            let mut headers = vec![("accept", "text/html".to_owned())];
            let cookies = self.cookies.get(&origin).into_iter().flatten();
            let cookies: Vec<String> = cookies
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            if !cookies.is_empty() {
                headers.push(("cookie", cookies.join("; ")));
            }
            if method == Method::Post {
                headers.push((
                    "content-type",
                    "application/x-www-form-urlencoded".to_owned(),
                ));
                headers.push(("origin", origin.clone()));
            }
            let request = Request {
                method,
                url: url.clone(),
                headers: headers
                    .into_iter()
                    .map(|(name, value)| (name, Zeroizing::new(value)))
                    .collect(),
                body: Zeroizing::new(std::mem::take(&mut body).into_bytes()),
                purpose: Purpose::Token,
            };
            let answer = self.http.send(request).await;
            let answer = answer.map_err(|error| failed(format!("{url}: {error}")))?;
            for (_, line) in answer
                .headers
                .iter()
                .filter(|(name, _)| name == "set-cookie")
            {
                self.keep(&origin, line);
            }
            match answer
                .header("location")
                .filter(|_| (300..400).contains(&answer.status))
            {
                Some(location) => {
                    url = url.join(location).map_err(failed)?;
                    // 303, and what browsers make of 301 and 302.
                    method = Method::Get;
                }
                None => {
                    return Ok(Page {
                        url,
                        status: answer.status,
                        html: String::from_utf8_lossy(&answer.body).into_owned(),
                    });
                }
            }
        }
        Err(failed(format!(
            "more than {REDIRECTS_MAX} redirects, the last one to {url}"
        )))
    }

    fn keep(&mut self, origin: &str, line: &str) {
        let mut parts = line.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        let jar = self.cookies.entry(origin.to_owned()).or_default();
        if parts.any(|part| part.eq_ignore_ascii_case("max-age=0")) {
            jar.remove(name);
        } else {
            jar.insert(name.to_owned(), value.to_owned());
        }
    }
}

impl Page {
    /// Whether there is anything to press.
    pub fn has_form(&self) -> bool {
        Form::of(&self.html).is_some()
    }
}

/// The first form of a page that is sent by POST.
#[derive(Debug, PartialEq, Eq)]
struct Form {
    action: String,
    /// Hidden fields and chosen options.
    fields: Vec<(String, String)>,
}

impl Form {
    fn of(html: &str) -> Option<Self> {
        let forms = html.split("<form").skip(1);
        let mut posted = forms.filter_map(|rest| {
            let form = rest.split("</form").next()?;
            let head = attributes(form);
            let method = head.get("method")?;
            method.eq_ignore_ascii_case("post").then_some((head, form))
        });
        let (head, form) = posted.next()?;
        let inputs = form.split("<input").skip(1).map(attributes);
        let sent = inputs.filter(|input| match input.get("type").map(String::as_str) {
            Some("radio" | "checkbox") => input.contains_key("checked"),
            Some("submit") => false,
            _ => true,
        });
        let fields = sent.filter_map(|mut input| {
            let value = input.remove("value").unwrap_or_default();
            Some((input.remove("name")?, value))
        });
        Some(Self {
            action: head.get("action").cloned().unwrap_or_default(),
            fields: fields.collect(),
        })
    }
}

/// Attributes of the tag whose inside `rest` begins with. Values are in double quotes, as all of our
/// own pages write them.
fn attributes(rest: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut rest = rest.trim_start();
    while !rest.is_empty() && !rest.starts_with(['>', '/']) {
        let end = rest.find(|c: char| c == '=' || c == '>' || c == '/' || c.is_whitespace());
        let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
        let (value, after) = match after
            .strip_prefix("=\"")
            .and_then(|value| value.split_once('"'))
        {
            Some((value, after)) => (unescape(value), after),
            // An `=` without a quoted value is not ours: step over it, so that this ends.
            None => (String::new(), after.strip_prefix('=').unwrap_or(after)),
        };
        found.insert(name.to_ascii_lowercase(), value);
        rest = after.trim_start();
    }
    found
}

fn unescape(text: &str) -> String {
    const ENTITIES: [(&str, &str); 8] = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&#38;", "&"),
        ("&#60;", "<"),
        ("&#62;", ">"),
        ("&#39;", "'"),
    ];
    let mut text = text.to_owned();
    for (entity, character) in ENTITIES {
        text = text.replace(entity, character);
    }
    // Last, so that `&amp;lt;` stays the text `&lt;`.
    text.replace("&amp;", "&")
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::new(
        Exit::Failed,
        format!("the first consent did not succeed: {error}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_sent_as_a_browser_would() {
        let html = r#"<form method="get" action="/search"><input name="q"></form>
            <form method="POST" action="/go?a=1&amp;b=2">
            <input type="hidden" name="query" value="x=&#34;1&#34;&#38;y">
            <input type="radio" name="user" value="alice" checked>
            <input type="radio" name="user" value="bob">
            <input type="submit" name="no" value="no"><button name="decision">Go</button></form>
            <input name="outside" value="x">"#;
        let form = Form::of(html).unwrap();
        assert_eq!(form.action, "/go?a=1&b=2");
        let fields = [("query", "x=\"1\"&y"), ("user", "alice")];
        assert_eq!(
            form.fields,
            fields.map(|(n, v)| (n.to_owned(), v.to_owned()))
        );
        assert_eq!(Form::of("<p>no form</p>"), None);
    }

    #[test]
    fn odd_tags_end() {
        for tag in [
            "",
            "=",
            "a=b c=>",
            "a='x' b",
            "a=\"x",
            "é=\"ü\" /",
            "a  =  \"x\">",
        ] {
            let found = attributes(tag);
            assert!(found.len() <= 4, "{tag}: {found:?}");
        }
        assert_eq!(attributes("é=\"ü\" x>y=\"z\"").len(), 2);
    }

    #[test]
    fn cookies_belong_to_their_origin_and_end_when_told() {
        let mut visitor = Visitor::new().unwrap();
        visitor.keep("http://127.0.0.1:1", "a=1; Path=/; HttpOnly");
        visitor.keep("http://127.0.0.1:2", "a=2");
        visitor.keep("http://127.0.0.1:1", "b=3; Max-Age=0");
        visitor.keep("http://127.0.0.1:2", "a=; max-age=0");
        visitor.keep("http://127.0.0.1:2", "nonsense");
        let jar = |origin: &str| visitor.cookies[origin].clone();
        assert_eq!(
            jar("http://127.0.0.1:1"),
            BTreeMap::from([("a".to_owned(), "1".to_owned())])
        );
        assert!(jar("http://127.0.0.1:2").is_empty());
    }
}
