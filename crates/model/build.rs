//! Collects the schemas of Kubernetes' types, with their documentation, into a compressed file that `schema` reads: one
//! line for each type, its name and its schema as JSON. As code, which builds a schema when it is called, they would be
//! ten times as large.

use std::io::{self, Write};
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use k8s_openapi::api;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ListMeta, Patch};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;

macro_rules! add_types {
    ($generator:ident, $($group:ident::$version:ident: $($kind:ident)+;)+) => {
        $($( $generator.subschema_for::<api::$group::$version::$kind>(); )+)+
    };
}

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut generator = settings.into_generator();
    add_stable_kinds(&mut generator);
    generator.subschema_for::<DeleteOptions>();
    generator.subschema_for::<ListMeta>();
    generator.subschema_for::<Patch>();
    let path = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default()).join("schemas.deflate");
    let mut file = DeflateEncoder::new(std::fs::File::create(path)?, Compression::best());
    for (name, schema) in generator.take_definitions(false) {
        writeln!(file, "{name} {schema}")?;
    }
    file.finish().map(drop)
}

/// Adds all kinds of stable versions and the types that they use, whether wasmpod serves them or not.
fn add_stable_kinds(generator: &mut SchemaGenerator) {
    add_types!(generator,
        admissionregistration::v1: MutatingAdmissionPolicy MutatingAdmissionPolicyBinding MutatingWebhookConfiguration
            ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration;
        apps::v1: ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet;
        authentication::v1: SelfSubjectReview TokenRequest TokenReview;
        authorization::v1: LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview SubjectAccessReview;
        autoscaling::v1: HorizontalPodAutoscaler Scale;
        autoscaling::v2: HorizontalPodAutoscaler;
        batch::v1: CronJob Job;
        certificates::v1: CertificateSigningRequest;
        coordination::v1: Lease;
        core::v1: Binding ComponentStatus ConfigMap Endpoints Event LimitRange Namespace Node PersistentVolume
            PersistentVolumeClaim Pod PodTemplate ReplicationController ResourceQuota Secret Service ServiceAccount;
        discovery::v1: EndpointSlice;
        events::v1: Event;
        flowcontrol::v1: FlowSchema PriorityLevelConfiguration;
        networking::v1: IPAddress Ingress IngressClass NetworkPolicy ServiceCIDR;
        node::v1: RuntimeClass;
        policy::v1: Eviction PodDisruptionBudget;
        rbac::v1: ClusterRole ClusterRoleBinding Role RoleBinding;
        resource::v1: DeviceClass ResourceClaim ResourceClaimTemplate ResourceSlice;
        scheduling::v1: PriorityClass;
        storage::v1: CSIDriver CSINode CSIStorageCapacity StorageClass VolumeAttachment VolumeAttributesClass;
    );
}
