//! Whether the key that a machine presents is the one that the operator means.
//!
//! Two sources speak: *pins*, which the operator accepted and the vault keeps, and known_hosts, which
//! whoever shares the operator's uid can write. Only a pin or an answer vouches. known_hosts can refuse
//! (`@revoked`, another key of the same type) and nothing else: a key that it alone knows is asked about
//! once, and then pinned.

use serde::{Deserialize, Serialize};
use ssh_key::{Algorithm, Certificate, EcdsaCurve, HashAlg, PublicKey};

use super::{
    escape,
    known_hosts::{Known, Marker, matches},
};

/// What is known of the machine under the name that it was connected to by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evidence<'a> {
    /// Keys that the operator accepted for this name earlier.
    pub pins: &'a [PublicKey],
    /// What known_hosts has for this name.
    pub known: &'a [Known],
    /// Fingerprints that the operator named beforehand (`--accept-host-key SHA256:…`).
    pub accepted: &'a [String],
    /// Names and pinned keys of other machines, to say "the same key as …".
    pub elsewhere: &'a [(String, PublicKey)],
}

#[must_use]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Go on. `new`: vouched for by an answer just now, so pin it.
    Trusted { new: bool },
    /// A person must compare the fingerprint.
    Ask(Unknown),
    /// Refuse: another key was expected.
    Changed { expected: Vec<String>, by: Source },
    /// Refuse: this very key is marked `@revoked`.
    Revoked { by: Source },
}

/// What to tell the person who compares the fingerprint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unknown {
    /// "Known to ssh, new to sgw": known_hosts has this key for this name.
    pub known_to_ssh: bool,
    /// An authority is named for it, and it showed a plain key.
    pub ca_named: bool,
    /// Fingerprints of keys of other types that this name is known by, the pinned ones first.
    pub other_types: Vec<String>,
    /// Other machines that are pinned with this same key.
    pub same_key_as: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    Pin,
    KnownHosts { file: String, line: usize },
}

impl From<&Known> for Source {
    fn from(known: &Known) -> Self {
        Source::KnownHosts { file: known.file.clone(), line: known.line }
    }
}

/// As OpenSSH shows it: `SHA256:` and base64 without padding.
pub fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// A fingerprint as it is written here, from what people have at hand: without its head or with
/// padding, or the public key itself, as its file or known_hosts has it. What is none of it stays.
pub fn said_fingerprint(text: &str) -> String {
    if let Some(key) = text.find("ssh-").or_else(|| text.find("ecdsa-"))
        && let Ok(key) = PublicKey::from_openssh(&text[key..])
    {
        return fingerprint(&key);
    }
    let text = text.trim_end_matches('=');
    match text.len() {
        43 => format!("SHA256:{text}"),
        _ => text.to_owned(),
    }
}

pub fn judge(presented: &PublicKey, evidence: &Evidence) -> Verdict {
    let Evidence { pins, known, accepted, elsewhere } = *evidence;
    let same = |key: &PublicKey| key.key_data() == presented.key_data();
    let comparable = |key: &PublicKey| family(key) == family(presented);
    let marked = |marker| known.iter().filter(move |entry| entry.marker == marker);

    if let Some(entry) = marked(Some(Marker::Revoked)).find(|entry| same(&entry.key)) {
        return Verdict::Revoked { by: entry.into() };
    }
    let pinned = pins.iter().any(same);
    let expected: Vec<_> = pins.iter().filter(|key| comparable(key)).map(fingerprint).collect();
    if !pinned && !expected.is_empty() {
        return Verdict::Changed { expected, by: Source::Pin };
    }
    let known_to_ssh = marked(None).any(|entry| same(&entry.key));
    let others: Vec<_> = marked(None).filter(|entry| comparable(&entry.key)).collect();
    if let (false, Some(first)) = (known_to_ssh, others.first()) {
        let expected = others.iter().map(|entry| fingerprint(&entry.key)).collect();
        return Verdict::Changed { expected, by: (*first).into() };
    }
    if pinned {
        return Verdict::Trusted { new: false };
    }
    let shown = fingerprint(presented);
    if accepted.iter().any(|answer| answer.trim_end_matches('=') == shown) {
        return Verdict::Trusted { new: true };
    }
    let mut other_types: Vec<_> = pins.iter().map(fingerprint).collect();
    for entry in marked(None).filter(|entry| !same(&entry.key)) {
        let other = fingerprint(&entry.key);
        if !other_types.contains(&other) {
            other_types.push(other);
        }
    }
    Verdict::Ask(Unknown {
        known_to_ssh,
        ca_named: marked(Some(Marker::CertAuthority)).next().is_some(),
        other_types,
        same_key_as: elsewhere
            .iter()
            .filter(|(_, key)| same(key))
            .map(|(name, _)| name.clone())
            .collect(),
    })
}

/// Why a host certificate vouches for nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoVoucher {
    #[error("no authority of this target made it; {0} did")]
    Authority(String),
    #[error("it is a user's certificate")]
    Kind,
    #[error("it is made for other hosts: {0}")]
    Host(String),
    #[error("it is not valid now")]
    Time,
    #[error("it has an option that sgw does not know: {0}")]
    Option(String),
    #[error("its signature is wrong")]
    Signature,
}

/// Whether an authority made this certificate for this host; its fingerprint. `now` in seconds since
/// 1970. (PROTOCOL.certkeys of OpenSSH; a certificate without names, which would do for every host, is
/// refused.)
pub fn judge_certificate(
    certificate: &Certificate,
    host: &str,
    authorities: &[PublicKey],
    now: u64,
) -> Result<String, NoVoucher> {
    let by = certificate.signature_key().fingerprint(HashAlg::Sha256);
    let known = authorities.iter().any(|one| one.key_data() == certificate.signature_key());
    if !known {
        return Err(NoVoucher::Authority(by.to_string()));
    }
    if !certificate.cert_type().is_host() {
        return Err(NoVoucher::Kind);
    }
    let host = host.to_ascii_lowercase();
    let names = certificate.valid_principals();
    if !names.iter().any(|name| matches(&name.to_ascii_lowercase(), &host)) {
        return Err(NoVoucher::Host(escape::visible(&names.join(", "), 200)));
    }
    if !(certificate.valid_after() <= now && now < certificate.valid_before()) {
        return Err(NoVoucher::Time);
    }
    if let Some((name, _)) = certificate.critical_options().iter().next() {
        return Err(NoVoucher::Option(escape::visible(name, 60)));
    }
    certificate.validate_at(now, [&by]).map_err(|_| NoVoucher::Signature)?;
    Ok(by.to_string())
}

/// Keys of one family can stand for each other, so that two of them are a change. The ECDSA curves are
/// one: servers have one ECDSA key.
fn family(key: &PublicKey) -> String {
    match key.algorithm() {
        Algorithm::Ecdsa { .. } => String::from("ecdsa"),
        Algorithm::Rsa { .. } => String::from("rsa"),
        other => other.as_str().to_owned(),
    }
}

/// The host key algorithms to offer, those of known keys first: an honest server then presents the key
/// that can be compared. RSA with SHA-1 is not offered, as in OpenSSH since 8.8.
pub fn preferred_algorithms(pins: &[PublicKey], known: &[Known]) -> Vec<Algorithm> {
    let usual = [
        Algorithm::Ed25519,
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
        Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
        Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
    ];
    let plain = known.iter().filter(|entry| entry.marker.is_none()).map(|entry| &entry.key);
    let mut first: Vec<Algorithm> = Vec::new();
    for key in pins.iter().chain(plain) {
        let speaks = |algorithm: &&Algorithm| match (algorithm, key.algorithm()) {
            (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }) => true,
            (algorithm, other) => **algorithm == other,
        };
        first.extend(usual.iter().filter(speaks).cloned());
    }
    first.extend(usual);
    let mut seen = Vec::new();
    first.retain(|algorithm| {
        let fresh = !seen.contains(algorithm);
        seen.push(algorithm.clone());
        fresh
    });
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED_A: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio";
    const ED_B: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const EC: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHwf2HMM5TRXvo2SQJjsNkiDD5KqiiNjrGVv3UUh+mMT5RHxiRtOnlqvjhQtBq0VpmpCV/PwUdhOig4vkbqAcEc=";
    const RSA: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAQQC5K9D2bvrOFEHibQFQo9/XuXBxyPspDVC2x7rcA6o/9Vgi2oQfy6evE+iBc0GCtwISb9xwtlmzITeqCncNFCSR";

    fn key(text: &str) -> PublicKey {
        PublicKey::from_openssh(text).unwrap()
    }

    fn known(marker: Option<Marker>, text: &str) -> Known {
        Known { marker, key: key(text), file: "f".into(), line: 7 }
    }

    fn by_file() -> Source {
        Source::KnownHosts { file: "f".into(), line: 7 }
    }

    fn ask(known_to_ssh: bool, ca_named: bool, other_types: &[&str]) -> Verdict {
        let other_types = other_types.iter().map(|text| fingerprint(&key(text))).collect();
        Verdict::Ask(Unknown { known_to_ssh, ca_named, other_types, same_key_as: vec![] })
    }

    #[test]
    fn only_pins_and_answers_vouch_and_known_hosts_only_refuses() {
        use Marker::*;
        use Verdict::*;
        let expected = |text| vec![fingerprint(&key(text))];
        let none = || -> Vec<(Option<Marker>, &'static str)> { vec![] };
        // What ED_A gets: pins, known_hosts, accepted beforehand -> verdict.
        let table = [
            (vec![], none(), None, ask(false, false, &[])),
            (vec![ED_A], none(), None, Trusted { new: false }),
            (vec![EC, ED_A], none(), None, Trusted { new: false }),
            (vec![ED_B], none(), None, Changed { expected: expected(ED_B), by: Source::Pin }),
            (vec![EC], none(), None, ask(false, false, &[EC])),
            (vec![], none(), Some(ED_A), Trusted { new: true }),
            (vec![], none(), Some(ED_B), ask(false, false, &[])),
            // An answer given beforehand overrides neither a pin nor known_hosts.
            (vec![ED_B], none(), Some(ED_A), Changed { expected: expected(ED_B), by: Source::Pin }),
            (
                vec![],
                vec![(None, ED_B)],
                Some(ED_A),
                Changed { expected: expected(ED_B), by: by_file() },
            ),
            (vec![], vec![(Some(Revoked), ED_A)], Some(ED_A), Verdict::Revoked { by: by_file() }),
            // known_hosts does not vouch.
            (vec![], vec![(None, ED_A)], None, ask(true, false, &[])),
            (vec![], vec![(None, ED_A), (None, ED_B)], None, ask(true, false, &[ED_B])),
            (vec![], vec![(None, ED_A)], Some(ED_A), Trusted { new: true }),
            (vec![ED_B], vec![(None, ED_A)], None, {
                Changed { expected: expected(ED_B), by: Source::Pin }
            }),
            // known_hosts refuses, also what is pinned.
            (vec![], vec![(None, ED_B)], None, {
                Changed { expected: expected(ED_B), by: by_file() }
            }),
            (vec![ED_A], vec![(None, ED_B)], None, {
                Changed { expected: expected(ED_B), by: by_file() }
            }),
            (vec![ED_A], vec![(Some(Revoked), ED_A)], None, Verdict::Revoked { by: by_file() }),
            (vec![ED_A], vec![(Some(Revoked), ED_B)], None, Trusted { new: false }),
            (vec![ED_A], vec![(None, EC)], None, Trusted { new: false }),
            // Nothing comparable, an authority alone.
            (vec![], vec![(None, EC)], None, ask(false, false, &[EC])),
            (vec![], vec![(Some(CertAuthority), ED_B)], None, ask(false, true, &[])),
            (vec![], vec![(Some(CertAuthority), ED_A)], None, ask(false, true, &[])),
        ];
        for (index, (pins, lines, accepted, verdict)) in table.into_iter().enumerate() {
            let pins: Vec<_> = pins.into_iter().map(key).collect();
            let known: Vec<_> = lines.into_iter().map(|(mark, text)| known(mark, text)).collect();
            let accepted: Vec<_> =
                accepted.map(|text| fingerprint(&key(text))).into_iter().collect();
            let evidence =
                Evidence { pins: &pins, known: &known, accepted: &accepted, elsewhere: &[] };
            assert_eq!(judge(&key(ED_A), &evidence), verdict, "row {index}");
        }
    }

    #[test]
    fn the_same_key_under_other_names_is_told() {
        let elsewhere = [
            ("db1:22".into(), key(ED_A)),
            ("db2:22".into(), key(ED_B)),
            ("db3:22".into(), key(ED_A)),
        ];
        let evidence = Evidence { elsewhere: &elsewhere, ..Evidence::default() };
        let Verdict::Ask(unknown) = judge(&key(ED_A), &evidence) else { panic!("not asked") };
        assert_eq!(unknown.same_key_as, ["db1:22", "db3:22"]);
    }

    #[test]
    fn a_comment_makes_no_other_key() {
        let mut pinned = key(ED_A);
        pinned.set_comment("me@home");
        let evidence = Evidence { pins: &[pinned], ..Evidence::default() };
        assert_eq!(judge(&key(ED_A), &evidence), Verdict::Trusted { new: false });
    }

    #[test]
    fn a_fingerprint_is_taken_in_each_form_that_people_have() {
        let (line, whole) = (ED_A, fingerprint(&key(ED_A)));
        let bare = whole.trim_start_matches("SHA256:");
        for said in [&whole, bare, &format!("{bare}="), line, &format!("web1 {line} me@here")] {
            assert_eq!(said_fingerprint(said), whole, "{said}");
        }
        for other in ["", "MD5:00", "ssh-ed25519", "SHA256:abc"] {
            assert_eq!(said_fingerprint(other), other);
        }
    }

    #[test]
    fn known_types_are_offered_first_and_sha1_never() {
        let names = |algorithms: Vec<Algorithm>| -> Vec<String> {
            algorithms.iter().map(|algorithm| algorithm.as_str().to_owned()).collect()
        };
        let usual = names(preferred_algorithms(&[], &[]));
        assert_eq!(usual[0], "ssh-ed25519");
        assert!(!usual.contains(&String::from("ssh-rsa")));
        let offered =
            names(preferred_algorithms(&[key(EC)], &[known(None, RSA), known(None, ED_A)]));
        assert_eq!(
            offered[..4],
            ["ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519"]
        );
        assert_eq!(offered.len(), usual.len());
        let revoked = [known(Some(Marker::Revoked), RSA)];
        assert_eq!(names(preferred_algorithms(&[], &revoked)), usual);
    }
}
