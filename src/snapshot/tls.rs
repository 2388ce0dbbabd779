//! What the data listener says of itself under TLS.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::sign::SingleCertAndKey;

use crate::config::Config;
use crate::snapshot::BuildError;

/// The listener's side of TLS, versions 1.2 and 1.3; `None` where it speaks clear text.
pub(super) fn server_config(config: &Config) -> Result<Option<Arc<ServerConfig>>, BuildError> {
    let Some(tls) = &config.server.tls else { return Ok(None) };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| BuildError { place: "server.tls".to_owned(), problem: error.to_string() })?;
    let resolver = SingleCertAndKey::from(Arc::clone(&tls.certified));
    let mut made = builder.with_no_client_auth().with_cert_resolver(Arc::new(resolver));
    made.alpn_protocols = vec![ALPN_HTTP_2.to_vec(), b"http/1.1".to_vec()];
    Ok(Some(Arc::new(made)))
}

/// A caller that agreed on it speaks HTTP/2, every other HTTP/1.1.
pub const ALPN_HTTP_2: &[u8] = b"h2";
