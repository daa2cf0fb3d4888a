//! From where a request came: what people see beside their login sessions, and what failures to log in are counted by.

use std::net::{IpAddr, SocketAddr};

use actix_web::HttpRequest;
use actix_web::http::header::HeaderValue;
use actix_web::web::Data;
use ipnet::IpNet;

use super::WorkerState;

/// What load balancers append the address of their peer to.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The address of the client. A proxy's word for it is taken only from `SYMBOLON_TRUSTED_PROXIES`: anybody can write
/// a header.
pub fn of_client(request: &HttpRequest) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip();
    let proxies = request.app_data::<Data<WorkerState>>().map(|state| &state.shared.trusted_proxies);
    let headers = request.headers().get_all(FORWARDED_FOR).map(HeaderValue::as_bytes);
    Some(client(peer, headers.collect::<Vec<_>>().into_iter(), proxies.map_or(&[], Vec::as_slice)))
}

/// Each trusted proxy says who its own peer was: the first who is none is the client. Whatever stands before was
/// written by the client.
fn client<'h>(
    peer: IpAddr,
    headers: impl DoubleEndedIterator<Item = &'h [u8]>,
    trusted_proxies: &[IpNet],
) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted_proxies.iter().any(|network| network.contains(address));
    let mut client = peer.to_canonical();
    // As bytes: what the client wrote into a line must not spoil what a proxy appended to it.
    for said in headers.rev().flat_map(|line| line.rsplit(|byte| *byte == b',')) {
        if !is_trusted(&client) {
            break;
        }
        let Some(next) = std::str::from_utf8(said).ok().and_then(|said| read(said.trim())) else { break };
        client = next;
    }
    client
}

/// Some proxies write the port as well.
fn read(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse().map(|both: SocketAddr| both.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x30_the_forwarded_address_is_believed_from_trusted_proxies_only() {
        let proxies = ["10.0.0.0/8".parse().unwrap(), "2001:db8:f::/48".parse().unwrap()];
        for (peer, lines, expected) in [
            ("198.51.100.1", &["192.0.2.1"][..], "198.51.100.1"),
            // This machine is no proxy unless it is named as one.
            ("127.0.0.1", &["192.0.2.1"], "127.0.0.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["192.0.2.1"], "192.0.2.1"),
            ("::ffff:10.0.0.1", &["192.0.2.1"], "192.0.2.1"),
            // The client wrote the first: in the same line, or in one of its own.
            ("10.0.0.1", &["203.0.113.9, 192.0.2.1"], "192.0.2.1"),
            ("10.0.0.1", &["203.0.113.9", "192.0.2.1"], "192.0.2.1"),
            ("10.0.0.1", &["10.9.9.9, 192.0.2.1"], "192.0.2.1"),
            ("10.0.0.1", &["\u{e9}, 192.0.2.1"], "192.0.2.1"),
            // A chain of proxies.
            ("10.0.0.1", &["192.0.2.1, 10.0.0.2"], "192.0.2.1"),
            ("10.0.0.1", &["192.0.2.1", "2001:db8:f::2,10.0.0.2"], "192.0.2.1"),
            ("10.0.0.1", &["10.0.0.3"], "10.0.0.3"),
            // What is no address is nobody's.
            ("10.0.0.1", &["192.0.2.1, unknown"], "10.0.0.1"),
            ("10.0.0.1", &[""], "10.0.0.1"),
            ("10.0.0.1", &["192.0.2.1:4711"], "192.0.2.1"),
            ("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            ("10.0.0.1", &["::ffff:192.0.2.1"], "192.0.2.1"),
        ] {
            let headers = lines.iter().map(|line| line.as_bytes());
            let found = client(peer.parse().unwrap(), headers, &proxies);
            assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{peer} {lines:?}");
        }
    }
}
