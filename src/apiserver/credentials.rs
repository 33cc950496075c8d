//! What clients and server prove themselves with: a certificate authority made once for this
//! node, a certificate below it made at each start, a bearer token, and the kubeconfig that
//! carries both to kubectl.
//!
//! All of it lies in the state folder, readable by its owner alone. Nothing expires: a device
//! whose clock starts in 1970 must still be reachable. Removing a file makes a new one.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A file of the state folder can't be read or written.
    #[error("cannot use {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others could read a secret.
    #[error("{path} can be read by others (mode {mode:o}): chmod 600 it, or remove it for a new one")]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// What stands in a file is no key, or no certificate.
    #[error("{path} is damaged: remove it for a new one (clients then need the new kubeconfig)")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rcgen::Error,
    },
    /// What stands in the token's file is none.
    #[error(
        "{path} holds no token of {TOKEN_LETTERS} letters or more: remove it for a new one (clients then need the new kubeconfig)"
    )]
    NoToken {
        /// The file.
        path: PathBuf,
    },
    /// A certificate can't be made.
    #[error("cannot make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// TLS can't be set up with what was made.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
}

/// Fewer could be guessed.
const TOKEN_LETTERS: usize = 32;

/// The credentials of one node.
pub struct Credentials {
    folder: PathBuf,
    ca: String,
    token: String,
    /// What a token is compared by, so that the time it takes tells nothing of the token.
    digest: [u8; 32],
    /// Ready for connections.
    pub tls: Arc<rustls::ServerConfig>,
}

impl Credentials {
    /// Reads what `folder` holds and makes what it lacks; `names` are host names beside
    /// `localhost` under which clients come.
    pub fn of(folder: &Path, addresses: &[IpAddr], names: &[String]) -> Result<Credentials, CredentialsError> {
        let (ca, issuer) = authority(folder)?;
        let token = secret(&folder.join("token"), || {
            let random = || uuid::Uuid::new_v4().simple().to_string();
            Ok(random() + &random())
        })?;
        let token = token.trim().to_string();
        if token.len() < TOKEN_LETTERS || !token.bytes().all(|c| c.is_ascii_graphic()) {
            return Err(CredentialsError::NoToken { path: folder.join("token") });
        }
        let tls = Arc::new(server_config(&issuer, addresses, names)?);
        let digest = Sha256::digest(&token).into();
        Ok(Credentials { folder: folder.into(), ca, token, digest, tls })
    }

    /// Whether `token` is the right one.
    pub fn accepts(&self, token: &str) -> bool {
        <[u8; 32]>::from(Sha256::digest(token)) == self.digest
    }

    /// The certificate authority, as PEM.
    pub fn ca(&self) -> &str {
        &self.ca
    }

    /// The bearer token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Writes a kubeconfig for the server at `address` (mode 0600) and returns where it lies.
    pub fn write_kubeconfig(&self, server: &str) -> Result<PathBuf, CredentialsError> {
        let path = self.folder.join("kubeconfig");
        let config = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "wasmpod", "cluster": {
                "server": server, "certificate-authority-data": STANDARD.encode(&self.ca)}}],
            "users": [{"name": "wasmpod", "user": {"token": self.token}}],
            "contexts": [{"name": "wasmpod", "context": {"cluster": "wasmpod", "user": "wasmpod", "namespace": "default"}}],
            "current-context": "wasmpod",
        });
        // YAML, as people expect of a kubeconfig; what serde_yaml can't write of this does not exist.
        let text = serde_yaml::to_string(&config).unwrap_or_else(|_| config.to_string());
        replace(&path, text.as_bytes())?;
        Ok(path)
    }
}

/// `https://127.0.0.1:6443`, as clients on this machine reach `address`.
pub fn server_url(address: SocketAddr) -> String {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    format!("https://{}", SocketAddr::new(ip, address.port()))
}

/// The authority's certificate and what signs with it. Only its key is kept: name, key and number
/// make the same authority at each start, whose older certificates clients may go on holding.
fn authority(folder: &Path) -> Result<(String, Issuer<'static, KeyPair>), CredentialsError> {
    let path = folder.join("ca.key");
    let key = secret(&path, || Ok(KeyPair::generate()?.serialize_pem()))?;
    let key = KeyPair::from_pem(&key).map_err(|source| CredentialsError::Damaged { path, source })?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "wasmpod node CA");
    let ca = params.self_signed(&key)?.pem();
    replace(&folder.join("ca.crt"), ca.as_bytes())?;
    Ok((ca, Issuer::new(params, key)))
}

fn server_config(
    issuer: &Issuer<'_, KeyPair>,
    addresses: &[IpAddr],
    names: &[String],
) -> Result<rustls::ServerConfig, CredentialsError> {
    let known = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "127.0.0.1", "::1"];
    let mut all: Vec<String> = known.map(String::from).into();
    all.extend(addresses.iter().filter(|ip| !ip.is_unspecified()).map(IpAddr::to_string));
    all.extend(names.iter().cloned());
    all.dedup();
    let mut params = CertificateParams::new(all)?;
    params.distinguished_name.push(DnType::CommonName, "wasmpod");
    params.insert_extended_key_usage(ExtendedKeyUsagePurpose::ServerAuth);
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, issuer)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// A file that only its owner may read; made by `make` where there is none.
fn secret(path: &Path, make: impl FnOnce() -> Result<String, rcgen::Error>) -> Result<String, CredentialsError> {
    let failed = |source| CredentialsError::File { path: path.into(), source };
    match fs::metadata(path) {
        Ok(found) => {
            let mode = found.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                return Err(CredentialsError::Readable { path: path.into(), mode });
            }
            fs::read_to_string(path).map_err(failed)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = make()?;
            replace(path, text.as_bytes())?;
            Ok(text)
        }
        Err(error) => Err(failed(error)),
    }
}

/// Writes a file that appears whole, with mode 0600.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), CredentialsError> {
    let write = || -> io::Result<()> {
        let half = path.with_extension("new");
        let _ = fs::remove_file(&half);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&half)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&half, path)
    };
    write().map_err(|source| CredentialsError::File { path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("the file is there").permissions().mode() & 0o777
    }

    #[test]
    fn credentials_are_made_once_and_kept_private() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = Credentials::of(folder.path(), &[], &[]).expect("credentials");
        let again = Credentials::of(folder.path(), &[], &["node.example".into()]).expect("credentials");
        assert_eq!(first.token(), again.token());
        let clients = |ca: &str| {
            let mut roots = rustls::RootCertStore::empty();
            let pem = rustls::pki_types::CertificateDer::from_pem_slice(ca.as_bytes()).expect("a certificate");
            roots.add(pem).expect("an authority");
            roots
                .roots
                .iter()
                .map(|root| (root.subject.to_vec(), root.subject_public_key_info.to_vec()))
                .collect::<Vec<_>>()
        };
        assert_eq!(clients(first.ca()), clients(again.ca()), "who trusts one trusts the other");
        assert!(first.accepts(again.token()) && !first.accepts("") && !first.accepts(&first.token()[1..]));
        let kubeconfig = first.write_kubeconfig("https://127.0.0.1:1").expect("a kubeconfig");
        for file in [kubeconfig, folder.path().join("token"), folder.path().join("ca.key")] {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
    }

    #[test]
    fn a_secret_that_others_can_read_or_that_is_damaged_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        Credentials::of(folder.path(), &[], &[]).expect("credentials");
        let token = folder.path().join("token");
        fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).expect("chmod");
        let refused = Credentials::of(folder.path(), &[], &[]).err().expect("refused").to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
        for damaged in ["", "bad", "with a blank in its middle, and long enough otherwise"] {
            fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).expect("chmod");
            fs::write(&token, damaged).expect("written");
            let refused = Credentials::of(folder.path(), &[], &[]).err().expect("refused").to_string();
            assert!(refused.contains("holds no token"), "{refused}");
        }
        fs::remove_file(&token).expect("removed");
        fs::write(folder.path().join("ca.key"), "no key").expect("written");
        let refused = Credentials::of(folder.path(), &[], &[]).err().expect("refused").to_string();
        assert!(refused.contains("ca.key is damaged"), "{refused}");
    }

    #[test]
    fn clients_of_this_machine_are_sent_to_loopback() {
        for (address, url) in [
            ("127.0.0.1:80", "https://127.0.0.1:80"),
            ("0.0.0.0:6443", "https://127.0.0.1:6443"),
            ("[::]:6443", "https://[::1]:6443"),
            ("192.0.2.1:1", "https://192.0.2.1:1"),
        ] {
            assert_eq!(server_url(address.parse().expect("an address")), url);
        }
    }
}
