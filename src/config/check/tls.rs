//! `[server] tls`: the certificate and the key with which the data listener shows who it is.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, Error, RootCertStore};
use zeroize::Zeroizing;

use crate::config::Tls;
use crate::config::read::{At, Table};

/// A chain of certificates has some KiB; a larger file is something else.
const PEM_BYTES_MAX: u64 = 1 << 20;

/// Reads `server.tls`; `None` where the file has none, or where it is wrong.
pub(super) fn tls(server: &Table<'_>) -> Option<Tls> {
    let table = server.table("tls");
    let (cert, key) = (table.text("cert"), table.text("key"));
    // A private key is no more to be read for a file that is only thought of than any other secret.
    if !server.has("tls") || table.loading.env.rehearses() {
        return None;
    }
    // Both are looked at before either is given up, so that all errors come at once.
    let chain = cert.as_ref().and_then(|at| chain(&table, at));
    let private = key.as_ref().and_then(|at| private_key(&table, at));
    let (cert, key, chain, private) = (cert?, key?, chain?, private?);
    let provider = rustls::crypto::ring::default_provider();
    let certified = match CertifiedKey::from_der(chain, private, &provider) {
        Ok(certified) => certified,
        Err(error) => {
            table.error_at("key", &key.span, &unfit(&error, cert.value, key.value));
            return None;
        }
    };
    let not_after_s = certified.end_entity_cert().ok().and_then(|cert| not_after_s(cert));
    if not_after_s.is_some_and(|at| at < table.loading.env.now_s()) {
        let message =
            format!("cert: the certificate in {:?} has expired: callers will refuse it", cert.value);
        table.warn(&cert.span, &message);
    }
    Some(Tls { certified: Arc::new(certified), not_after_s })
}

fn chain(table: &Table<'_>, at: &At<&str>) -> Option<Vec<CertificateDer<'static>>> {
    let name = at.value;
    let result = table.loading.read_file(name, PEM_BYTES_MAX).and_then(|pem| {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        match found {
            Ok(chain) if chain.is_empty() => Err(format!(
                "the file {name:?} has no certificate in it: it is PEM, the listener's own \
                 (-----BEGIN CERTIFICATE-----) first, then those that signed it"
            )),
            Ok(chain) => Ok(chain),
            Err(error) => Err(format!("the file {name:?} is not PEM: {error}")),
        }
    });
    result.map_err(|message| table.error_at("cert", &at.span, &message)).ok()
}

fn private_key(table: &Table<'_>, at: &At<&str>) -> Option<PrivateKeyDer<'static>> {
    let name = at.value;
    if read_by_others(&table.loading.base_dir.join(name)) {
        let message = format!("key: every user of this machine can read {name:?}: chmod 600 {name}");
        table.warn(&at.span, &message);
    }
    let result = table.loading.read_file(name, PEM_BYTES_MAX).and_then(|pem| {
        let pem = Zeroizing::new(pem);
        PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| {
            // What the library says may quote the file.
            let remedy = if pem.contains("ENCRYPTED") {
                format!("it is encrypted; openssl pkey -in {name} -out plain.pem decrypts it")
            } else {
                "it is PEM and begins with -----BEGIN PRIVATE KEY-----".to_owned()
            };
            format!("the file {name:?} has no private key in it that can be used: {remedy}")
        })
    });
    result.map_err(|message| table.error_at("key", &at.span, &message)).ok()
}

#[cfg(unix)]
fn read_by_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn read_by_others(_path: &Path) -> bool {
    false
}

fn unfit(error: &Error, cert: &str, key: &str) -> String {
    match error {
        Error::InconsistentKeys(_) => format!(
            "{key:?} is not the key of the certificate in {cert:?}: compare `openssl x509 -noout -pubkey -in {cert}` with \
             `openssl pkey -pubout -in {key}`; the listener's own certificate is the first of its file"
        ),
        Error::InvalidCertificate(_) => {
            format!("the certificate in {cert:?} cannot be read: it has to be X.509, version 3 ({error})")
        }
        _ => format!("{key:?} is no key for TLS: use RSA from 2048 bits, ECDSA P-256 or P-384, or Ed25519"),
    }
}

/// When a certificate ends, in seconds since 1970. The library tells it only of one that has ended, so it is asked about a day
/// on which every one has.
fn not_after_s(certificate: &CertificateDer<'_>) -> Option<i64> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let judged = verify_server_cert_signed_by_trust_anchor(
        &parsed,
        &RootCertStore::empty(),
        &[],
        UnixTime::since_unix_epoch(Duration::from_secs(FAR_AWAY_S)),
        rustls::crypto::ring::default_provider().signature_verification_algorithms.all,
    );
    match judged {
        Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            i64::try_from(not_after.as_secs()).ok()
        }
        _ => None,
    }
}

/// The year 10000: X.509 cannot say a later one.
const FAR_AWAY_S: u64 = 253_402_300_800;
