//! TLS from files that are read again when they change.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::TlsFiles;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct Reloading(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Reloading {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// The server's TLS configuration, and the task that keeps its certificate up to date.
///
/// # Errors
/// When the files cannot be read or do not belong together: which, and why.
pub fn configure(files: TlsFiles) -> Result<(ServerConfig, impl Future<Output = ()> + Send), String> {
    let resolver = Arc::new(Reloading(ArcSwap::from_pointee(read(&files)?)));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(&resolver) as Arc<dyn ResolvesServerCert>);
    Ok((config, reload(resolver, files)))
}

async fn reload(resolver: Arc<Reloading>, files: TlsFiles) {
    let mut seen = modified(&files);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = modified(&files);
        if now == seen {
            continue;
        }
        match read(&files) {
            Ok(certified) => {
                resolver.0.store(Arc::new(certified));
                seen = now;
                log::info!("the TLS certificate was read again from {}", files.certificate.display());
            }
            // Half written, perhaps; the old one serves on.
            Err(why) => log::warn!("the TLS certificate is not replaced: {why}"),
        }
    }
}

fn modified(files: &TlsFiles) -> [Option<SystemTime>; 2] {
    [&files.certificate, &files.key].map(|path| std::fs::metadata(path).and_then(|file| file.modified()).ok())
}

fn read(files: &TlsFiles) -> Result<CertifiedKey, String> {
    let wrong = |path: &std::path::Path, why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let certificates = CertificateDer::pem_file_iter(&files.certificate)
        .map_err(|error| wrong(&files.certificate, &error))?
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| wrong(&files.certificate, &error))?;
    if certificates.is_empty() {
        return Err(wrong(&files.certificate, &"holds no certificate"));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| wrong(&files.key, &error))?;
    let certified = CertifiedKey::from_der(certificates, key, &ring::default_provider());
    certified.map_err(|error| wrong(&files.key, &error))
}
