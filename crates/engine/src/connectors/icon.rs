//! Images that connectors show (reference/vercel-connect §4, §10): uploaded, or fetched from an https URL, and
//! kept here, so that a page of ours asks nobody else.

use grantry_core::http::{self, Method, Purpose};
use grantry_core::ids::TeamId;
use grantry_core::limits::{ICON_BYTES_MAX, ICON_SIDE_MAX, ICON_SIDE_MIN};
use grantry_core::nouns::{EventKind, Icon};
use grantry_core::{Error, Problem, Result};
use grantry_vault::hash::sha1_hex;
use imagesize::ImageType;
use url::Url;
use zeroize::Zeroizing;

use crate::permissions::Act;
use crate::{Caller, Engine};

/// What an image is, or what is wrong with it.
fn media_type(content: &[u8]) -> Result<&'static str, String> {
    let known = match imagesize::image_type(content) {
        Ok(ImageType::Png) => "image/png",
        Ok(ImageType::Jpeg) => "image/jpeg",
        _ => return Err("must be a PNG or JPEG image".to_owned()),
    };
    let Ok(size) = imagesize::blob_size(content) else {
        return Err("is an image that cannot be read".to_owned());
    };
    let fits = |side: usize| (ICON_SIDE_MIN..=ICON_SIDE_MAX).contains(&side);
    match fits(size.width) && fits(size.height) {
        true => Ok(known),
        false => Err(format!(
            "is {} by {} pixels; each side must have {ICON_SIDE_MIN} to {ICON_SIDE_MAX}",
            size.width, size.height
        )),
    }
}

/// Whether `icon` is the name of an uploaded image, and not where to fetch one.
pub(super) fn is_digest(icon: &str) -> bool {
    icon.len() == 40 && icon.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether `icon` says where to fetch an image.
pub(crate) fn is_url(icon: &str) -> bool {
    Url::parse(icon).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
    })
}

impl Engine {
    /// Takes in an image, whose SHA-1 its uploader has named.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is no PNG or JPEG of the right size, or not what was named; `body` and
    /// `x-vercel-digest` are the fields.
    pub async fn put_icon(&self, caller: &Caller, named: &str, content: &[u8]) -> Result<Icon> {
        caller.require(Act::ManageConnectors)?;
        let digest = sha1_hex(content);
        let mut problems = Vec::new();
        if !digest.eq_ignore_ascii_case(named) {
            let message = format!("must be the SHA-1 of the body, which is {digest}");
            problems.push(Problem::new("x-vercel-digest", message));
        }
        let media_type = match media_type(content) {
            Ok(media_type) => media_type,
            Err(message) => {
                problems.push(Problem::new("body", message));
                ""
            }
        };
        match problems.is_empty() {
            true => self.keep_icon(caller, digest, media_type, content).await,
            false => Err(Error::Invalid(problems)),
        }
    }

    async fn keep_icon(
        &self,
        caller: &Caller,
        digest: String,
        media_type: &str,
        content: &[u8],
    ) -> Result<Icon> {
        let event = self
            .draft(EventKind::IconPut, caller)
            .with("digest", digest.as_str())
            .done();
        let icon = Icon {
            digest,
            team: caller.team.clone(),
            media_type: media_type.to_owned(),
            content: content.to_vec(),
            created_at: event.at,
        };
        self.ports.store.put_icon(&icon, &event).await?;
        Ok(icon)
    }

    /// An image, for whoever knows whose it is and its digest: it is on pages that anybody can open.
    pub async fn icon(&self, team: &TeamId, digest: &str) -> Result<Icon> {
        let known = match is_digest(digest) {
            true => self.ports.store.icon(team, digest).await?,
            false => None,
        };
        known.ok_or(Error::NotFound("icon"))
    }

    /// Where the image of a connector is shown.
    pub fn icon_url(&self, team: &TeamId, digest: &str) -> String {
        self.settings.url(&format!("/icons/{team}/{digest}"))
    }

    /// The digest that a connector keeps for `icon`: an image that was uploaded, or one that is fetched now.
    pub(crate) async fn settled_icon(&self, caller: &Caller, icon: &str) -> Result<String> {
        if is_digest(icon) {
            let digest = icon.to_ascii_lowercase();
            return match self.ports.store.has_icon(&caller.team, &digest).await? {
                true => Ok(digest),
                false => Err(Error::invalid(
                    "icon",
                    "is not the SHA-1 of an uploaded image",
                )),
            };
        }
        let url = Url::parse(icon).map_err(|_| Error::invalid("icon", "is not a URL"))?;
        let answer = self
            .ports
            .http
            .send(http::Request {
                method: Method::Get,
                url,
                headers: vec![("accept", Zeroizing::new("image/png, image/jpeg".to_owned()))],
                body: Zeroizing::new(Vec::new()),
                purpose: Purpose::Icon,
            })
            .await;
        let wrong = |message: String| Error::invalid("icon", message);
        let content = match answer {
            Ok(answer) if answer.status == 200 => answer.body,
            Ok(answer) => {
                let message = format!("is a URL that answers with status {}", answer.status);
                return Err(wrong(message));
            }
            Err(http::Failure::Refused) => return Err(Error::DestinationRefused),
            Err(http::Failure::Unknown(http::Silence::BadBody)) => {
                let message = format!("is a URL of more than {ICON_BYTES_MAX} bytes");
                return Err(wrong(message));
            }
            Err(failure) => {
                return Err(wrong(format!("is a URL that cannot be fetched: {failure}")));
            }
        };
        let media_type = media_type(&content).map_err(wrong)?;
        let kept = self
            .keep_icon(caller, sha1_hex(&content), media_type, &content)
            .await?;
        Ok(kept.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header of a PNG of this size: all that is looked at.
    fn png(width: u32, height: u32) -> Vec<u8> {
        let head = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
        [
            &head[..],
            &width.to_be_bytes(),
            &height.to_be_bytes(),
            &[8, 6, 0, 0, 0],
        ]
        .concat()
    }

    /// The same of a JPEG: start of image, then a frame.
    fn jpeg(width: u16, height: u16) -> Vec<u8> {
        let head = b"\xff\xd8\xff\xc0\0\x11\x08";
        let tail = [3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1, 0xff, 0xd9];
        [
            &head[..],
            &height.to_be_bytes(),
            &width.to_be_bytes(),
            &tail,
        ]
        .concat()
    }

    #[test]
    fn an_image_is_known_by_what_it_holds() {
        assert_eq!(media_type(&png(640, 640)), Ok("image/png"));
        assert_eq!(media_type(&jpeg(640, 4096)), Ok("image/jpeg"));
        let truncated = png(640, 640)[..14].to_vec();
        for bad in [
            png(639, 640),
            png(640, 639),
            png(640, 4097),
            jpeg(100, 100),
            b"GIF89a\x80\x02\x80\x02".to_vec(),
            b"<svg xmlns='http://www.w3.org/2000/svg' width='640' height='640'/>".to_vec(),
            b"\xff\xd8\xff".to_vec(),
            truncated,
            Vec::new(),
        ] {
            assert!(media_type(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_icon_is_a_digest_or_a_url() {
        assert!(is_digest(&"aB".repeat(20)) && !is_digest(&"a".repeat(39)));
        assert!(is_url("https://cdn.example/icon.png"));
        for bad in [
            "icon.png",
            "ftp://x/y",
            "https://u:p@x/y",
            "data:image/png;base64,AA",
        ] {
            assert!(!is_url(bad) && !is_digest(bad), "{bad}");
        }
    }
}
