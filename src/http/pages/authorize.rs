//! `/authorize` (RFC 6749 §3.1): where applications send people, and from where they are sent on.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::super::body::NoBody;
use super::super::observe::observe_page;
use super::super::{WorkerState, transport};
pub use super::carried::KNOWN;
use super::carried::{Carried, PROOF};
use super::error::PageError;
use super::render::{self, Site};
use super::{approve, to_login, to_new_password, visitor};
use crate::domain::scope::Scope;
use crate::oauth::authorize::Step;

/// What is wrong with a request without parameters.
const NOBODY_ASKS: PageError = PageError::Application(
    "This address is where applications send people, with a request. There is none in it.",
);

pub async fn get(request: HttpRequest, state: Data<WorkerState>, _: NoBody) -> HttpResponse {
    observe_page(&state, &state.shared.endpoints.authorize, async {
        transport::require_confidential(&request)?;
        let carried = Carried::of_query(&request)?;
        let asked = carried.read(&state.server)?.ok_or(NOBODY_ASKS)?;
        let visitor = visitor(&state, &request).await?;
        let allowed = match &visitor {
            Some(visitor) if asked.may_be_remembered() => {
                state.identity.consented_scope(visitor, &asked.client.id).await?
            }
            _ => Scope::default(),
        };
        let proof = Carried::proof_of_query(&request);
        let present =
            visitor.as_ref().map(|visitor| carried.presence(&state.forms, visitor, proof.as_deref()));
        let base = Site::new(&state.server.settings().issuer).base();
        match (asked.step(present, &allowed, state.shared.clock.now()), visitor) {
            (Step::Approve, Some(visitor)) => approve(&state, &carried, &asked, visitor).await,
            (Step::Refuse(error), _) => Err(PageError::Back(state.server.refuse(&asked, error))),
            (Step::LogIn | Step::Approve, _) => to_login(&state, &carried, &asked),
            (Step::ChangePassword, _) => to_new_password(&state, &carried),
            (Step::Consent, _) => {
                let proof = proof.map(|proof| format!("&{PROOF}={proof}")).unwrap_or_default();
                render::redirect(&format!("{base}/consent?{}{proof}", carried.query()))
            }
        }
    })
    .await
}
