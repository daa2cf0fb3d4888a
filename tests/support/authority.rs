//! Certificates of a private authority, for the stores that speak TLS.

use std::fs;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use super::scratch;

/// PEM files for an encrypted port.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// What the server shows.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Who signed it.
    pub authority: PathBuf,
}

/// A private authority, and a server certificate for `localhost` that it signed.
pub struct Authority {
    directory: TempDir,
}

impl Authority {
    /// A new one, with a certificate that it has just signed.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let server = server.signed_by(&key, &authority).unwrap();
        let made = Self { directory: scratch::directory("authority") };
        fs::write(made.file("authority.pem"), authority.pem()).unwrap();
        fs::write(made.file("server.pem"), server.pem()).unwrap();
        fs::write(made.file("server.key"), key.serialize_pem()).unwrap();
        made
    }

    /// `authority.pem`, `server.pem` or `server.key`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What a store is started with.
    pub fn files(&self) -> TlsFiles {
        TlsFiles {
            certificate: self.file("server.pem"),
            key: self.file("server.key"),
            authority: self.file("authority.pem"),
        }
    }
}
