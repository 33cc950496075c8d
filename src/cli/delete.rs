//! `wasmpod delete`: deletes objects, by name or those of manifests, and waits until they are gone.

use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};

use super::args::DeleteArgs;
use super::client::{self, Client};
use super::exit::{Outcome, bad_input};
use super::manifest_objects;
use super::report;
use super::resource_names;
use super::terminal_text::print;
use crate::control::Resource;

/// The minimum and maximum time before a watch that the server has closed is opened again.
const MIN_WATCH_DELAY: Duration = Duration::from_millis(100);
const MAX_WATCH_DELAY: Duration = Duration::from_secs(5);

/// Deletes all objects. An object that cannot be deleted does not keep the others from being deleted.
pub fn main(args: DeleteArgs) -> anyhow::Result<Outcome> {
    let grace_period = grace_period(&args)?;
    let named = resource_names::objects(&args.objects)?;
    if named.is_empty() == args.files.is_empty() {
        return Err(bad_input("expected either --filename, or a kind and names, or names of pods"));
    }
    client::block_on(async move {
        let client = Client::new(&args.connection)?;
        let of_manifests = manifest_objects::read(&args.files, &client, args.connection.namespace.is_some())?;
        let objects = of_manifests.into_iter().map(|object| (object.resource, object.namespace, object.name));
        let named = named.into_iter().map(|(resource, name)| (resource, client.namespace().to_string(), name));
        let objects: Vec<_> = objects.chain(named).collect();
        if args.force {
            stderrln!(
                "Warning: Immediate deletion does not wait for confirmation that the running resource has been \
                 terminated. The resource may continue to run on the cluster indefinitely."
            );
        }
        let deletion = Deletion { client, grace_period, args: &args };
        let (mut pending, mut errors) = (Vec::new(), Vec::new());
        for (resource, namespace, name) in &objects {
            match deletion.delete(resource, namespace, name).await {
                Ok(deleted) => pending.extend(deleted),
                Err(error) => errors.push(error),
            }
        }
        for object in pending.iter().filter(|_| args.wait) {
            if let Err(error) = deletion.wait(object).await {
                errors.push(error);
            }
        }
        report::last_error(errors)
    })
}

/// Returns the grace period in seconds that the flags request; that of the pod by default. The rules are kubectl's.
fn grace_period(args: &DeleteArgs) -> anyhow::Result<Option<u32>> {
    match (args.grace_period, args.now, args.force) {
        (Some(_), true, _) => Err(bad_input("--now and --grace-period cannot be specified together")),
        (Some(1..), _, true) => {
            Err(bad_input("--force and --grace-period greater than 0 cannot be specified together"))
        }
        // Only --force deletes a pod that may still run.
        (Some(0), _, false) | (None, true, _) => Ok(Some(1)),
        (None, false, true) => Ok(Some(0)),
        (period, ..) => Ok(period),
    }
}

struct Deletion<'a> {
    client: Client,
    grace_period: Option<u32>,
    args: &'a DeleteArgs,
}

/// An object whose deletion was accepted.
struct DeletedObject {
    list_path: String,
    path: String,
    name: String,
    uid: String,
}

impl Deletion<'_> {
    /// Deletes an object. Returns `None` if it does not exist and need not.
    async fn delete(&self, resource: &Resource, namespace: &str, name: &str) -> anyhow::Result<Option<DeletedObject>> {
        let path = self.client.path(resource, namespace, Some(name));
        if self.args.ignore_not_found && self.client.get_existing(&path).await?.is_none() {
            return Ok(None);
        }
        let mut options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"});
        if let (Some(seconds), Some(options)) = (self.grace_period, options.as_object_mut()) {
            options.insert("gracePeriodSeconds".into(), seconds.into());
        }
        let response = self.client.write(Method::DELETE, &path, client::JSON, &options).await?;
        let (kind, how) =
            (resource_names::singular(resource), if self.args.force { "force deleted" } else { "deleted" });
        match resource.is_namespaced() {
            true => print(&format!("{kind} {name:?} {how} from {namespace} namespace\n"))?,
            false => print(&format!("{kind} {name:?} {how}\n"))?,
        }
        let text = |pointer| response.pointer(pointer).and_then(Value::as_str);
        // A Status if the object is gone already.
        let uid = text("/metadata/uid").or(text("/details/uid")).unwrap_or_default().to_string();
        let list_path = self.client.path(resource, namespace, None);
        Ok(Some(DeletedObject { list_path, path, name: name.into(), uid }))
    }

    /// Waits until an object no longer exists, or another has its name.
    async fn wait(&self, object: &DeletedObject) -> anyhow::Result<()> {
        let uid = |object: &Value| object.pointer("/metadata/uid").and_then(Value::as_str).map(String::from);
        let selector = format!("metadata.name={}", object.name);
        let mut delay = MIN_WATCH_DELAY;
        loop {
            let Some(current) = self.client.get_existing(&object.path).await? else { return Ok(()) };
            if uid(&current).as_ref() != Some(&object.uid) {
                return Ok(());
            }
            let version = current.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default();
            let mut changes = self.client.watch(&object.list_path, version, &selector, client::JSON).await?;
            // The server closes a watch from time to time: look again.
            while let Some(change) = changes.next().await? {
                if change.kind == "DELETED" {
                    return Ok(());
                }
            }
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(MAX_WATCH_DELAY);
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Args, Command};

    #[test]
    fn grace_period_follows_kubectls_rules() {
        for (flags, expected) in [
            ("", Ok(None)),
            ("--grace-period 5", Ok(Some(5))),
            ("--grace-period 0", Ok(Some(1))),
            ("--now", Ok(Some(1))),
            ("--force", Ok(Some(0))),
            ("--force --grace-period 0", Ok(Some(0))),
            ("--now --grace-period 1", Err("--now and --grace-period cannot be specified together")),
            ("--force --grace-period 5", Err("--force and --grace-period greater than 0 cannot be specified together")),
        ] {
            let line = format!("wasmpod delete web {flags}");
            let Command::Delete(args) = Args::parse_from(line.split_whitespace()).command else { panic!("{line}") };
            assert_eq!(
                grace_period(&args).map_err(|error| error.to_string()),
                expected.map_err(String::from),
                "{line}"
            );
        }
    }
}
