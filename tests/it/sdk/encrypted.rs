//! The SDKs over TLS: cases of other programs again, at a gateway whose certificate an authority of the operator's own signed.
//! The authority comes to the SDKs as their users give it to them, by the environment.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};

use super::surfaces::CONFIG;
use super::{KEYS, folder, shows};
use crate::clients::clients;
use crate::encrypted::TLS;
use crate::harness::Dimmer;

/// Puts `cert.pem` with its `key.pem`, and the `authority.pem` that signed it, into this folder.
fn certify(folder: &Path) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(DnType::CommonName, "an authority of our own");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    for (name, text) in [
        ("cert.pem", certificate.pem()),
        ("key.pem", key.serialize_pem()),
        ("authority.pem", authority.pem()),
    ] {
        std::fs::write(folder.join(name), text).unwrap();
        std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}

fn check(interpreter: &str, trust: &str, programs: &[(&str, &[&str])]) {
    let folder = folder(&CONFIG.replacen("[server]\n", &format!("[server]\n{TLS}\n"), 1));
    certify(folder.path());
    let authority = folder.path().join("authority.pem");
    let gateway = Dimmer::start_in(folder, KEYS);
    for (program, cases) in programs {
        let mut command = Command::new(clients().join(interpreter));
        command.env("DIMMER_URL", format!("https://{}", gateway.data)).env("PROVIDER_URL", "none");
        shows(command.env(trust, &authority), program, cases, cases);
    }
}

const OPENAI: &[&str] = &["response", "response_streamed", "embeddings", "asynchronous"];
const ANTHROPIC: &[&str] = &["threads", "threads_asynchronous", "count_tokens"];

#[test]
fn python() {
    let programs = [("python/openai_surfaces.py", OPENAI), ("python/anthropic_surfaces.py", ANTHROPIC)];
    check("venv/bin/python", "SSL_CERT_FILE", &programs);
}

#[test]
fn node() {
    let programs = [("node/openai_surfaces.mjs", OPENAI), ("node/anthropic_surfaces.mjs", ANTHROPIC)];
    check("bin/node", "NODE_EXTRA_CA_CERTS", &programs);
}
