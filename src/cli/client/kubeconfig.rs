//! Reads the server address, its certificate authority and the credentials from kubeconfig files.
//!
//! Several files are merged as kubectl merges `$KUBECONFIG`: the first file that defines a value wins. Settings that
//! are not supported (client certificates, exec plugins, proxies) are errors rather than ignored.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::cli::args::ConnectionArgs;
use crate::cli::exit::bad_input;
use crate::cli::state_directory;

/// The values of the current context.
pub struct ClusterAccess {
    /// The server's URL, such as `https://127.0.0.1:6443`.
    pub server: String,
    /// The name in the server's certificate, if it is not the host of the URL.
    pub server_name: Option<String>,
    /// The certificates of trusted authorities, as PEM.
    pub ca: Option<Vec<u8>>,
    /// The bearer token.
    pub token: Option<String>,
    /// The namespace of requests.
    pub namespace: String,
    /// The file that defines the cluster.
    pub origin: PathBuf,
}

#[derive(Default, Deserialize)]
#[serde(rename = "Config", rename_all = "kebab-case", default)]
struct Kubeconfig {
    current_context: String,
    contexts: Vec<NamedEntry>,
    clusters: Vec<NamedEntry>,
    users: Vec<NamedEntry>,
}

/// An entry of the list of contexts, clusters or users. Its fields are below `context`, `cluster` or `user`.
#[derive(Deserialize)]
struct NamedEntry {
    name: String,
    #[serde(flatten)]
    body: Map<String, Value>,
}

/// The fields of an entry, and the file that defines it.
struct KubeconfigEntry {
    fields: Map<String, Value>,
    origin: PathBuf,
}

impl ClusterAccess {
    /// Reads the kubeconfig files that `connection` selects.
    pub fn load(connection: &ConnectionArgs) -> anyhow::Result<ClusterAccess> {
        let config = MergedConfig::read(&kubeconfig_files(connection)?)?;
        let context = config.entry("context", |config| &config.contexts, config.current_context()?)?;
        let name_of = |field| context.text(field).ok_or_else(|| context.error(field, "is missing from the context"));
        let cluster = config.entry("cluster", |config| &config.clusters, name_of("cluster")?)?;
        let user = config.entry("user", |config| &config.users, name_of("user")?)?;
        cluster.reject(&["insecure-skip-tls-verify", "proxy-url"])?;
        user.reject(&["client-certificate", "client-certificate-data", "exec", "auth-provider", "username"])?;
        let namespace = connection.namespace.as_deref().or(context.text("namespace")).unwrap_or("default");
        Ok(ClusterAccess {
            server: cluster.text("server").ok_or_else(|| cluster.error("server", "is missing"))?.into(),
            server_name: cluster.text("tls-server-name").map(Into::into),
            ca: cluster.data("certificate-authority")?,
            token: match (user.text("token"), user.text("tokenFile")) {
                (Some(token), _) => Some(token.into()),
                (None, Some(_)) => user.file("tokenFile")?.map(|token| user.decode_token(&token)).transpose()?,
                (None, None) => None,
            },
            namespace: namespace.into(),
            origin: cluster.origin,
        })
    }
}

/// The existing kubeconfig files, the ones that take precedence first.
struct MergedConfig {
    configs: Vec<(PathBuf, Kubeconfig)>,
    /// The names of all files, for messages.
    file_names: String,
}

impl MergedConfig {
    fn read(files: &[PathBuf]) -> anyhow::Result<MergedConfig> {
        let mut configs = Vec::new();
        for file in files {
            if let Some(config) = read_config(file, files.len() > 1)? {
                configs.push((file.clone(), config));
            }
        }
        let file_names = files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
        Ok(MergedConfig { configs, file_names })
    }

    fn current_context(&self) -> anyhow::Result<&str> {
        let mut contexts = self.configs.iter().map(|(_, config)| config.current_context.as_str());
        let current = contexts.find(|context| !context.is_empty());
        current.ok_or_else(|| bad_input(format!("{}: current-context is not set", self.file_names)))
    }

    /// Returns the entry `name` of a list; `kind` is the name of its fields.
    fn entry(
        &self,
        kind: &str,
        list: fn(&Kubeconfig) -> &Vec<NamedEntry>,
        name: &str,
    ) -> anyhow::Result<KubeconfigEntry> {
        let entry = self.configs.iter().find_map(|(file, config)| {
            let named = list(config).iter().find(|named| named.name == name)?;
            let fields = named.body.get(kind).and_then(Value::as_object).cloned().unwrap_or_default();
            Some(KubeconfigEntry { fields, origin: file.clone() })
        });
        entry.ok_or_else(|| bad_input(format!("{}: {kind} {name:?} does not exist", self.file_names)))
    }
}

impl KubeconfigEntry {
    fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    fn error(&self, field: &str, problem: &str) -> anyhow::Error {
        bad_input(format!("{}: {field} {problem}", self.origin.display()))
    }

    /// Fails if one of the unsupported `fields` is set.
    fn reject(&self, fields: &[&str]) -> anyhow::Result<()> {
        let is_set = |field: &&&str| {
            self.fields.get(**field).is_some_and(|value| !matches!(value, Value::Null | Value::Bool(false)))
        };
        let problem = "is not supported; use a kubeconfig with a certificate authority and a token, as written by \
                       `wasmpod serve`";
        fields.iter().find(is_set).map_or(Ok(()), |field| Err(self.error(field, problem)))
    }

    fn decode_token(&self, token: &[u8]) -> anyhow::Result<String> {
        let token = String::from_utf8(token.trim_ascii().to_vec());
        token.map_err(|_| self.error("tokenFile", "is not valid UTF-8"))
    }

    /// Returns the decoded value of `FIELD-data`, or the content of the file at `FIELD`.
    fn data(&self, field: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let name = format!("{field}-data");
        match self.text(&name) {
            Some(data) => STANDARD.decode(data).map(Some).map_err(|_| self.error(&name, "is not valid base64")),
            None => self.file(field),
        }
    }

    /// Returns the content of the file at `field`, whose path is relative to the kubeconfig.
    fn file(&self, field: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let Some(name) = self.text(field) else { return Ok(None) };
        let path = self.origin.parent().unwrap_or(Path::new(".")).join(name);
        let bytes = std::fs::read(&path);
        bytes.map(Some).map_err(|error| self.error(field, &format!("cannot be read from {}: {error}", path.display())))
    }
}

/// Returns the file of `--kubeconfig`, or those of `$KUBECONFIG`, or the one in the default state directory.
fn kubeconfig_files(connection: &ConnectionArgs) -> anyhow::Result<Vec<PathBuf>> {
    if let Some(file) = &connection.kubeconfig {
        return Ok(vec![file.clone()]);
    }
    let files = files_of_environment();
    match files.is_empty() {
        true => match state_directory::default_path() {
            Ok(path) => Ok(vec![path.join("kubeconfig")]),
            Err(_) => Err(bad_input("neither KUBECONFIG nor HOME is set; use --kubeconfig to choose a file")),
        },
        false => Ok(files),
    }
}

/// Returns whether `$KUBECONFIG` names a file.
pub fn is_kubeconfig_set() -> bool {
    !files_of_environment().is_empty()
}

fn files_of_environment() -> Vec<PathBuf> {
    let set = std::env::var_os("KUBECONFIG").unwrap_or_default();
    std::env::split_paths(&set).filter(|path| !path.as_os_str().is_empty()).collect()
}

/// Reads a file. Returns `None` if it does not exist and is `optional`, as one of several.
fn read_config(file: &Path, optional: bool) -> anyhow::Result<Option<Kubeconfig>> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if optional && error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let hint = "start `wasmpod serve`, which creates it, or use --kubeconfig or $KUBECONFIG to choose another";
            return Err(bad_input(format!("kubeconfig {} does not exist; {hint}", file.display())));
        }
        Err(error) => return Err(bad_input(format!("{}: {error}", file.display()))),
    };
    let config = serde_yaml::from_str::<Kubeconfig>(&text);
    config.map(Some).map_err(|error| bad_input(format!("{} is not a valid kubeconfig: {error}", file.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(text: &str) -> Result<ClusterAccess, String> {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("kubeconfig");
        std::fs::write(&file, text).expect("written");
        std::fs::write(dir.path().join("ca.pem"), "PEM").expect("written");
        std::fs::write(dir.path().join("token"), "from-file\n").expect("written");
        let connection = ConnectionArgs { kubeconfig: Some(file), socket: None, namespace: None };
        ClusterAccess::load(&connection)
            .map_err(|error| error.to_string().replace(&dir.path().display().to_string(), "DIR"))
    }

    fn config(cluster: &str, user: &str) -> String {
        format!(
            "current-context: a\ncontexts: [{{name: a, context: {{cluster: c, user: u, namespace: shop}}}}]\n\
             clusters: [{{name: c, cluster: {{server: 'https://h:1', {cluster}}}}}]\n\
             users: [{{name: u, user: {{{user}}}}}]"
        )
    }

    #[test]
    fn authority_and_token_are_read_inline_or_from_files() {
        for (cluster, user, token) in [
            ("certificate-authority-data: UEVN", "token: t", "t"),
            ("certificate-authority: ca.pem", "tokenFile: token", "from-file"),
        ] {
            let access = access(&config(cluster, user)).expect(cluster);
            assert_eq!((access.server.as_str(), access.namespace.as_str()), ("https://h:1", "shop"));
            assert_eq!(access.ca.as_deref(), Some(b"PEM".as_slice()), "{cluster}");
            assert_eq!(access.token.as_deref(), Some(token));
        }
    }

    #[test]
    fn unusable_kubeconfigs_are_rejected() {
        for (text, expected) in [
            (config("", "exec: {command: login}"), "DIR/kubeconfig: exec is not supported"),
            (config("insecure-skip-tls-verify: true", ""), "DIR/kubeconfig: insecure-skip-tls-verify is not supported"),
            (config("certificate-authority-data: '*'", ""), "certificate-authority-data is not valid base64"),
            (config("certificate-authority: gone.pem", ""), "certificate-authority cannot be read from DIR/gone.pem"),
            ("contexts: []".into(), "current-context is not set"),
            ("current-context: x".into(), "context \"x\" does not exist"),
            ("- a".into(), "is not a valid kubeconfig"),
        ] {
            let error = access(&text).err().unwrap_or_default();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
