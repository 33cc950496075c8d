//! Resources and objects as users name them: `pods`, `po`, `cm/settings`.

use super::exit::bad_input;
use crate::apiserver::served::{self, ServedResource};
use crate::control::Resource;
use crate::registry::kinds;

/// Returns the resource of this plural, singular or short name, or of this kind.
pub fn find(name: &str) -> Option<ServedResource> {
    let kind = kinds::resolve(name)?;
    served::find(kind.names().group, kind.names().version, kind.names().plural)
}

/// Returns the resource of this name.
///
/// # Errors
///
/// Fails in kubectl's words if the server has no such resource.
pub fn resolve(name: &str) -> anyhow::Result<ServedResource> {
    find(name).ok_or_else(|| bad_input(format!("the server doesn't have a resource type {name:?}")))
}

/// Returns the singular name, as in `pod/web`.
pub fn singular(resource: &Resource) -> &str {
    let served = served::find(resource.group(), resource.version(), resource.plural());
    served.map_or(resource.plural(), |served| served.info().singular)
}

/// Returns the objects that arguments name: `KIND NAME…`, `KIND/NAME…`, or pods by their names alone.
pub fn objects(arguments: &[String]) -> anyhow::Result<Vec<(Resource, String)>> {
    if let [kind, names @ ..] = arguments
        && !names.is_empty()
        && let Some(served) = find(kind)
    {
        return names.iter().map(|name| object(name, &served.resource())).collect();
    }
    arguments.iter().map(|name| object(name, &Resource::PODS)).collect()
}

fn object(argument: &str, resource: &Resource) -> anyhow::Result<(Resource, String)> {
    match argument.split_once('/') {
        Some((kind, name)) => Ok((resolve(kind)?.resource(), name.into())),
        None => Ok((resource.clone(), argument.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_named_by_kind_or_are_pods() {
        let check = |arguments: &[&str], expected: &[(Resource, &str)]| {
            let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
            let named = objects(&arguments).expect("objects");
            let named: Vec<(Resource, &str)> = named.iter().map(|(kind, name)| (kind.clone(), name.as_str())).collect();
            assert_eq!(named, expected, "{arguments:?}");
        };
        check(&["web", "db"], &[(Resource::PODS, "web"), (Resource::PODS, "db")]);
        check(&["cm", "a", "b"], &[(Resource::CONFIG_MAPS, "a"), (Resource::CONFIG_MAPS, "b")]);
        check(&["Pod", "web"], &[(Resource::PODS, "web")]);
        check(&["po/web", "secrets/s"], &[(Resource::PODS, "web"), (Resource::SECRETS, "s")]);
        // A pod may have the name of a resource.
        check(&["pod"], &[(Resource::PODS, "pod")]);
        let error = objects(&["wings/web".into()]).expect_err("not served").to_string();
        assert_eq!(error, "the server doesn't have a resource type \"wings\"");
    }
}
