//! What pages are drawn with: one stylesheet, one icon and one script, under names that change with what is in them.

use std::sync::LazyLock;

use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use sha2::{Digest as _, Sha256};

use super::super::body::NoBody;
use super::super::observe::observe;
use super::super::{WorkerState, transport};
use crate::oauth::OAuthError;

/// Where they are, below the issuer.
pub const FOLDER: &str = "/assets/";

/// Something that pages are drawn with.
pub struct Asset {
    stem: &'static str,
    extension: &'static str,
    content_type: &'static str,
    body: &'static str,
    name: LazyLock<String>,
}

/// How pages look.
pub static STYLESHEET: Asset = Asset {
    stem: "pages",
    extension: "css",
    content_type: "text/css; charset=utf-8",
    body: include_str!("../../../templates/pages.css"),
    name: LazyLock::new(|| STYLESHEET.make_name()),
};

/// What the demonstration runs on: the one script, and on no page of ours.
pub static DEMO: Asset = Asset {
    stem: "demo",
    extension: "js",
    content_type: "text/javascript; charset=utf-8",
    body: include_str!("../../../templates/demo.js"),
    name: LazyLock::new(|| DEMO.make_name()),
};

/// What stands in a browser's tab.
pub static ICON: Asset = Asset {
    stem: "icon",
    extension: "svg",
    content_type: "image/svg+xml",
    body: include_str!("../../../templates/icon.svg"),
    name: LazyLock::new(|| ICON.make_name()),
};

impl Asset {
    /// `pages-0123456789abcdef.css`
    pub fn name(&self) -> &str {
        &self.name
    }

    fn make_name(&self) -> String {
        use std::fmt::Write as _;
        let mut name = format!("{}-", self.stem);
        for byte in Sha256::digest(self.body).iter().take(8) {
            // Writing to a string cannot fail.
            write!(name, "{byte:02x}").ok();
        }
        name + "." + self.extension
    }

    fn answer(&self, name: &str) -> Option<HttpResponse> {
        let hash = name.strip_prefix(self.stem)?.strip_prefix('-')?.strip_suffix(self.extension)?;
        let hash = hash.strip_suffix('.')?;
        let caching = match name == self.name() {
            true => "public, max-age=31536000, immutable",
            // A page of another version, made by another replica during an upgrade: better this than none.
            false if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => "no-store",
            false => return None,
        };
        let answer = HttpResponse::Ok()
            .insert_header((header::CONTENT_TYPE, HeaderValue::from_static(self.content_type)))
            .insert_header((header::CACHE_CONTROL, HeaderValue::from_static(caching)))
            .body(self.body);
        Some(answer)
    }
}

pub async fn get(
    request: HttpRequest,
    name: Path<String>,
    state: Data<WorkerState>,
    _: NoBody,
) -> HttpResponse {
    observe(&state.shared, &state.shared.endpoints.assets, async {
        transport::require_confidential(&request)?;
        [&STYLESHEET, &ICON, &DEMO]
            .into_iter()
            .find_map(|asset| asset.answer(&name))
            .ok_or(OAuthError::NotFound)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asset_is_kept_for_ever_under_its_own_name_and_never_under_another_versions() {
        let caching = |name: &str| {
            let answer = STYLESHEET.answer(name)?;
            Some(answer.headers().get(header::CACHE_CONTROL).unwrap().to_str().unwrap().to_owned())
        };
        assert_eq!(caching(STYLESHEET.name()).unwrap(), "public, max-age=31536000, immutable");
        assert_eq!(caching("pages-0000000000000000.css").unwrap(), "no-store");
        for name in ["pages.css", "pages-.css", "pages-0.css", "pages-000000000000000g.css", ICON.name(), ""]
        {
            assert_eq!(caching(name), None, "{name}");
        }
    }
}
