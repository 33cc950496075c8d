//! The credentials of clients and server: a certificate authority created once per node, a server
//! certificate issued at each start, a bearer token, and a kubeconfig for kubectl.
//!
//! They are stored in the state directory, readable by their owner only. Nothing expires: a device whose
//! clock starts in 1970 must be reachable. A deleted file is created anew. Files that are derived from the keys are
//! written only if they change, so that a node also starts on a full disk.

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
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};

/// The error of credentials that cannot be loaded or created.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A file in the state directory cannot be read or written.
    #[error("cannot use {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// The I/O error.
        source: io::Error,
    },
    /// Other users can read a secret.
    #[error(
        "{path} is readable by other users (mode {mode:o}): run `chmod 600` on it, or delete it to create a new one"
    )]
    ReadableByOthers {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A file does not contain a valid key.
    #[error("{path} is damaged: delete it to create a new one (clients then need the new kubeconfig)")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The parse error.
        source: rcgen::Error,
    },
    /// The token's file does not contain a valid token.
    #[error(
        "{path} does not contain a token of at least {MIN_TOKEN_CHARS} characters: delete it to create a new one (clients then need the new kubeconfig)"
    )]
    InvalidToken {
        /// The file.
        path: PathBuf,
    },
    /// A certificate cannot be created.
    #[error("cannot create a certificate")]
    Certificate(#[from] rcgen::Error),
    /// TLS cannot be configured.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
}

/// Minimum length of a token: shorter ones could be guessed.
const MIN_TOKEN_CHARS: usize = 32;

/// The credentials of one node.
pub struct Credentials {
    directory: PathBuf,
    ca: String,
    token: String,
    /// Digest for comparing tokens, so that the time of a comparison reveals nothing.
    digest: [u8; 32],
    /// TLS configuration of the server.
    pub tls: Arc<rustls::ServerConfig>,
}

impl Credentials {
    /// Loads the credentials in `directory` and creates missing ones. The server certificate is valid for `addresses`
    /// and `names` besides `localhost`.
    pub fn load_or_create(
        directory: &Path,
        addresses: &[IpAddr],
        names: &[String],
    ) -> Result<Credentials, CredentialsError> {
        let (ca, issuer) = load_authority(directory)?;
        let token = load_or_create_secret(&directory.join("token"), || {
            let random = || uuid::Uuid::new_v4().simple().to_string();
            Ok(random() + &random())
        })?;
        let token = token.trim().to_string();
        if token.len() < MIN_TOKEN_CHARS || !token.bytes().all(|c| c.is_ascii_graphic()) {
            return Err(CredentialsError::InvalidToken { path: directory.join("token") });
        }
        let tls = Arc::new(server_config(&issuer, addresses, names)?);
        let digest = Sha256::digest(&token).into();
        Ok(Credentials { directory: directory.into(), ca, token, digest, tls })
    }

    /// Returns whether `token` is the bearer token.
    pub fn accepts(&self, token: &str) -> bool {
        <[u8; 32]>::from(Sha256::digest(token)) == self.digest
    }

    /// Returns the certificate authority as PEM.
    pub fn ca(&self) -> &str {
        &self.ca
    }

    /// Returns the bearer token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Writes a kubeconfig for the server at URL `server` (mode 0600) and returns its path.
    pub fn write_kubeconfig(&self, server: &str) -> Result<PathBuf, CredentialsError> {
        let path = self.directory.join("kubeconfig");
        let config = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "wasmpod", "cluster": {
                "server": server, "certificate-authority-data": STANDARD.encode(&self.ca)}}],
            "users": [{"name": "wasmpod", "user": {"token": self.token}}],
            "contexts": [{"name": "wasmpod", "context": {"cluster": "wasmpod", "user": "wasmpod", "namespace": "default"}}],
            "current-context": "wasmpod",
        });
        // A kubeconfig is usually YAML; JSON is valid too.
        let text = serde_yaml::to_string(&config).unwrap_or_else(|_| config.to_string());
        write_derived(&path, text.as_bytes())?;
        Ok(path)
    }
}

/// Returns the URL by which clients on this machine reach `address`, such as `https://127.0.0.1:6443`.
pub fn server_url(address: SocketAddr) -> String {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    format!("https://{}", SocketAddr::new(ip, address.port()))
}

/// Returns the authority's certificate and issuer. A missing certificate is issued anew: with the same name and key, it
/// is the same authority to clients.
fn load_authority(directory: &Path) -> Result<(String, Issuer<'static, KeyPair>), CredentialsError> {
    let path = directory.join("ca.key");
    let key = load_or_create_secret(&path, || Ok(KeyPair::generate()?.serialize_pem()))?;
    let key = KeyPair::from_pem(&key).map_err(|source| CredentialsError::Damaged { path, source })?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "wasmpod node CA");
    let issued = params.self_signed(&key)?.pem();
    let path = directory.join("ca.crt");
    let stored = fs::read_to_string(&path).ok().filter(|stored| is_same_authority(stored, &issued));
    // Signatures are random, so that a certificate that is issued again differs.
    let ca = stored.unwrap_or(issued);
    write_derived(&path, ca.as_bytes())?;
    Ok((ca, Issuer::new(params, key)))
}

/// Returns whether two certificates (PEM) have the same name and key.
fn is_same_authority(one: &str, other: &str) -> bool {
    let authority = |pem: &str| {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).ok()?).ok()?;
        let root = roots.roots.into_iter().next()?;
        Some((root.subject.to_vec(), root.subject_public_key_info.to_vec()))
    };
    authority(one).is_some_and(|one| authority(other) == Some(one))
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

/// Reads a file that must be readable by its owner only; creates it with the result of `make` if it is missing.
fn load_or_create_secret(
    path: &Path,
    make: impl FnOnce() -> Result<String, rcgen::Error>,
) -> Result<String, CredentialsError> {
    let failed = |source| CredentialsError::File { path: path.into(), source };
    match fs::metadata(path) {
        Ok(metadata) => {
            let mode = metadata.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                return Err(CredentialsError::ReadableByOthers { path: path.into(), mode });
            }
            fs::read_to_string(path).map_err(failed)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = make()?;
            write_atomically(path, text.as_bytes())?;
            Ok(text)
        }
        Err(error) => Err(failed(error)),
    }
}

/// Writes a file that is derived from the keys, unless it has this content. If that fails, one that exists is kept: it
/// names the same authority and token.
fn write_derived(path: &Path, bytes: &[u8]) -> Result<(), CredentialsError> {
    let is_private = fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 == 0);
    if is_private && fs::read(path).is_ok_and(|stored| stored == bytes) {
        return Ok(());
    }
    match write_atomically(path, bytes) {
        Err(CredentialsError::File { source, .. }) if path.exists() => {
            tracing::warn!("cannot update {}: {source}; keeping its content", path.display());
            Ok(())
        }
        written => written,
    }
}

/// Writes a file atomically, with mode 0600.
fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), CredentialsError> {
    let temporary = path.with_extension("new");
    let write = || -> io::Result<()> {
        let _ = fs::remove_file(&temporary);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|source| {
        let _ = fs::remove_file(&temporary);
        CredentialsError::File { path: path.into(), source }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("the file is there").permissions().mode() & 0o777
    }

    #[test]
    fn credentials_are_created_once_and_kept_private() {
        let directory = tempfile::tempdir().expect("a directory");
        let first = Credentials::load_or_create(directory.path(), &[], &[]).expect("credentials");
        let again = Credentials::load_or_create(directory.path(), &[], &["node.example".into()]).expect("credentials");
        assert_eq!(first.token(), again.token());
        assert_eq!(first.ca(), again.ca());
        fs::remove_file(directory.path().join("ca.crt")).expect("removed");
        let reissued = Credentials::load_or_create(directory.path(), &[], &[]).expect("credentials");
        assert!(is_same_authority(first.ca(), reissued.ca()), "both are the same authority to clients");
        assert!(first.accepts(again.token()) && !first.accepts("") && !first.accepts(&first.token()[1..]));
        let kubeconfig = first.write_kubeconfig("https://127.0.0.1:1").expect("a kubeconfig");
        for file in [kubeconfig, directory.path().join("token"), directory.path().join("ca.key")] {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
    }

    #[test]
    fn derived_files_are_written_only_if_they_change() {
        let directory = tempfile::tempdir().expect("a directory");
        let load = || Credentials::load_or_create(directory.path(), &[], &[]).expect("credentials");
        let url = "https://127.0.0.1:1";
        let kubeconfig = load().write_kubeconfig(url).expect("a kubeconfig");
        let files = [directory.path().join("ca.crt"), kubeconfig];
        let read = || files.each_ref().map(|file| fs::read(file).expect("a file"));
        let before = read();
        // As on a full disk: no file can be created.
        let occupied = ["ca.new", "kubeconfig.new"].map(|name| directory.path().join(name));
        occupied.iter().for_each(|path| fs::create_dir(path).expect("created"));
        load().write_kubeconfig(url).expect("nothing to write");
        load().write_kubeconfig("https://127.0.0.1:2").expect("the old one is kept");
        assert_eq!(read(), before);
        fs::remove_file(&files[1]).expect("removed");
        let error = load().write_kubeconfig(url).expect_err("nothing to keep").to_string();
        assert!(error.starts_with("cannot use ") && error.ends_with("kubeconfig"), "{error}");

        occupied.iter().for_each(|path| fs::remove_dir(path).expect("removed"));
        load().write_kubeconfig(url).expect("a kubeconfig");
        fs::set_permissions(&files[1], fs::Permissions::from_mode(0o644)).expect("chmod");
        load().write_kubeconfig(url).expect("a kubeconfig");
        assert_eq!((read(), mode(&files[1])), (before, 0o600), "a kubeconfig is private");
        // The certificate of another key is replaced.
        let other = tempfile::tempdir().expect("a directory");
        let foreign = Credentials::load_or_create(other.path(), &[], &[]).expect("credentials");
        fs::write(&files[0], foreign.ca()).expect("written");
        let reissued = load();
        assert!(!is_same_authority(reissued.ca(), foreign.ca()));
        assert_eq!(fs::read_to_string(&files[0]).expect("a file"), reissued.ca());
    }

    #[test]
    fn readable_or_damaged_secrets_are_rejected() {
        let directory = tempfile::tempdir().expect("a directory");
        Credentials::load_or_create(directory.path(), &[], &[]).expect("credentials");
        let token = directory.path().join("token");
        fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).expect("chmod");
        let refused = Credentials::load_or_create(directory.path(), &[], &[]).err().expect("refused").to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
        for damaged in ["", "bad", "with a blank in its middle, and long enough otherwise"] {
            fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).expect("chmod");
            fs::write(&token, damaged).expect("written");
            let refused = Credentials::load_or_create(directory.path(), &[], &[]).err().expect("refused").to_string();
            assert!(refused.contains("does not contain a token"), "{refused}");
        }
        fs::remove_file(&token).expect("removed");
        fs::write(directory.path().join("ca.key"), "no key").expect("written");
        let refused = Credentials::load_or_create(directory.path(), &[], &[]).err().expect("refused").to_string();
        assert!(refused.contains("ca.key is damaged"), "{refused}");
    }

    #[test]
    fn server_url_replaces_unspecified_addresses() {
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
