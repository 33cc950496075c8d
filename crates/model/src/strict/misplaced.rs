//! Hints for misplaced and misspelt fields.

use std::collections::VecDeque;

use serde_json::Value as Schema;

use super::path::Step;
use crate::kinds::KindType;
use crate::names::{edit_distance, nearest};
use crate::schema;
use crate::tree::YamlNode;

/// Maximum depth below the field's object of the search for the field's right place.
const MAX_DEPTH: usize = 3;

/// Returns a hint for the unknown field `name` of the object at `path`, whose type has `fields`.
pub fn hint(
    root: &YamlNode<'_>,
    kind: Option<&'static KindType>,
    path: &[Step<'_>],
    name: &str,
    fields: &[&str],
) -> Option<String> {
    let near = nearest(name, fields);
    let did_you_mean = |field: &str| format!("did you mean {field:?}?");
    if let Some(field) = near.filter(|field| edit_distance(&name.to_lowercase(), &field.to_lowercase()) <= 1) {
        return Some(did_you_mean(field));
    }
    let chain = kind.and_then(schema::of).map(|schema| AncestorChain::resolve(root, schema, path)).unwrap_or_default();
    let owner = chain.ancestor_with(name).or_else(|| chain.descendant_with(name));
    owner
        .map(|path| match path.as_str() {
            "" => "move it to the top level of the object: indent it less".to_string(),
            path => format!("move it to {path}"),
        })
        .or_else(|| near.map(did_you_mean))
        .or_else(|| chain.nearest_child(name).map(|field| did_you_mean(&field)))
}

/// An object's type and path, and its node if the document has it.
#[derive(Clone)]
struct TypedNode<'d> {
    node: Option<&'d YamlNode<'d>>,
    schema: &'static Schema,
    path: String,
}

/// The objects from the root to the one with the unknown field.
#[derive(Default)]
struct AncestorChain<'d>(Vec<TypedNode<'d>>);

impl<'d> AncestorChain<'d> {
    fn resolve(root: &'d YamlNode<'d>, schema: &'static Schema, path: &[Step<'_>]) -> AncestorChain<'d> {
        let mut chain = vec![TypedNode { node: Some(root), schema, path: String::new() }];
        for step in path {
            let Some(next) = chain.last().and_then(|object| object.step(step)) else { return AncestorChain::default() };
            chain.push(next);
        }
        AncestorChain(chain)
    }

    /// Returns the path of the nearest enclosing object that has a field `name` and does not set it.
    fn ancestor_with(&self, name: &str) -> Option<String> {
        let is_unset = |object: &&TypedNode<'_>| object.node.is_none_or(|node| node.get(name).is_none());
        let mut enclosing = self.0.iter().rev().skip(1).filter(is_unset);
        enclosing.find(|object| schema::field(object.schema, name).is_some()).map(|object| object.path.clone())
    }

    /// Returns the path of the nearest nested object that has a field `name`: an existing one, or the only one
    /// that an existing one could have.
    fn descendant_with(&self, name: &str) -> Option<String> {
        let here = self.0.last()?;
        let mut queue: VecDeque<(TypedNode<'d>, usize)> = VecDeque::from([(here.clone(), 0)]);
        let mut possible = Vec::new();
        while let Some((object, depth)) = queue.pop_front() {
            if depth > 0 && schema::field(object.schema, name).is_some() {
                match object.node {
                    Some(_) => return Some(object.path),
                    None => possible.push(object.path),
                }
            } else if depth < MAX_DEPTH && object.node.is_some() {
                queue.extend(object.children().into_iter().map(|child| (child, depth + 1)));
            }
        }
        possible.pop().filter(|_| possible.is_empty())
    }

    /// Returns a field of a child with nearly this name: `resources.limits` for `limit`.
    fn nearest_child(&self, name: &str) -> Option<String> {
        let here = self.0.last()?;
        here.children().into_iter().find_map(|child| {
            let (field, _) = schema::fields(child.schema).find(|(field, _)| edit_distance(name, field) == 1)?;
            let path = format!("{}.{field}", child.path);
            Some(path.strip_prefix(&here.path).unwrap_or(&path).trim_start_matches('.').to_string())
        })
    }
}

impl<'d> TypedNode<'d> {
    fn step(&self, step: &Step<'_>) -> Option<TypedNode<'d>> {
        match step {
            Step::Field(name) => {
                let schema = schema::field(self.schema, name).or_else(|| schema::element(self.schema))?;
                Some(self.field(name, schema))
            }
            Step::Index(i) => {
                let node = self.node.and_then(|node| node.items().get(*i));
                Some(TypedNode { node, schema: schema::element(self.schema)?, path: format!("{}[{i}]", self.path) })
            }
        }
    }

    fn field(&self, name: &str, schema: &'static Schema) -> TypedNode<'d> {
        let path = if self.path.is_empty() { name.to_string() } else { format!("{}.{name}", self.path) };
        TypedNode { node: self.node.and_then(|node| node.get(name)), schema, path }
    }

    /// Returns the objects in this one's fields and lists.
    fn children(&self) -> Vec<TypedNode<'d>> {
        let mut children = Vec::new();
        for (name, schema) in schema::fields(self.schema) {
            let child = self.field(name, schema);
            if !schema::is_list(schema) {
                children.push(child);
                continue;
            }
            let Some(element) = schema::element(schema) else { continue };
            match child.node.map_or(0, |node| node.items().len()) {
                0 => children.push(TypedNode { node: None, schema: element, path: format!("{}[]", child.path) }),
                items => children.extend((0..items.min(8)).filter_map(|i| child.step(&Step::Index(i)))),
            }
        }
        children
    }
}
