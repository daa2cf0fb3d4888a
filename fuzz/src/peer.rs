//! Whose plain http is read: decided by the address it comes from, and by nothing that it says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use symbolon::config::{Config, Flags, Sources};
use symbolon::http::transport;

use super::request::Input;

/// 17 bytes of an address, a line of trusted proxies, and a request.
pub fn check(data: &[u8]) {
    let Some((address, rest)) = data.split_first_chunk::<17>() else { return };
    let Some(peer) = read_address(address) else { return };
    let line = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let (proxies, request) = rest.split_at(line);
    let is_loopback = match peer.to_canonical() {
        IpAddr::V4(ip) => ip.octets()[0] == 127,
        IpAddr::V6(ip) => ip == Ipv6Addr::LOCALHOST,
    };
    if let Some(input) = Input::read(request.get(1..).unwrap_or_default()) {
        // No proxy is trusted here, so no header may make a difference.
        let (request, _) = input.arrives_from(SocketAddr::from((peer, 50_000)));
        assert_eq!(transport::require_confidential(&request).is_ok(), is_loopback, "{peer}");
    }
    let Ok(proxies) = std::str::from_utf8(proxies) else { return };
    let flags = Flags::from([("trusted_proxies", proxies.to_owned())]);
    let sources = Sources::of_texts(flags, [].into(), None).expect("it is a setting");
    let Ok(config) = Config::load(&sources) else { return };
    let trusted =
        proxies.split(',').map(str::trim).filter(|part| !part.is_empty()).any(|part| covers(part, peer));
    let confidential = transport::is_confidential(peer, &config.trusted_proxies);
    assert_eq!(confidential, is_loopback || trusted, "{peer} with {proxies:?}");
}

fn read_address(bytes: &[u8; 17]) -> Option<IpAddr> {
    let (kind, rest) = bytes.split_first()?;
    match kind % 3 {
        0 => rest.first_chunk::<4>().map(|octets| IpAddr::V4(Ipv4Addr::from(*octets))),
        1 => rest.first_chunk::<16>().map(|octets| IpAddr::V6(Ipv6Addr::from(*octets))),
        // As a dual-stack listener shows an IPv4 peer.
        _ => rest.first_chunk::<4>().map(|octets| IpAddr::V6(Ipv4Addr::from(*octets).to_ipv6_mapped())),
    }
}

/// Whether an address or a network, as text, covers a peer: bit by bit.
fn covers(part: &str, peer: IpAddr) -> bool {
    let (network, length) =
        part.split_once('/').map_or((part, None), |(network, length)| (network, Some(length)));
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => (u128::from(u32::from(ip)) << 96, 32),
        IpAddr::V6(ip) => (u128::from(ip), 128),
    };
    let peer = peer.to_canonical();
    let network: IpAddr = network.parse().expect("only addresses are accepted");
    let ((theirs, width), (ours, peer_width)) = (bits(network), bits(peer));
    let length = length.map_or(width, |length| length.parse().expect("only lengths are accepted"));
    assert!(length <= width, "a network of {length} bits was accepted");
    width == peer_width && (length == 0 || theirs >> (128 - length) == ours >> (128 - length))
}
