//! A connector's `instructions`, written in Markdown by whoever runs it, as HTML that can do nothing but be read.
//!
//! Raw HTML stays text, images are their descriptions, and links lead to http, https and mail addresses only, in a
//! window of their own: the visitor comes back to the page with what they copied there.

use askama::filters::{Html, escape};
use pulldown_cmark::{CowStr, Event, HeadingLevel, LinkType, Options, Parser, Tag, TagEnd, html};
use url::Url;

/// `text` as HTML.
pub(super) fn rendered(text: &str) -> String {
    let parser = Parser::new_ext(text, Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TABLES);
    let mut closes = Vec::new();
    let events = parser.map(move |event| match event {
        // Escaped as everything else on our pages is, quotes included.
        Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => {
            Event::InlineHtml(CowStr::from(escaped(&text)))
        }
        Event::Code(text) => {
            Event::InlineHtml(CowStr::from(format!("<code>{}</code>", escaped(&text))))
        }
        Event::Start(Tag::HtmlBlock) | Event::Start(Tag::Image { .. }) => nothing(),
        Event::End(TagEnd::HtmlBlock | TagEnd::Image) => nothing(),
        // The page has its one heading; what the instructions have is below it.
        Event::Start(Tag::Heading { .. }) => Event::Start(Tag::Heading {
            level: HeadingLevel::H3,
            id: None,
            classes: vec![],
            attrs: vec![],
        }),
        Event::End(TagEnd::Heading(_)) => Event::End(TagEnd::Heading(HeadingLevel::H3)),
        Event::Start(Tag::Link {
            link_type,
            dest_url,
            ..
        }) => {
            let link = target(link_type, &dest_url);
            closes.push(link.is_some());
            link.map_or_else(nothing, |target| {
                let target = escaped(&target);
                let tag =
                    format!("<a href=\"{target}\" target=\"_blank\" rel=\"noopener noreferrer\">");
                Event::InlineHtml(CowStr::from(tag))
            })
        }
        Event::End(TagEnd::Link) => match closes.pop() {
            Some(true) => Event::InlineHtml(CowStr::Borrowed("</a>")),
            _ => nothing(),
        },
        other => other,
    });
    let mut out = String::new();
    html::push_html(&mut out, events);
    out
}

fn escaped(text: &str) -> String {
    escape(text, Html).map_or_else(|_| String::new(), |text| text.to_string())
}

const fn nothing<'a>() -> Event<'a> {
    Event::Text(CowStr::Borrowed(""))
}

/// Where a link leads, if that is somewhere a page may send its visitor.
fn target(kind: LinkType, text: &str) -> Option<String> {
    let text = match kind {
        LinkType::Email => format!("mailto:{text}"),
        _ => text.to_owned(),
    };
    let url = Url::parse(&text).ok()?;
    matches!(url.scheme(), "http" | "https" | "mailto").then(|| url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_set_as_its_author_meant_it() {
        let html = rendered(
            "# Where it is\n\nOpen [**Settings**](https://acme.example/keys?a=1&b=2), then:\n\n1. *New key*\n2. Copy `sk-…`\n",
        );
        for part in [
            "<h3>Where it is</h3>",
            "<a href=\"https://acme.example/keys?a=1&#38;b=2\" target=\"_blank\" rel=\"noopener noreferrer\"><strong>Settings</strong></a>",
            "<ol>\n<li><em>New key</em></li>",
            "<code>sk-…</code>",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
    }

    #[test]
    fn nothing_in_it_is_live() {
        for hostile in [
            "<script>alert(1)</script>",
            "a <img src=x onerror=alert(1)> b",
            "<div onclick=alert(1)>\n\n# x\n\n</div>",
            "[x](javascript:alert(1))",
            "[x](JaVaScRiPt:alert(1))",
            "[x](data:text/html,<script>alert(1)</script>)",
            "[x](vbscript:x)",
            "[x](/relative)",
            "[x](//evil.example)",
            "<javascript:alert(1)>",
            "![x](https://evil.example/pixel.png)",
            "[x]: javascript:alert(1)\n\n[x]",
            "[x](https://a.example/\"onmouseover=\"alert(1))",
            "# x {onclick=alert(1)}",
            "```\"><script>\nx\n```",
            "<style>*{display:none}</style>",
            "<form action=https://evil.example><input name=key></form>",
        ] {
            let html = rendered(hostile);
            let lower = html.to_lowercase();
            for live in [
                "<script",
                "<img",
                "<div",
                "<style",
                "<form",
                "<input",
                "href=\"javascript",
                "href=\"data",
                "href=\"vbscript",
                "href=\"/",
                "\"onmouseover",
                "onclick=\"",
            ] {
                assert!(!lower.contains(live), "{live}: {html}");
            }
        }
    }
}
