//! The one style sheet, and a connector's colour where it can be read.
//!
//! The sheet is inline: a page is whole in one answer, also while two versions run side by side. The
//! content security policy names it by its hash, so no other style is ever applied.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use grantry_vault::hash::sha256;

const STYLE: &str = include_str!("../../templates/style.css");

/// Cards as the style sheet paints them, by `prefers-color-scheme`.
const CARDS: [(&str, Color); 2] = [
    ("light", Color([0xff, 0xff, 0xff])),
    ("dark", Color([0x1b, 0x1e, 0x24])),
];

/// WCAG 1.4.11: what a control needs against what surrounds it.
const CONTROL_CONTRAST: f64 = 3.0;

const BLACK: Color = Color([0, 0, 0]);
const WHITE: Color = Color([0xff, 0xff, 0xff]);

/// How a page looks: the style sheet with at most two colours of the connector's in it, and its image.
pub(super) struct Look {
    style: String,
    image: Option<String>,
}

impl Look {
    /// Ours.
    pub(super) fn plain() -> Self {
        Self::of(STYLE.to_owned())
    }

    /// Ours, laid out for a long page with a list of what is on it.
    pub(super) fn reference() -> Self {
        Self::of(format!(
            "{STYLE}{}",
            include_str!("../../templates/docs.css")
        ))
    }

    /// Ours with the main button in `accent` (`#rrggbb`) in each colour scheme where it stands out, and `background`
    /// behind the connector's image.
    pub(super) fn branded(accent: Option<&str>, background: Option<&str>) -> Self {
        let mut style = STYLE.to_owned();
        if let Some(accent) = accent.and_then(Color::parse) {
            for (scheme, card) in CARDS {
                if accent.contrast(card) >= CONTROL_CONTRAST {
                    let (accent, text) = (accent.css(), accent.text().css());
                    style.push_str(&format!(
                        "@media (prefers-color-scheme: {scheme}) {{ :root {{ --accent: {accent}; --on-accent: {text}; }} }}\n"
                    ));
                }
            }
        }
        if let Some(background) = background.and_then(Color::parse) {
            style.push_str(&format!(".icon {{ background: {}; }}\n", background.css()));
        }
        Self::of(style)
    }

    /// The same with the image at `url`, of this server.
    pub(super) fn with_image(self, url: Option<&str>) -> Self {
        Self {
            image: url.map(str::to_owned),
            ..self
        }
    }

    const fn of(style: String) -> Self {
        Self { style, image: None }
    }

    /// The text of the page's one `<style>` element.
    pub(super) fn style(&self) -> &str {
        &self.style
    }

    /// The directives that allow exactly this style, and this image where there is one (CSP 3 §2.3.1, §6.1.8).
    pub(super) fn policy(&self) -> String {
        let hash = STANDARD.encode(sha256(&[self.style.as_bytes()]));
        let style = format!("style-src 'sha256-{hash}'");
        match &self.image {
            Some(url) => format!("{style}; img-src {url}"),
            None => style,
        }
    }
}

#[derive(Clone, Copy)]
struct Color([u8; 3]);

impl Color {
    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#')?;
        if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let [_, red, green, blue] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
        Some(Self([red, green, blue]))
    }

    fn css(self) -> String {
        let Self([red, green, blue]) = self;
        format!("#{red:02x}{green:02x}{blue:02x}")
    }

    /// Relative luminance (WCAG 2.2).
    fn luminance(self) -> f64 {
        let [red, green, blue] = self.0.map(|value| {
            let value = f64::from(value) / 255.0;
            if value <= 0.040_45 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    /// Contrast ratio (WCAG 2.2), 1 to 21.
    fn contrast(self, other: Self) -> f64 {
        let (a, b) = (self.luminance(), other.luminance());
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    /// The text colour to put on it. On any colour one of the two reaches 4.5 (WCAG 1.4.3).
    fn text(self) -> Self {
        if self.contrast(WHITE) >= 4.5 {
            WHITE
        } else {
            BLACK
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_is_used_where_the_button_stands_out_from_its_card() {
        for (accent, light, dark) in [
            ("#1a73e8", true, true),
            ("#4A154B", true, false),
            ("#ffe01b", false, true),
            ("#ffffff", false, true),
            ("#000000", true, false),
        ] {
            let look = Look::branded(Some(accent), None);
            let added = look.style().strip_prefix(STYLE).unwrap();
            assert_eq!(added.contains("scheme: light"), light, "{accent}");
            assert_eq!(added.contains("scheme: dark"), dark, "{accent}");
        }
    }

    #[test]
    fn text_on_any_colour_can_be_read() {
        for red in (0..=255).step_by(15) {
            for green in (0..=255).step_by(15) {
                for blue in (0..=255).step_by(15) {
                    let color = Color([red, green, blue]);
                    assert!(color.contrast(color.text()) >= 4.5, "{}", color.css());
                }
            }
        }
    }

    #[test]
    fn what_is_not_a_colour_never_reaches_the_style() {
        for hostile in [
            "",
            "red",
            "#fff",
            "#12345g",
            "#+12345",
            "#1234567",
            "#000;}*{display:none}",
            "</style><script>",
            "#€€",
        ] {
            let look = Look::branded(Some(hostile), Some(hostile));
            assert_eq!(look.style(), STYLE, "{hostile}");
        }
        assert_eq!(Look::branded(None, None).style(), STYLE);
    }

    #[test]
    fn the_cards_are_those_of_the_style_sheet_and_nothing_can_close_it() {
        for (_, card) in CARDS {
            assert!(STYLE.contains(&format!("--card: {};", card.css())));
        }
        assert!(!STYLE.contains('<'));
    }

    #[test]
    fn the_policy_names_this_very_style() {
        let (plain, branded) = (Look::plain(), Look::branded(Some("#1a73e8"), None));
        assert_ne!(plain.policy(), branded.policy());
        assert!(plain.policy().starts_with("style-src 'sha256-"));
        let url = "https://connect.example/icons/team_1/0";
        let with_image = branded.with_image(Some(url)).policy();
        assert!(
            with_image.ends_with(&format!("'; img-src {url}")),
            "{with_image}"
        );
    }
}
