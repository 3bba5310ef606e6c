//! What a header and a seal must refuse.

use proptest::prelude::*;

use super::*;

/// Milliseconds instead of half a second. A header that asks for so little is refused outside.
const CHEAP: Cost = Cost { m_kib: 64, t: 1, p: 1 };

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn header() -> (Header, DataKey) {
    let seed = HeaderSeed { data_key: [7; 32], salt: [1; 16], nonce: [2; 24] };
    Header::create(&secret("correct horse"), CHEAP, seed).unwrap()
}

fn reopened(json: &[u8], passphrase: &str) -> Result<DataKey, OpenError> {
    Header::from_json(json)?.open_costing(&secret(passphrase), CHEAP)
}

fn opening_error(json: &[u8]) -> OpenError {
    reopened(json, "correct horse").unwrap_err()
}

#[test]
fn the_header_gives_the_data_key_back_to_the_passphrase_alone() {
    let (header, data_key) = header();
    let json = header.to_json();
    assert_eq!(reopened(&json, "correct horse").unwrap().expose(), data_key.expose());
    assert_eq!(reopened(&json, "correct hors").unwrap_err(), OpenError::WrongPassphrase);
    assert_eq!(reopened(&json, "").unwrap_err(), OpenError::WrongPassphrase);
}

#[test]
fn the_usual_cost_is_accepted_and_a_cheap_one_is_not() {
    assert!(Cost::USUAL.within(Cost::LEAST) && Cost::USUAL.within(Cost::LEAST_OF_INIT));
    assert!(!Cost::OF_TESTS.within(Cost::LEAST_OF_INIT));
    let (header, _) = header();
    let error = header.open(&secret("correct horse")).unwrap_err();
    assert!(matches!(error, OpenError::Damaged(_)), "{error}");
}

#[test]
fn a_hostile_cost_is_refused_before_it_is_paid() {
    for cost in [
        Cost { m_kib: u32::MAX, t: 1, p: 1 },
        Cost { m_kib: 256 * 1024, t: u32::MAX, p: 1 },
        Cost { m_kib: 256 * 1024, t: 3, p: u32::MAX },
        Cost { m_kib: 2 * 1024 * 1024, t: 32, p: 1 },
        Cost { m_kib: 0, t: 0, p: 0 },
    ] {
        let (mut header, _) = header();
        header.argon2id = cost;
        header.check = Base64(header.checksum());
        let error = opening_error(&header.to_json());
        assert_eq!(error, OpenError::Damaged("its argon2id cost is not one that sgw writes"));
    }
}

#[test]
fn another_version_is_named() {
    assert_eq!(opening_error(br#"{"version":2,"new":true}"#), OpenError::UnknownVersion(2));
    assert!(matches!(opening_error(b"{}"), OpenError::Damaged(_)));
    assert!(matches!(opening_error(b""), OpenError::Damaged(_)));
}

#[test]
fn a_forged_checksum_does_not_help() {
    let (mut header, _) = header();
    header.argon2id.t = 2;
    header.check = Base64(header.checksum());
    assert_eq!(opening_error(&header.to_json()), OpenError::WrongPassphrase);
}

#[test]
fn purposes_have_keys_of_their_own() {
    let key = DataKey::new([7; 32]);
    assert_eq!(key.derive("state").expose(), key.derive("state").expose());
    assert_ne!(key.derive("state").expose(), key.derive("audit-chain").expose());
    assert_ne!(key.derive("state").expose(), key.expose());
    assert_ne!(DataKey::new([8; 32]).derive("state").expose(), key.derive("state").expose());
}

#[test]
fn keys_do_not_show() {
    assert_eq!(format!("{:?}", DataKey::new([7; 32])), "DataKey(***)");
}

#[test]
fn a_file_of_another_kind_or_version_is_told_apart() {
    let key = Key::new([3; 32]);
    let file = seal_file("state", &key, [4; 24], b"content");
    assert_eq!(open_file("state", &key, &file).unwrap().expose(), b"content");
    assert_eq!(open_file("other", &key, &file).unwrap_err(), FileError::Kind);
    assert_eq!(open_file("stat", &key, &file).unwrap_err(), FileError::Kind);
    let newer = b"sgw state 2\n....";
    assert_eq!(open_file("state", &key, newer).unwrap_err(), FileError::UnknownVersion(2));
    assert!(open_file("state", &DataKey::new([9; 32]).derive("state"), &file).is_err());
}

#[test]
fn the_first_state_is_empty() {
    let data_key = DataKey::new([7; 32]);
    let file = first_state(&data_key, [1; 24], None);
    assert_eq!(open_file("state", &data_key.derive("state"), &file).unwrap().expose(), b"{}");
}

proptest! {
    #[test]
    fn a_header_with_any_byte_changed_gives_no_key(place: prop::sample::Index, flip in 1u8..) {
        let mut json = header().0.to_json();
        let place = place.index(json.len());
        json[place] ^= flip;
        // White space may turn into other white space, and change nothing.
        if let Ok(key) = reopened(&json, "correct horse") {
            prop_assert_eq!(Header::from_json(&json), Ok(header().0));
            prop_assert_eq!(key.expose(), &[7; 32]);
        }
    }

    #[test]
    fn a_seal_with_any_byte_changed_does_not_open(
        content: Vec<u8>, place: prop::sample::Index, flip in 1u8..,
    ) {
        let key = Key::new([3; 32]);
        let mut file = seal_file("state", &key, [4; 24], &content);
        let opened = open_file("state", &key, &file).unwrap();
        prop_assert_eq!(opened.expose(), &content);
        let place = place.index(file.len());
        file[place] ^= flip;
        prop_assert!(open_file("state", &key, &file).is_err());
        file[place] ^= flip;
        prop_assert!(open_file("state", &key, &file[..place]).is_err());
    }
}

#[test]
#[ignore = "a measurement: cargo test --lib usual_cost_takes -- --ignored --nocapture"]
fn usual_cost_takes() {
    for t in 1..=4 {
        let start = std::time::Instant::now();
        let seed = HeaderSeed { data_key: [7; 32], salt: [1; 16], nonce: [2; 24] };
        Header::create(&secret("correct horse"), Cost { t, ..Cost::USUAL }, seed).unwrap();
        println!("256 MiB, {t} passes: {:?}", start.elapsed());
    }
}
