//! LimitRanges: bounds and defaults of the resources of single objects in a namespace.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{LimitRange, LimitRangeItem};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::Value;
use uuid::Uuid;

use crate::model::{formats, quantity};
use crate::registry::columns;
use crate::registry::fields::{ErrorList, FieldPath};
use crate::registry::metadata;
use crate::registry::pod::totals::is_overcommit_allowed;
use crate::registry::pod::validation::{validate_container_resource_name, validate_resource_name};
use crate::registry::resource_lists::{self, Quantities};
use crate::registry::strategy::{KindInfo, Strategy};

/// Above this many units, ratios are computed from whole units instead of thousandths.
const MAX_MILLI_VALUE: i128 = (i64::MAX / 1000) as i128;

impl Strategy for LimitRange {
    const INFO: KindInfo = KindInfo { short_names: &["limits"], ..KindInfo::new("limitrange", "EBKMFVe6cwo=") };
    const ALLOW_CREATE_ON_UPDATE: bool = true;

    fn cells(&self, _now: Timestamp) -> Vec<Value> {
        columns::name_and_creation(&self.metadata)
    }

    fn set_defaults(&mut self) {
        for item in &mut self.spec.get_or_insert_default().limits {
            if item.type_ == "Container" {
                set_container_defaults(item);
            }
            let lists = [&mut item.max, &mut item.min, &mut item.default, &mut item.default_request];
            lists.into_iter().chain([&mut item.max_limit_request_ratio]).for_each(resource_lists::canonicalize);
        }
    }

    fn prepare_for_create(&mut self) {
        if self.metadata.name.as_deref().unwrap_or_default().is_empty() {
            self.metadata.name = Some(Uuid::new_v4().to_string());
        }
    }

    fn validate(&self, errors: &mut ErrorList) {
        metadata::validate_object_meta(errors, &self.metadata, formats::dns_subdomain);
        let spec = FieldPath::root("spec");
        let list = spec.child("limits");
        let mut types = BTreeSet::new();
        for (i, item) in self.spec.iter().flat_map(|spec| &spec.limits).enumerate() {
            let path = list.index(i);
            validate_type(errors, path.child("type"), &item.type_);
            if !types.insert(item.type_.as_str()) {
                errors.duplicate(path.child("type"), &item.type_);
            }
            validate_item(errors, path, item);
        }
    }

    fn validate_update(&self, _old: &Self, errors: &mut ErrorList) {
        self.validate(errors);
    }
}

/// Sets the default limits to the maxima, and the default requests to the default limits or the minima.
fn set_container_defaults(item: &mut LimitRangeItem) {
    let default = item.default.get_or_insert_default();
    fill(default, item.max.as_ref());
    let default_request = item.default_request.get_or_insert_default();
    fill(default_request, Some(default));
    fill(default_request, item.min.as_ref());
    for list in [&mut item.default, &mut item.default_request] {
        list.take_if(|list| list.is_empty());
    }
}

/// Adds the quantities of resources that `list` lacks.
fn fill(list: &mut Quantities, from: Option<&Quantities>) {
    for (name, quantity) in from.into_iter().flatten() {
        list.entry(name.clone()).or_insert_with(|| quantity.clone());
    }
}

fn validate_type(errors: &mut ErrorList, path: FieldPath<'_>, name: &str) {
    let violations = formats::qualified_name(name);
    if violations.is_empty() && !name.contains('/') && !matches!(name, "Pod" | "Container" | "PersistentVolumeClaim") {
        errors.invalid(path, name, "must be a standard limit type or fully qualified");
    }
    errors.invalid_each(path, name, violations);
}

fn validate_item(errors: &mut ErrorList, path: FieldPath<'_>, item: &LimitRangeItem) {
    let is_pod = item.type_ == "Pod";
    let mut names = BTreeSet::new();
    for (field, list) in [("max", &item.max), ("min", &item.min)] {
        validate_names(errors, path.child(field), item, list, &mut names);
    }
    for (field, list) in [("default", &item.default), ("defaultRequest", &item.default_request)] {
        if !is_pod {
            validate_names(errors, path.child(field), item, list, &mut names);
        } else if list.as_ref().is_some_and(|list| !list.is_empty()) {
            errors.forbidden(path.child(field), "may not be specified when `type` is 'Pod'");
        }
    }
    let has_storage = |list: &Option<Quantities>| list.as_ref().is_some_and(|list| list.contains_key("storage"));
    if item.type_ == "PersistentVolumeClaim" && !has_storage(&item.min) && !has_storage(&item.max) {
        let detail = "either minimum or maximum storage value is required, but neither was provided";
        errors.required(path.child("limits"), detail);
    }
    validate_names(errors, path.child("maxLimitRequestRatio"), item, &item.max_limit_request_ratio, &mut names);
    for name in names {
        let quantity = |list: &'_ Option<Quantities>| list.as_ref().and_then(|list| list.get(name)).cloned();
        let unless_pod = |list: &Option<Quantities>| quantity(list).filter(|_| !is_pod);
        let bounds = Bounds {
            name,
            min: quantity(&item.min),
            max: quantity(&item.max),
            default: unless_pod(&item.default),
            default_request: unless_pod(&item.default_request),
            ratio: quantity(&item.max_limit_request_ratio),
        };
        bounds.validate(errors, path);
    }
}

/// Validates the resource names of a list and adds them to `names`.
fn validate_names<'l>(
    errors: &mut ErrorList,
    path: FieldPath<'_>,
    item: &LimitRangeItem,
    list: &'l Option<Quantities>,
    names: &mut BTreeSet<&'l str>,
) {
    for name in list.iter().flat_map(|list| list.keys()) {
        if matches!(item.type_.as_str(), "Pod" | "Container") {
            validate_container_resource_name(errors, path.key(name), name);
        } else {
            validate_resource_name(errors, path.key(name), name);
        }
        names.insert(name);
    }
}

/// What an item says about one resource.
struct Bounds<'n> {
    name: &'n str,
    min: Option<Quantity>,
    max: Option<Quantity>,
    default: Option<Quantity>,
    default_request: Option<Quantity>,
    ratio: Option<Quantity>,
}

impl Bounds<'_> {
    /// Records the pairs of quantities that contradict each other, under the fields and in the words of Kubernetes.
    fn validate(&self, errors: &mut ErrorList, path: FieldPath<'_>) {
        let Bounds { name, min, max, default, default_request, ratio } = self;
        let mut check =
            |less: &Option<Quantity>, more: &Option<Quantity>, field: &str, shows_less: bool, words: [&str; 2]| {
                let (Some(less), Some(more)) = (less, more) else { return };
                if compare(less, more) == Ordering::Greater {
                    let value = if shows_less { less } else { more };
                    let detail = format!("{} value {} is greater than {} value {}", words[0], less.0, words[1], more.0);
                    errors.invalid(path.child(field).key(name), &value.0, detail);
                }
            };
        check(min, max, "min", true, ["min", "max"]);
        check(min, default_request, "defaultRequest", false, ["min", "default request"]);
        check(default_request, max, "defaultRequest", true, ["default request", "max"]);
        check(default_request, default, "defaultRequest", true, ["default request", "default limit"]);
        check(min, default, "default", true, ["min", "default"]);
        check(default, max, "default", false, ["default", "max"]);
        if let Some(ratio) = ratio {
            let path = path.child("maxLimitRequestRatio");
            self.validate_ratio(errors, path.key(name), ratio);
        }
        if let (Some(default), Some(request)) = (default, default_request)
            && !is_overcommit_allowed(name)
            && compare(default, request) != Ordering::Equal
        {
            let detail =
                format!("default value {} must equal to defaultRequest value {} in {name}", default.0, request.0);
            errors.invalid(path.child("defaultRequest").key(name), &request.0, detail);
        }
    }

    fn validate_ratio(&self, errors: &mut ErrorList, path: FieldPath<'_>, ratio: &Quantity) {
        if quantity::nano(ratio).is_ok_and(|nano| nano < 1_000_000_000) {
            errors.invalid(path, &ratio.0, format!("ratio {} is less than 1", ratio.0));
        }
        let (Some(min), Some(max)) = (&self.min, &self.max) else { return };
        if let Some(limit) = max_ratio(ratio, min, max) {
            let detail = format!("ratio {} is greater than max/min = {limit:.6}", ratio.0);
            errors.invalid(path, &ratio.0, detail);
        }
    }
}

/// Returns max/min if the ratio exceeds it.
fn max_ratio(ratio: &Quantity, min: &Quantity, max: &Quantity) -> Option<f64> {
    let units = [ratio, min, max].map(quantity::units);
    let is_small = units.iter().all(|units| units.as_ref().is_ok_and(|units| *units < MAX_MILLI_VALUE));
    let value = |quantity: &Quantity| match is_small {
        true => quantity::milli(quantity),
        false => quantity::units(quantity),
    };
    // The loss of precision is that of Kubernetes, which computes with 64-bit floats as well.
    #[expect(clippy::cast_precision_loss)]
    let float = |quantity: &Quantity| value(quantity).map(|value| value as f64).ok();
    let ratio = float(ratio)? / if is_small { 1000.0 } else { 1.0 };
    let limit = float(max)? / float(min)?;
    (ratio > limit).then_some(limit)
}

/// Compares two quantities. Those that do not parse count as equal: decoding rejects them.
fn compare(a: &Quantity, b: &Quantity) -> Ordering {
    match (quantity::nano(a), quantity::nano(b)) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        _ => Ordering::Equal,
    }
}
