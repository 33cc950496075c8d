//! The way out for a field that stands in the wrong place or is misspelt.

use std::collections::VecDeque;

use serde_json::Value as Schema;

use super::notes::Step;
use crate::names::{distance, nearest};
use crate::schema;
use crate::tree::Node;

/// How far below the place of the field it is looked for.
const MAX_DEPTH: usize = 3;

/// What to write instead of `name`, which no field of the object at `path` is called; `fields` are.
pub fn hint(root: &Node<'_>, kind: &str, path: &[Step<'_>], name: &str, fields: &[&str]) -> Option<String> {
    let near = nearest(name, fields);
    let meant = |field: &str| format!("did you mean {field:?}?");
    if let Some(field) = near.filter(|field| distance(&name.to_lowercase(), &field.to_lowercase()) <= 1) {
        return Some(meant(field));
    }
    let places = schema::of(kind).map(|schema| Places::along(root, schema, path)).unwrap_or_default();
    let elsewhere = places.above(name).or_else(|| places.below(name));
    elsewhere
        .map(|place| match place.as_str() {
            "" => "it belongs to the object itself: indent it less".to_string(),
            place => format!("it belongs to {place}"),
        })
        .or_else(|| near.map(meant))
        .or_else(|| places.nearest_child(name).map(|field| meant(&field)))
}

/// An object of the document, its type, and the path to it.
#[derive(Clone)]
struct Place<'d> {
    node: Option<&'d Node<'d>>,
    schema: &'static Schema,
    path: String,
}

/// The objects from the root to where the field stands.
#[derive(Default)]
struct Places<'d>(Vec<Place<'d>>);

impl<'d> Places<'d> {
    fn along(root: &'d Node<'d>, schema: &'static Schema, path: &[Step<'_>]) -> Places<'d> {
        let mut places = vec![Place { node: Some(root), schema, path: String::new() }];
        for step in path {
            let Some(next) = places.last().and_then(|place| place.step(step)) else { return Places::default() };
            places.push(next);
        }
        Places(places)
    }

    /// The nearest object around the place that has a field `name` and does not set it.
    fn above(&self, name: &str) -> Option<String> {
        let is_free = |place: &&Place<'_>| place.node.is_none_or(|node| node.get(name).is_none());
        let mut around = self.0.iter().rev().skip(1).filter(is_free);
        around.find(|place| schema::field(place.schema, name).is_some()).map(|place| place.path.clone())
    }

    /// The nearest object below the place that has a field `name`: one that is there, or the only one
    /// that might stand in one that is there.
    fn below(&self, name: &str) -> Option<String> {
        let here = self.0.last()?;
        let mut waiting: VecDeque<(Place<'d>, usize)> = VecDeque::from([(here.clone(), 0)]);
        let mut possible = Vec::new();
        while let Some((place, depth)) = waiting.pop_front() {
            if depth > 0 && schema::field(place.schema, name).is_some() {
                match place.node {
                    Some(_) => return Some(place.path),
                    None => possible.push(place.path),
                }
            } else if depth < MAX_DEPTH && place.node.is_some() {
                waiting.extend(place.children().into_iter().map(|child| (child, depth + 1)));
            }
        }
        possible.pop().filter(|_| possible.is_empty())
    }

    /// A field of a child that is spelt like `name`: `resources.limits` for `limit`.
    fn nearest_child(&self, name: &str) -> Option<String> {
        let here = self.0.last()?;
        here.children().into_iter().find_map(|child| {
            let (field, _) = schema::fields(child.schema).find(|(field, _)| distance(name, field) == 1)?;
            let path = format!("{}.{field}", child.path);
            Some(path.strip_prefix(&here.path).unwrap_or(&path).trim_start_matches('.').to_string())
        })
    }
}

impl<'d> Place<'d> {
    fn step(&self, step: &Step<'_>) -> Option<Place<'d>> {
        match step {
            Step::Field(name) => {
                let schema = schema::field(self.schema, name).or_else(|| schema::element(self.schema))?;
                Some(self.below(name, schema))
            }
            Step::Index(i) => {
                let node = self.node.and_then(|node| node.items().get(*i));
                Some(Place { node, schema: schema::element(self.schema)?, path: format!("{}[{i}]", self.path) })
            }
        }
    }

    fn below(&self, name: &str, schema: &'static Schema) -> Place<'d> {
        let path = if self.path.is_empty() { name.to_string() } else { format!("{}.{name}", self.path) };
        Place { node: self.node.and_then(|node| node.get(name)), schema, path }
    }

    /// The objects that are fields of this one, alone or in lists.
    fn children(&self) -> Vec<Place<'d>> {
        let mut children = Vec::new();
        for (name, schema) in schema::fields(self.schema) {
            let child = self.below(name, schema);
            if !schema::is_list(schema) {
                children.push(child);
                continue;
            }
            let Some(element) = schema::element(schema) else { continue };
            match child.node.map_or(0, |node| node.items().len()) {
                0 => children.push(Place { node: None, schema: element, path: format!("{}[]", child.path) }),
                items => children.extend((0..items.min(8)).filter_map(|i| child.step(&Step::Index(i)))),
            }
        }
        children
    }
}
