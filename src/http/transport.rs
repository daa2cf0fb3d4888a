//! Secrets travel in confidence: over TLS, on this machine, or from a proxy that is trusted to have
//! taken TLS off.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::web::Data;
use ipnet::IpNet;

use super::WorkerState;
use crate::oauth::OAuthError;

/// # Errors
/// When the request came in plain from an address that is neither loopback nor a trusted proxy.
/// No forwarding header is looked at: anybody can write those.
pub fn require_confidential(request: &HttpRequest) -> Result<(), OAuthError> {
    if request.app_config().secure() {
        return Ok(());
    }
    let proxies = request.app_data::<Data<WorkerState>>().map(|state| &state.shared.trusted_proxies);
    let confidential = request
        .peer_addr()
        .is_some_and(|peer| is_confidential(peer.ip(), proxies.map_or(&[], Vec::as_slice)));
    if confidential { Ok(()) } else { Err(OAuthError::InsecureTransport) }
}

/// Whether what comes in plain from this address is in confidence.
pub fn is_confidential(peer: IpAddr, trusted_proxies: &[IpNet]) -> bool {
    // An IPv4 peer of a dual-stack listener appears as ::ffff:a.b.c.d.
    let peer = peer.to_canonical();
    peer.is_loopback() || trusted_proxies.iter().any(|network| network.contains(&peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g2_plain_http_is_for_loopback_and_trusted_proxies() {
        let proxies = ["10.0.0.0/8".parse().unwrap()];
        for (peer, confidential) in [
            ("127.0.0.1", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("11.1.2.3", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_confidential(peer.parse().unwrap(), &proxies), confidential, "{peer}");
        }
    }
}
