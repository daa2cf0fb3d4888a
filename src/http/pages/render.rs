//! The one renderer of pages and of redirects between them, with the headers that all of them have.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use askama::Template;

use super::assets::{DEMO, FOLDER, ICON, STYLESHEET};
use super::error::PageError;
use crate::domain::origin::Origin;
use crate::domain::redirect_uri::RedirectUri;
use crate::http::metadata::path_of;
use crate::oauth::authorize::AuthorizationRequest;

const REFERRER_POLICY: HeaderName = HeaderName::from_static("referrer-policy");

/// What every page is drawn with.
#[derive(Clone, Copy, Debug)]
pub struct Site<'s> {
    issuer: &'s str,
}

impl<'s> Site<'s> {
    pub const fn new(issuer: &'s str) -> Self {
        Self { issuer }
    }

    /// What every address here begins with: nothing, or the path of the issuer.
    pub fn base(&self) -> &'s str {
        path_of(self.issuer)
    }

    /// Whose pages these are, in the words that stand in the browser's address bar.
    pub fn host(&self) -> &'s str {
        let host = self.issuer.split_once("://").map_or(self.issuer, |(_, host)| host);
        host.split('/').next().unwrap_or_default()
    }

    pub fn stylesheet(&self) -> String {
        format!("{}{FOLDER}{}", self.base(), STYLESHEET.name())
    }

    pub fn script(&self) -> String {
        format!("{}{FOLDER}{}", self.base(), DEMO.name())
    }

    pub fn icon(&self) -> String {
        format!("{}{FOLDER}{}", self.base(), ICON.name())
    }
}

/// Where the forms of a page may lead, by way of redirects too (`form-action`).
#[derive(Clone, Debug, Default)]
pub enum FormsLead {
    /// The page has none.
    #[default]
    Nowhere,
    Here,
    /// To the application as well: Chromium holds redirects after a form against it.
    Back(Vec<String>),
}

impl FormsLead {
    /// Back to where a request came from, and on to whatever else its application is registered for: the answer may
    /// arrive at one of its hosts and lead to another.
    pub fn back(request: &AuthorizationRequest) -> Self {
        let client = &request.client;
        let uris =
            std::iter::once(&request.redirect_uri).chain(&client.redirect_uris).map(RedirectUri::as_str);
        let origins = client.origins.iter().map(Origin::as_str);
        let mut sources: Vec<String> = uris.chain(origins).map(form_source).collect();
        sources.sort_unstable();
        sources.dedup();
        Self::Back(sources)
    }

    fn policy(&self) -> String {
        let lead = match self {
            Self::Nowhere => "'none'".to_owned(),
            Self::Here => "'self'".to_owned(),
            Self::Back(sources) => format!("'self' {}", sources.join(" ")),
        };
        format!(
            "default-src 'none'; style-src 'self'; img-src 'self'; form-action {lead}; frame-ancestors 'none'; \
             base-uri 'none'"
        )
    }
}

/// A URI's origin as a source of a policy, or its scheme where the grammar has no word for the origin: that is so for
/// an IPv6 address and for the scheme of an application (CSP Level 3 §2.3.1).
fn form_source(uri: &str) -> String {
    let (scheme, rest) = uri.split_once(':').unwrap_or((uri, ""));
    let authority = rest.strip_prefix("//").map(|rest| rest.split(['/', '?']).next().unwrap_or_default());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:".contains(&byte);
    match authority.filter(|authority| !authority.is_empty() && authority.bytes().all(plain)) {
        Some(authority) => format!("{scheme}://{authority}"),
        None => format!("{scheme}:"),
    }
}

/// A page.
///
/// # Errors
/// When it cannot be written, which no test has ever seen.
pub fn page(
    status: StatusCode,
    template: &impl Template,
    forms: &FormsLead,
) -> Result<HttpResponse, PageError> {
    let body = template.render().map_err(PageError::unrenderable)?;
    let mut response = HttpResponse::build(status).content_type("text/html; charset=utf-8").body(body);
    put_headers(&mut response, &forms.policy())?;
    Ok(response)
}

/// A page that is an application with a script of its own, and calls nobody but us.
///
/// # Errors
/// The same as for [`page`].
pub fn application(template: &impl Template) -> Result<HttpResponse, PageError> {
    const POLICY: &str = "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'; \
                          form-action 'none'; frame-ancestors 'none'; base-uri 'none'";
    let mut response = page(StatusCode::OK, template, &FormsLead::Nowhere)?;
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    Ok(response)
}

/// A redirect that is followed by GET (RFC 9700 §4.12).
///
/// # Errors
/// When the address cannot stand in a header: those that we make can.
pub fn redirect(location: &str) -> Result<HttpResponse, PageError> {
    let location = HeaderValue::from_str(location).map_err(PageError::unrenderable)?;
    let mut response = HttpResponse::SeeOther().insert_header((header::LOCATION, location)).finish();
    put_headers(&mut response, &FormsLead::Nowhere.policy())?;
    Ok(response)
}

/// `Cross-Origin-Opener-Policy` is not among them: an application that opened the login in a window of its own is told
/// there that it is done, and would lose hold of it.
fn put_headers(response: &mut HttpResponse, policy: &str) -> Result<(), PageError> {
    let policy = HeaderValue::from_str(policy).map_err(PageError::unrenderable)?;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x14_a_form_leads_to_the_origin_of_the_application_and_to_nothing_that_its_address_smuggles_in() {
        for (uri, source) in [
            ("https://app.example/cb?x=1", "https://app.example"),
            ("https://app.example:8443", "https://app.example:8443"),
            ("http://127.0.0.1:4711/cb", "http://127.0.0.1:4711"),
            ("http://[::1]:4711/cb", "http:"),
            ("com.example.app:/cb", "com.example.app:"),
            ("com.example.app:///cb", "com.example.app:"),
            ("https://a;script-src/cb", "https:"),
            ("https://*.example/cb", "https:"),
            ("https://a,b/cb", "https:"),
        ] {
            assert_eq!(form_source(uri), source, "{uri}");
        }
    }

    #[test]
    fn the_path_of_the_issuer_stands_before_every_address() {
        let site = Site::new("https://auth.example/tenants/1/");
        assert_eq!((site.base(), site.host()), ("/tenants/1", "auth.example"));
        assert!(site.stylesheet().starts_with("/tenants/1/assets/pages-"), "{}", site.stylesheet());
        assert_eq!(Site::new("http://127.0.0.1:8080").base(), "");
        assert_eq!(Site::new("http://127.0.0.1:8080").host(), "127.0.0.1:8080");
    }
}
