//! An authorization request on its way through the pages.
//!
//! It travels as it came, by address and in forms, and is read anew and whole wherever it arrives. There is no other
//! place to go on to after a login, so nobody can be led elsewhere by one.

use actix_web::HttpRequest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::super::bounds;
use super::super::form::{self, Form, Known, Occurs};
use super::error::PageError;
use super::forms::{Forms, Purpose};
use crate::domain::identifier::GrantId;
use crate::identity::Visitor;
use crate::oauth::authorize::{AuthorizationParameters, AuthorizationRequest, Presence, Refusal};
use crate::oauth::{AuthorizationServer, OAuthError};

/// The parameters of an authorization request.
pub const KNOWN: Known = &[
    ("client_id", Occurs::Once),
    ("redirect_uri", Occurs::Once),
    ("response_type", Occurs::Once),
    ("scope", Occurs::Once),
    ("state", Occurs::Once),
    ("code_challenge", Occurs::Once),
    ("code_challenge_method", Occurs::Once),
    ("resource", Occurs::Repeatedly),
    ("prompt", Occurs::Once),
    ("max_age", Occurs::Once),
    ("login_hint", Occurs::Once),
];

/// What has to be readable for the client to be told what is not.
const ANSWERABLE: [Known; 2] = [
    &[("client_id", Occurs::Once), ("redirect_uri", Occurs::Once), ("state", Occurs::Once)],
    &[("client_id", Occurs::Once), ("redirect_uri", Occurs::Once)],
];

/// The field of a form that carries it.
pub const FIELD: &str = "request";
/// That the login was made for this request; beside it in the address and in forms.
pub const PROOF: &str = "login_proof";

/// The longest one: as much as fits into an address with a proof beside it.
const LONGEST: usize = bounds::MAX_URI_LENGTH - 128;

/// The parameters as they came, and as they are understood.
#[derive(Debug)]
pub struct Carried {
    raw: String,
    form: Form,
    malformed: Option<&'static str>,
}

impl Carried {
    /// Out of an address.
    ///
    /// # Errors
    /// When it cannot even be said whose request it is.
    pub fn of_query(request: &HttpRequest) -> Result<Self, PageError> {
        Self::parse(request.query_string())
    }

    /// Out of a form: what [`Carried::field`] put there.
    ///
    /// # Errors
    /// The same, or when something else stands there.
    pub fn of_field(form: &Form) -> Result<Self, PageError> {
        const MALFORMED: PageError = PageError::Refused(OAuthError::InvalidRequest("the form was altered"));
        let bytes = URL_SAFE_NO_PAD.decode(form.text(FIELD).unwrap_or_default()).map_err(|_| MALFORMED)?;
        // As it stood in an address.
        let text =
            String::from_utf8(bytes).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()));
        Self::parse(&text.ok_or(MALFORMED)?)
    }

    fn parse(query: &str) -> Result<Self, PageError> {
        let is_known = |pair: &&str| {
            let name = form::decode(pair.split('=').next().unwrap_or_default().as_bytes());
            name.is_some_and(|name| KNOWN.iter().any(|(known, _)| known.as_bytes() == name.as_ref()))
        };
        let raw = query.split('&').filter(is_known).collect::<Vec<_>>().join("&");
        if raw.len() > LONGEST {
            return Err(PageError::Refused(OAuthError::UriTooLong));
        }
        let error = match Form::parse(raw.as_bytes(), KNOWN) {
            Ok(form) => return Ok(Self { raw, form, malformed: None }),
            Err(error) => error,
        };
        let malformed = error.description();
        let form = ANSWERABLE.iter().find_map(|known| Form::parse(raw.as_bytes(), known).ok());
        let form = form.ok_or(PageError::Application(malformed))?;
        Ok(Self { raw, form, malformed: Some(malformed) })
    }

    /// Whether somebody came on their own account.
    pub fn is_none(&self) -> bool {
        self.raw.is_empty()
    }

    /// As it stands in an address.
    pub fn query(&self) -> &str {
        &self.raw
    }

    /// What is asked; `None` when somebody came on their own account.
    ///
    /// # Errors
    /// Why it is refused, and who is told.
    pub fn read(&self, server: &AuthorizationServer) -> Result<Option<AuthorizationRequest>, PageError> {
        if self.is_none() {
            return Ok(None);
        }
        server.authorize(&self.parameters()).map(Some).map_err(|refusal| match refusal {
            Refusal::Page(what) => PageError::Application(what),
            Refusal::Redirect(location) => PageError::Back(location),
            Refusal::Unavailable(error) => error.into(),
        })
    }

    /// That the login of this session was made for this request.
    pub fn proof(&self, forms: &Forms, session: GrantId) -> String {
        forms.seal(Purpose::LoggedIn, &[session.as_bytes(), self.raw.as_bytes()])
    }

    /// What stands in an address as such a proof, if it could be one.
    pub fn proof_of_query(request: &HttpRequest) -> Option<String> {
        let form = Form::parse(request.query_string().as_bytes(), &[(PROOF, Occurs::Once)]).ok()?;
        let proof = form.text(PROOF).filter(|proof| URL_SAFE_NO_PAD.decode(proof).is_ok());
        proof.map(str::to_owned)
    }

    /// Somebody who is logged in, as this request sees them.
    pub fn presence(&self, forms: &Forms, visitor: &Visitor, proof: Option<&str>) -> Presence {
        let facts: [&[u8]; 2] = [visitor.session.id.as_bytes(), self.raw.as_bytes()];
        let is_proven = |proof| forms.is_sealed(Purpose::LoggedIn, &facts, proof);
        Presence {
            authenticated_at: visitor.session.record.created_at,
            for_this_request: proof.is_some_and(is_proven),
            must_change_password: visitor.user.must_change_password,
        }
    }

    /// For a form. In base64: form-encoded once more, the longest one would not fit into a body.
    pub fn field(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.raw)
    }

    pub fn parameters(&self) -> AuthorizationParameters<'_> {
        let text = |name| self.form.text(name);
        AuthorizationParameters {
            malformed: self.malformed,
            client_id: text("client_id"),
            redirect_uri: text("redirect_uri"),
            response_type: text("response_type"),
            scope: text("scope"),
            state: text("state"),
            code_challenge: text("code_challenge"),
            code_challenge_method: text("code_challenge_method"),
            resources: self.form.texts("resource").collect(),
            prompt: text("prompt"),
            max_age: text("max_age"),
            login_hint: text("login_hint"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::body;
    use super::*;

    #[test]
    fn a_request_travels_as_it_came_without_what_is_not_its_own() {
        let carried =
            Carried::parse("x=1&client_id=a%20b&login_proof=y&st%61te=%2b&resource=r&resource=s&=z").unwrap();
        assert_eq!(carried.query(), "client_id=a%20b&st%61te=%2b&resource=r&resource=s");
        let parameters = carried.parameters();
        assert_eq!((parameters.client_id, parameters.state), (Some("a b"), Some("+")));
        assert_eq!(parameters.resources, ["r", "s"]);
        assert!(Carried::parse("x=1").unwrap().is_none());
    }

    #[test]
    fn x15_what_a_form_carries_can_be_nothing_else() {
        let of = |text: &str| {
            let body = format!("request={text}");
            Carried::of_field(&Form::parse(body.as_bytes(), &[(FIELD, Occurs::Once)]).unwrap())
        };
        let carried = Carried::parse("client_id=c&state=%F0%9D%84%9E&scope=a+b").unwrap();
        assert_eq!(of(&carried.field()).unwrap().query(), carried.query());
        assert!(of("").unwrap().is_none());
        for text in ["state=a\r\nSet-Cookie: x=y", "state=a b", "state=\u{e9}", "state=\0"] {
            of(&URL_SAFE_NO_PAD.encode(text)).unwrap_err();
        }
        of("!").unwrap_err();
        for elsewhere in ["//evil.example", "https://evil.example/?state", "/%09/evil.example"] {
            let carried = of(&URL_SAFE_NO_PAD.encode(elsewhere)).unwrap();
            assert!(carried.is_none(), "{}", carried.query());
        }
    }

    #[test]
    fn the_longest_request_fits_wherever_it_is_carried() {
        let longest = format!("state={}", "x".repeat(LONGEST - "state=".len()));
        let carried = Carried::parse(&longest).unwrap();
        let proof = URL_SAFE_NO_PAD.encode([0; 32]);
        assert!(format!("/account/password?{longest}&{PROOF}={proof}").len() <= bounds::MAX_URI_LENGTH);
        // With the longest password, form-encoded.
        assert!(carried.field().len() + 3 * 1024 + 1024 < body::LIMIT);
        assert_eq!(Carried::parse(&format!("{longest}x")).unwrap_err(), OAuthError::UriTooLong.into());
    }

    #[test]
    fn a2_a_parameter_twice_is_told_to_the_client_unless_it_says_who_that_is() {
        let parse = |text: &str| Carried::parse(text).map(|carried| carried.malformed.is_some());
        assert_eq!(parse("client_id=a&redirect_uri=b&scope=c&scope=c"), Ok(true));
        assert_eq!(parse("client_id=a&redirect_uri=b&state=%ff"), Ok(true));
        assert_eq!(parse("client_id=a&redirect_uri=b&state=c&foo=%ff&foo=1"), Ok(false));
        for query in ["client_id=a&client_id=a&redirect_uri=b", "client_id=a&redirect_uri=b&redirect_uri=b"] {
            assert!(matches!(parse(query), Err(PageError::Application(_))), "{query}");
        }
    }

    proptest! {
        #[test]
        fn no_query_makes_it_panic_and_what_is_read_reads_the_same_again(query in "[ -~]{0,64}|([a-z_]{0,12}=[ -~]{0,8}&){0,6}|\\PC{0,32}") {
            if let Ok(carried) = Carried::parse(&query) {
                let again = Carried::parse(carried.query()).unwrap();
                prop_assert_eq!(again.query(), carried.query());
                prop_assert_eq!(again.malformed, carried.malformed);
            }
        }
    }
}
