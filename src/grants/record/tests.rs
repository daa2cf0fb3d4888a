use proptest::prelude::*;

use super::bytes::put_varint;
use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(1_800_000_000 + seconds)
}

fn digest(byte: u8) -> TokenDigest {
    TokenDigest::from_bytes([byte; 16])
}

fn token(byte: u8) -> AccessToken {
    AccessToken { digest: digest(byte), issued_at: at(0), expires_at: at(900), attempt: 0, restriction: None }
}

/// A client's own grant.
fn record() -> GrantRecord {
    GrantRecord {
        born: ChangeNumber::new(300),
        expires_at: at(900),
        client: ClientId::parse("cl_3fG8sK20aQz").unwrap(),
        scope: Scope::parse("notes:read notes:write").unwrap(),
        audience: vec![ResourceServerId::parse("rs_9zK20aQ3fG8").unwrap()],
        access_tokens: vec![token(0xab)],
        user: None,
        address: None,
    }
}

/// A user's grant that has every part: two refreshes after its code was redeemed.
fn refreshed() -> GrantRecord {
    let half = Restriction { scope: Scope::parse("notes:read").unwrap(), audience: record().audience };
    let user = UserGrant {
        subject: UserId::parse("usr_7hT2k9QxT0b").unwrap(),
        session: Some(GrantId::from_bytes([0x5e; 12])),
        salt: [0x5a; 16],
        attempt: 3,
        code: Some(Code { digest: digest(0xc0), expires_at: at(60), state: CodeState::Consumed }),
        refresh: Some(RefreshChain {
            current: digest(0xc3),
            previous: Some(digest(0xc2)),
            number: 3,
            rotated_at: at(50),
            idle_lifetime: Duration::from_secs(1_209_600),
        }),
        given_at: None,
    };
    let narrowed = AccessToken { attempt: 3, restriction: Some(Box::new(half)), ..token(0xac) };
    let whole = AccessToken { attempt: 2, ..token(0xab) };
    GrantRecord {
        expires_at: at(2_592_000),
        access_tokens: vec![whole, narrowed],
        user: Some(user),
        ..record()
    }
}

/// The same grant before its code was redeemed.
fn pending() -> GrantRecord {
    let mut record = refreshed();
    record.access_tokens.clear();
    let user = record.user.as_mut().unwrap();
    user.refresh = None;
    user.attempt = 0;
    user.code.as_mut().unwrap().state = CodeState::Pending { redirect_uri: digest(0xdd) };
    record
}

/// The same grant right after it: no refresh token before the current one.
fn redeemed() -> GrantRecord {
    let mut record = refreshed();
    record.access_tokens.truncate(1);
    let user = record.user.as_mut().unwrap();
    user.session = None;
    user.refresh.as_mut().unwrap().previous = None;
    record
}

/// The first of these, from an address.
fn addressed() -> GrantRecord {
    GrantRecord { address: Some(IpAddr::from([192, 0, 2, 7])), ..record() }
}

/// A user's grant of which all is known.
fn traced() -> GrantRecord {
    let mut record = refreshed();
    record.address = Some("2001:db8::7".parse().unwrap());
    record.user.as_mut().unwrap().given_at = Some(at(-5));
    record
}

/// Written by version 1 of the format. Never change it: newer versions must read it.
const VERSION_1: &[u8] = b"\x01\xac\x02\x84\xab\xa7\xda\x06\x0ecl_3fG8sK20aQz\
    \x16notes:read notes:write\x01\x0ers_9zK20aQ3fG8\x01\
    \xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\
    \x80\xa4\xa7\xda\x06\x84\x07";

/// Written by version 2 of the format, of the grant above. Never change it either.
const VERSION_2: &[u8] = b"\x02\x1d\xac\x02\x80\xbe\xc5\xdb\x06\x0ecl_3fG8sK20aQz\
    \x16notes:read notes:write\x01\x0ers_9zK20aQ3fG8\x02\
    \xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\
    \x80\xa4\xa7\xda\x06\x84\x07\x02\x00\
    \xac\xac\xac\xac\xac\xac\xac\xac\xac\xac\xac\xac\xac\xac\xac\xac\
    \x80\xa4\xa7\xda\x06\x84\x07\x03\x01\x0anotes:read\x01\x0ers_9zK20aQ3fG8\
    \x0fusr_7hT2k9QxT0b\x5e\x5e\x5e\x5e\x5e\x5e\x5e\x5e\x5e\x5e\x5e\x5e\
    \x5a\x5a\x5a\x5a\x5a\x5a\x5a\x5a\x5a\x5a\x5a\x5a\x5a\x5a\x5a\x5a\x03\
    \xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xbc\xa4\xa7\xda\x06\
    \xc3\xc3\xc3\xc3\xc3\xc3\xc3\xc3\xc3\xc3\xc3\xc3\xc3\xc3\xc3\xc3\
    \xc2\xc2\xc2\xc2\xc2\xc2\xc2\xc2\xc2\xc2\xc2\xc2\xc2\xc2\xc2\xc2\x03\xb2\xa4\xa7\xda\x06\x80\xea\x49";

/// What versions 3 and 4 have at the end.
const ADDRESS_OF_VERSION_3: &[u8] = b"\x04\xc0\x00\x02\x07";
const END_OF_VERSION_4: &[u8] = b"\xfb\xa3\xa7\xda\x06\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07";

/// Written by version 3 of the format: what version 1 has, and an address.
fn version_3() -> Vec<u8> {
    [b"\x03", &VERSION_1[1..], ADDRESS_OF_VERSION_3].concat()
}

/// Written by version 4 of the format: what version 2 has, with two more flags, and what they stand for.
fn version_4() -> Vec<u8> {
    [b"\x04\xbd", &VERSION_2[2..], END_OF_VERSION_4].concat()
}

/// Where the flags of a version 2 record stand.
const FLAGS: usize = 1;

#[test]
fn version_1_is_read_for_ever() {
    assert_eq!(EncodedRecord::from_bytes(VERSION_1.to_vec()).decode(), Ok(record()));
    assert_eq!(record().encode().as_bytes(), VERSION_1);
}

#[test]
fn version_2_is_read_for_ever() {
    assert_eq!(EncodedRecord::from_bytes(VERSION_2.to_vec()).decode(), Ok(refreshed()));
    assert_eq!(
        refreshed().encode().as_bytes().escape_ascii().to_string(),
        VERSION_2.escape_ascii().to_string()
    );
}

#[test]
fn versions_3_and_4_are_read_for_ever() {
    for (bytes, record) in [(version_3(), addressed()), (version_4(), traced())] {
        assert_eq!(EncodedRecord::from_bytes(bytes.clone()).decode(), Ok(record.clone()));
        assert_eq!(record.encode().as_bytes().escape_ascii().to_string(), bytes.escape_ascii().to_string());
    }
}

#[test]
fn what_older_replicas_cannot_read_is_left_out_for_them() {
    assert_eq!(addressed().for_older_replicas().encode().as_bytes(), VERSION_1);
    assert_eq!(traced().for_older_replicas().encode().as_bytes(), VERSION_2);
}

#[test]
fn a_version_that_says_no_more_than_an_older_one_is_malformed() {
    let mut bytes = VERSION_2.to_vec();
    bytes[0] = 4;
    assert_eq!(EncodedRecord::from_bytes(bytes).decode(), Err(MalformedRecord::Malformed));
    for wrong in [&b""[..], b"\0", b"\x05\xc0\0\x02\x07\0"] {
        let bytes = [b"\x03", &VERSION_1[1..], wrong].concat();
        assert_eq!(EncodedRecord::from_bytes(bytes).decode(), Err(MalformedRecord::Malformed));
    }
}

#[test]
fn every_state_of_a_grant_survives_its_bytes() {
    let unaddressed = GrantRecord { address: None, ..traced() };
    for record in [record(), pending(), redeemed(), refreshed(), addressed(), traced(), unaddressed] {
        let encoded = record.encode();
        assert_eq!(encoded.decode(), Ok(record));
    }
}

#[test]
fn a_newer_version_is_a_failure_of_its_own() {
    let mut bytes = VERSION_2.to_vec();
    bytes[0] = 5;
    let error = EncodedRecord::from_bytes(bytes).decode().unwrap_err();
    assert_eq!(error, MalformedRecord::UnknownVersion(5));
}

#[test]
fn flags_that_are_unknown_or_contradict_each_other_are_malformed() {
    let with_flags = |flags| {
        let mut bytes = VERSION_2.to_vec();
        bytes[FLAGS] = flags;
        EncodedRecord::from_bytes(bytes).decode()
    };
    assert_eq!(with_flags(VERSION_2[FLAGS]), Ok(refreshed()));
    for wrong in [VERSION_2[FLAGS] | 0x20, VERSION_2[FLAGS] | 0x80, VERSION_2[FLAGS] | 0b10, 0b1_0101] {
        assert_eq!(with_flags(wrong), Err(MalformedRecord::Malformed), "{wrong:#b}");
    }
}

#[test]
fn a_restricted_token_allows_its_part_and_every_other_one_the_whole_grant() {
    let mut record = refreshed();
    let other = ResourceServerId::parse("rs_other").unwrap();
    record.audience.push(other.clone());
    let (whole, narrowed) = (&record.access_tokens[0], &record.access_tokens[1]);
    assert_eq!(record.scope_of(whole), &record.scope);
    assert!(record.audience_of(whole).contains(&other));
    assert_eq!(record.scope_of(narrowed).as_str(), "notes:read");
    assert!(!record.audience_of(narrowed).contains(&other));
}

#[test]
fn every_truncation_and_extension_is_malformed() {
    for whole in [VERSION_1, VERSION_2, &version_3(), &version_4()] {
        for length in 0..whole.len() {
            assert!(EncodedRecord::from_bytes(whole[..length].to_vec()).decode().is_err());
        }
        let extended = [whole, b"\0"].concat();
        assert!(EncodedRecord::from_bytes(extended).decode().is_err());
    }
}

#[test]
fn a_forged_count_neither_panics_nor_allocates() {
    let huge = [&VERSION_1[..46], b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"].concat();
    assert!(EncodedRecord::from_bytes(huge).decode().is_err());
}

fn any_digest() -> impl Strategy<Value = TokenDigest> {
    any::<[u8; 16]>().prop_map(TokenDigest::from_bytes)
}

fn any_time() -> impl Strategy<Value = Timestamp> {
    (0..i64::from(u32::MAX)).prop_map(Timestamp::from_unix_seconds)
}

fn any_scope() -> impl Strategy<Value = Scope> {
    prop::collection::vec("[a-z:]{1,12}", 0..5).prop_map(|words| words.into_iter().collect())
}

fn any_audience() -> impl Strategy<Value = Vec<ResourceServerId>> {
    prop::collection::vec("rs_[A-Za-z0-9]{1,11}", 0..3)
        .prop_map(|ids| ids.iter().map(|id| ResourceServerId::parse(id).unwrap()).collect())
}

prop_compose! {
    fn any_access_token(of_user: bool)(
        digest in any_digest(),
        issued_at in any_time(),
        lifetime in 0u64..1_000_000,
        attempt: u32,
        restriction in prop::option::of((any_scope(), any_audience())),
    ) -> AccessToken {
        let restriction = restriction.map(|(scope, audience)| Box::new(Restriction { scope, audience }));
        AccessToken {
            digest,
            issued_at,
            expires_at: issued_at + Duration::from_secs(lifetime),
            attempt: if of_user { attempt } else { 0 },
            restriction: restriction.filter(|_| of_user),
        }
    }
}

fn any_code() -> impl Strategy<Value = Code> {
    (any_digest(), any_time(), prop::option::of(any_digest())).prop_map(
        |(digest, expires_at, redirect_uri)| {
            let state = match redirect_uri {
                Some(redirect_uri) => CodeState::Pending { redirect_uri },
                None => CodeState::Consumed,
            };
            Code { digest, expires_at, state }
        },
    )
}

fn any_chain() -> impl Strategy<Value = RefreshChain> {
    let parts = (any_digest(), prop::option::of(any_digest()), any::<u32>(), any_time(), any::<u32>());
    parts.prop_map(|(current, previous, number, rotated_at, idle)| RefreshChain {
        current,
        previous,
        number,
        rotated_at,
        idle_lifetime: Duration::from_secs(idle.into()),
    })
}

prop_compose! {
    fn any_user()(
        id in "usr_[A-Za-z0-9]{1,11}",
        session in prop::option::of(any::<[u8; 12]>()),
        salt: [u8; 16],
        attempt: u32,
        code in prop::option::of(any_code()),
        refresh in prop::option::of(any_chain()),
        given_at in prop::option::of(any_time()),
    ) -> UserGrant {
        let session = session.map(GrantId::from_bytes);
        UserGrant { subject: UserId::parse(&id).unwrap(), session, salt, attempt, code, refresh, given_at }
    }
}

prop_compose! {
    fn any_record(of_user: bool)(
        born: u64,
        expires_at in any_time(),
        client in "[A-Za-z0-9]{1,20}",
        scope in any_scope(),
        audience in any_audience(),
        access_tokens in prop::collection::vec(any_access_token(of_user), 0..9),
        user in any_user(),
        address: Option<IpAddr>,
    ) -> GrantRecord {
        GrantRecord {
            born: ChangeNumber::new(born),
            expires_at,
            client: ClientId::parse(&client).unwrap(),
            scope,
            audience,
            access_tokens,
            user: Some(user).filter(|_| of_user),
            address,
        }
    }
}

proptest! {
    #[test]
    fn every_record_survives_its_bytes(record in any::<bool>().prop_flat_map(any_record)) {
        let encoded = record.encode();
        let says_more = record.address.is_some() || record.user.iter().any(|user| user.given_at.is_some());
        let version = match (&record.user, says_more) {
            (None, false) => 1,
            (Some(_), false) => 2,
            (None, true) => 3,
            (Some(_), true) => 4,
        };
        prop_assert_eq!(encoded.as_bytes().first(), Some(&version));
        prop_assert_eq!(encoded.decode(), Ok(record));
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(mut bytes: Vec<u8>, version in 1u8..=4) {
        if let Some(first) = bytes.first_mut() {
            *first = version;
        }
        if let Ok(record) = EncodedRecord::from_bytes(bytes.clone()).decode() {
            let again = record.encode().decode();
            prop_assert_eq!(again, Ok(record));
        }
    }

    #[test]
    fn a_changed_byte_never_panics(at in 0..VERSION_2.len(), byte: u8) {
        for mut bytes in [VERSION_1.to_vec(), VERSION_2.to_vec(), version_3(), version_4()] {
            if let Some(changed) = bytes.get_mut(at) {
                *changed = byte;
            }
            let _ = EncodedRecord::from_bytes(bytes).decode();
        }
    }

    #[test]
    fn varints_survive(value: u64) {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, value);
        prop_assert_eq!(Reader(&bytes).varint(), Some(value));
    }
}
