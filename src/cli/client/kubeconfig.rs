//! What a kubeconfig says of the server: where it is, whom it trusts, who asks.
//!
//! Several files are read as one, as kubectl reads `$KUBECONFIG`: the first that says something
//! has it. What is needed and can't be used here (client certificates, login programs, proxies) is
//! told, not passed over.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::args::Connection;
use super::super::exit::bad_input;
use super::super::state::default_folder;

/// How to reach a server.
pub struct Access {
    /// `https://127.0.0.1:6443`
    pub server: String,
    /// The name in the server's certificate, where it is not the host of its address.
    pub server_name: Option<String>,
    /// Certificates of the authorities that the server's certificate may come from, as PEM.
    pub ca: Option<Vec<u8>>,
    /// Proves who asks.
    pub token: Option<String>,
    /// The namespace that is meant where none is named.
    pub namespace: String,
    /// The file that said so.
    pub origin: PathBuf,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Config {
    current_context: String,
    contexts: Vec<Named>,
    clusters: Vec<Named>,
    users: Vec<Named>,
}

/// A context, a cluster or a user: its fields are below the name of what it is.
#[derive(Deserialize)]
struct Named {
    name: String,
    #[serde(flatten)]
    body: Map<String, Value>,
}

/// Its fields, and the file in which they stand.
struct Entry {
    fields: Map<String, Value>,
    origin: PathBuf,
}

impl Access {
    /// Reads the kubeconfig that `connection` means.
    pub fn of(connection: &Connection) -> anyhow::Result<Access> {
        let files = files(connection)?;
        let mut configs = Vec::new();
        for file in &files {
            if let Some(config) = read(file, files.len() > 1)? {
                configs.push((file.as_path(), config));
            }
        }
        let told = files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
        let mut contexts = configs.iter().map(|(_, config)| config.current_context.as_str());
        let current = contexts.find(|context| !context.is_empty());
        let current = current.ok_or_else(|| bad_input(format!("{told}: there is no current-context")))?;
        let find = |what: &str, list: fn(&Config) -> &Vec<Named>, name: &str| {
            let found = configs.iter().find_map(|(file, config)| {
                let named = list(config).iter().find(|named| named.name == name)?;
                let fields = named.body.get(what).and_then(Value::as_object).cloned().unwrap_or_default();
                Some(Entry { fields, origin: file.to_path_buf() })
            });
            found.ok_or_else(|| bad_input(format!("{told}: there is no {what} {name:?}")))
        };
        let context = find("context", |config| &config.contexts, current)?;
        let named = |field| context.text(field).ok_or_else(|| context.fault(field, "is missing from the context"));
        let cluster = find("cluster", |config| &config.clusters, named("cluster")?)?;
        let user = find("user", |config| &config.users, named("user")?)?;
        for (entry, field) in [
            (&cluster, "insecure-skip-tls-verify"),
            (&cluster, "proxy-url"),
            (&user, "client-certificate"),
            (&user, "client-certificate-data"),
            (&user, "exec"),
            (&user, "auth-provider"),
            (&user, "username"),
        ] {
            if entry.fields.get(field).is_some_and(|value| !matches!(value, Value::Null | Value::Bool(false))) {
                let why = "can't be used here: `wasmpod serve` writes a kubeconfig with a certificate authority and \
                           a token";
                return Err(entry.fault(field, why));
            }
        }
        let namespace = connection.namespace.as_deref().or(context.text("namespace")).unwrap_or("default");
        Ok(Access {
            server: cluster.text("server").ok_or_else(|| cluster.fault("server", "is missing"))?.into(),
            server_name: cluster.text("tls-server-name").map(Into::into),
            ca: cluster.data("certificate-authority")?,
            token: match (user.text("token"), user.text("tokenFile")) {
                (Some(token), _) => Some(token.into()),
                (None, Some(_)) => {
                    user.file("tokenFile")?.map(|text| text.trim_ascii().to_vec()).map(text).transpose()?
                }
                (None, None) => None,
            },
            namespace: namespace.into(),
            origin: cluster.origin,
        })
    }
}

fn text(bytes: Vec<u8>) -> anyhow::Result<String> {
    String::from_utf8(bytes).map_err(|_| bad_input("the token is no text"))
}

impl Entry {
    fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    fn fault(&self, field: &str, what: &str) -> anyhow::Error {
        bad_input(format!("{}: {field} {what}", self.origin.display()))
    }

    /// What `FIELD-data` holds, or the file that `FIELD` names.
    fn data(&self, field: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let name = format!("{field}-data");
        match self.text(&name) {
            Some(data) => STANDARD.decode(data).map(Some).map_err(|_| self.fault(&name, "is no base64")),
            None => self.file(field),
        }
    }

    /// The file that `field` names, which is relative to the kubeconfig.
    fn file(&self, field: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let Some(name) = self.text(field) else { return Ok(None) };
        let path = self.origin.parent().unwrap_or(Path::new(".")).join(name);
        let bytes = std::fs::read(&path);
        bytes.map(Some).map_err(|error| self.fault(field, &format!("names {}: {error}", path.display())))
    }
}

/// The flag's file, else the environment's, else the one of the default state folder.
fn files(connection: &Connection) -> anyhow::Result<Vec<PathBuf>> {
    if let Some(file) = &connection.kubeconfig {
        return Ok(vec![file.clone()]);
    }
    let set = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let files: Vec<PathBuf> = std::env::split_paths(&set).filter(|path| !path.as_os_str().is_empty()).collect();
    match files.is_empty() {
        true => match default_folder() {
            Ok(folder) => Ok(vec![folder.join("kubeconfig")]),
            Err(_) => Err(bad_input("neither KUBECONFIG nor HOME is set: name a file with --kubeconfig".to_string())),
        },
        false => Ok(files),
    }
}

/// One file. `optional`: it may be missing, since others are read, too.
fn read(file: &Path, optional: bool) -> anyhow::Result<Option<Config>> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if optional && error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let way_out = "`wasmpod serve` writes it when it starts; --kubeconfig or $KUBECONFIG names another";
            return Err(bad_input(format!("{} is not there: {way_out}", file.display())));
        }
        Err(error) => return Err(bad_input(format!("{}: {error}", file.display()))),
    };
    let config = serde_yaml::from_str::<Config>(&text);
    config.map(Some).map_err(|error| bad_input(format!("{} is no kubeconfig: {error}", file.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(text: &str) -> Result<Access, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("kubeconfig");
        std::fs::write(&file, text).expect("written");
        std::fs::write(folder.path().join("ca.pem"), "PEM").expect("written");
        std::fs::write(folder.path().join("token"), "from-file\n").expect("written");
        let connection = Connection { kubeconfig: Some(file), namespace: None };
        Access::of(&connection).map_err(|error| error.to_string().replace(&folder.path().display().to_string(), "DIR"))
    }

    fn config(cluster: &str, user: &str) -> String {
        format!(
            "current-context: a\ncontexts: [{{name: a, context: {{cluster: c, user: u, namespace: shop}}}}]\n\
             clusters: [{{name: c, cluster: {{server: 'https://h:1', {cluster}}}}}]\n\
             users: [{{name: u, user: {{{user}}}}}]"
        )
    }

    #[test]
    fn server_authority_and_token_are_read_inline_or_from_files_beside_it() {
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
    fn what_cannot_be_used_is_told() {
        for (text, want) in [
            (config("", "exec: {command: login}"), "DIR/kubeconfig: exec can't be used here"),
            (config("insecure-skip-tls-verify: true", ""), "DIR/kubeconfig: insecure-skip-tls-verify can't be used"),
            (config("certificate-authority-data: '*'", ""), "certificate-authority-data is no base64"),
            (config("certificate-authority: gone.pem", ""), "certificate-authority names DIR/gone.pem"),
            ("contexts: []".into(), "there is no current-context"),
            ("current-context: x".into(), "there is no context \"x\""),
            ("- a".into(), "is no kubeconfig"),
        ] {
            let refused = access(&text).err().unwrap_or_default();
            assert!(refused.contains(want), "{text}: {refused}");
        }
    }
}
