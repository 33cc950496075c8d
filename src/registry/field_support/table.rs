//! What becomes of every field of a Pod, in one table.
//!
//! A row gives fields one fate. `container` stands for `spec.containers[]` and `spec.initContainers[]`;
//! `field=value` is the row of that value alone, and comes before that of all others; `field.**` is the
//! field with all below it; `*` is any key of a map.

/// What becomes of a field that is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FieldSupport {
    /// It works as in Kubernetes.
    Enforced,
    /// The pod runs, and the field has no effect and never will: it has no meaning here.
    Inert(&'static str),
    /// The pod runs, and the field has no effect yet.
    NotEnforced(&'static str),
    /// A pod that asks for it is refused so far.
    NotYet(&'static str),
    /// A pod that asks for it is refused for good.
    Refused(&'static str),
}

/// Fields with one fate.
#[derive(Debug, Clone, Copy)]
pub struct FieldRow {
    /// Their fate.
    pub state: FieldSupport,
    /// Their paths.
    pub fields: &'static [&'static str],
}

const NO_LINUX: &str = "it has no meaning without Linux";
const NOT_YET: &str = "it is not supported";
const NOT_ENFORCED: &str = "it is not enforced yet";
const ONE_NODE: &str = "there is one node";
const NO_NAMES: &str = "pods look up no names yet";
const NO_DEVICES: &str = "guests have no devices";
const NO_TOKENS: &str = "pods get no tokens yet";
const NO_PRIORITY: &str = "no pod makes room for another yet";

const fn row(state: FieldSupport, fields: &'static [&'static str]) -> FieldRow {
    FieldRow { state, fields }
}

/// The table. Of the rows that fit a field, the first counts.
pub const PODS: &[FieldRow] = &[
    row(
        FieldSupport::NotEnforced("every container is sent SIGTERM, as where Kubernetes' feature is off"),
        &["container.lifecycle.stopSignal"],
    ),
    row(
        FieldSupport::Enforced,
        &[
            "apiVersion",
            "kind",
            "metadata.**",
            "spec",
            "spec.containers[]",
            "spec.initContainers[]",
            "spec.activeDeadlineSeconds",
            "spec.enableServiceLinks",
            "spec.ephemeralContainers[].**",
            "spec.hostAliases[].**",
            "spec.hostname",
            "spec.nodeName",
            "spec.readinessGates[].**",
            "spec.restartPolicy",
            "spec.terminationGracePeriodSeconds",
            "spec.tolerations[].**",
            "status.**",
        ],
    ),
    row(
        FieldSupport::Enforced,
        &[
            "container.name",
            "container.image",
            "container.imagePullPolicy",
            "container.command[]",
            "container.args[]",
            "container.workingDir",
            "container.env[]",
            "container.env[].name",
            "container.env[].value",
            "container.env[].valueFrom",
            "container.env[].valueFrom.configMapKeyRef.**",
            "container.env[].valueFrom.fieldRef.**",
            "container.env[].valueFrom.secretKeyRef.**",
            "container.envFrom[].**",
            "container.lifecycle",
            "container.lifecycle.postStart.**",
            "container.lifecycle.preStop.**",
            "container.livenessProbe.**",
            "container.ports[]",
            "container.ports[].name",
            "container.ports[].containerPort",
            "container.ports[].protocol",
            "container.readinessProbe.**",
            "container.resizePolicy[].**",
            "container.resources",
            "container.resources.limits",
            "container.resources.limits.cpu",
            "container.resources.limits.ephemeral-storage",
            "container.resources.limits.memory",
            "container.resources.requests",
            "container.restartPolicy",
            "container.restartPolicyRules[].**",
            "container.securityContext.runAsNonRoot",
            "container.startupProbe.**",
            "container.terminationMessagePath",
            "container.terminationMessagePolicy",
            "container.volumeMounts[]",
            "container.volumeMounts[].name",
            "container.volumeMounts[].mountPath",
            "container.volumeMounts[].readOnly",
            "container.volumeMounts[].recursiveReadOnly",
            "container.volumeMounts[].subPath",
            "spec.volumes[]",
            "spec.volumes[].name",
            "spec.securityContext.runAsNonRoot",
            "spec.volumes[].configMap.**",
            "spec.volumes[].emptyDir",
            "spec.volumes[].emptyDir.sizeLimit",
            "spec.volumes[].hostPath.**",
            "spec.volumes[].secret.**",
        ],
    ),
    // What Kubernetes fills in, and what asks for nothing.
    row(
        FieldSupport::Enforced,
        &[
            "spec.dnsPolicy=ClusterFirst",
            "spec.os",
            "spec.os.name=linux",
            "spec.preemptionPolicy=PreemptLowerPriority",
            "spec.priority=0",
            "spec.resources",
            "spec.resources.limits",
            "spec.resources.requests",
            "spec.schedulerName=default-scheduler",
            "spec.securityContext",
            "spec.serviceAccount=default",
            "spec.serviceAccountName=default",
            "container.securityContext",
            "container.volumeMounts[].mountPropagation=None",
        ],
    ),
    row(FieldSupport::Refused("a pod's network is in memory and never the host's"), &["spec.hostNetwork"]),
    row(FieldSupport::Refused("guests see no host processes"), &["spec.hostPID"]),
    row(FieldSupport::Refused("guests have no shared memory"), &["spec.hostIPC"]),
    row(FieldSupport::Refused("guests have no privileges to be given"), &["container.securityContext.privileged"]),
    row(FieldSupport::Refused("wasmpod's node runs WebAssembly and is no Windows"), &["spec.os.name"]),
    row(
        FieldSupport::Refused(NO_DEVICES),
        &["spec.resourceClaims[].**", "spec.resources.claims[].**", "container.resources.claims[].**"],
    ),
    row(FieldSupport::Refused(NO_LINUX), &["container.volumeDevices[].**"]),
    row(
        FieldSupport::Refused(
            "wasmpod mounts no disks and no network file systems: mount it on the host and use hostPath",
        ),
        &[
            "spec.volumes[].awsElasticBlockStore.**",
            "spec.volumes[].azureDisk.**",
            "spec.volumes[].azureFile.**",
            "spec.volumes[].cephfs.**",
            "spec.volumes[].cinder.**",
            "spec.volumes[].fc.**",
            "spec.volumes[].flexVolume.**",
            "spec.volumes[].flocker.**",
            "spec.volumes[].gcePersistentDisk.**",
            "spec.volumes[].gitRepo.**",
            "spec.volumes[].glusterfs.**",
            "spec.volumes[].iscsi.**",
            "spec.volumes[].nfs.**",
            "spec.volumes[].photonPersistentDisk.**",
            "spec.volumes[].portworxVolume.**",
            "spec.volumes[].quobyte.**",
            "spec.volumes[].rbd.**",
            "spec.volumes[].scaleIO.**",
            "spec.volumes[].storageos.**",
            "spec.volumes[].vsphereVolume.**",
        ],
    ),
    row(
        FieldSupport::NotYet("volumes are emptyDir, hostPath, configMap or secret so far"),
        &[
            "spec.volumes[].csi.**",
            "spec.volumes[].downwardAPI.**",
            "spec.volumes[].ephemeral.**",
            "spec.volumes[].image.**",
            "spec.volumes[].persistentVolumeClaim.**",
            "spec.volumes[].projected.**",
        ],
    ),
    row(
        FieldSupport::NotYet(NOT_YET),
        &[
            "spec.schedulingGates[].**",
            "container.env[].valueFrom.fileKeyRef.**",
            "container.env[].valueFrom.resourceFieldRef.**",
            "container.volumeMounts[].subPathExpr",
        ],
    ),
    row(
        FieldSupport::NotEnforced(NOT_ENFORCED),
        &[
            "container.ports[].hostIP",
            "container.ports[].hostPort",
            "container.resources.limits.*",
            "container.securityContext.readOnlyRootFilesystem",
            "container.stdin",
            "container.stdinOnce",
            "container.tty",
        ],
    ),
    row(FieldSupport::NotEnforced("emptyDir volumes lie on disk so far"), &["spec.volumes[].emptyDir.medium"]),
    row(
        FieldSupport::NotEnforced(NO_NAMES),
        &["spec.dnsConfig.**", "spec.dnsPolicy", "spec.hostnameOverride", "spec.setHostnameAsFQDN", "spec.subdomain"],
    ),
    row(
        FieldSupport::NotEnforced(NO_TOKENS),
        &["spec.automountServiceAccountToken", "spec.serviceAccount", "spec.serviceAccountName"],
    ),
    row(FieldSupport::NotEnforced(NO_PRIORITY), &["spec.preemptionPolicy", "spec.priority", "spec.priorityClassName"]),
    row(FieldSupport::NotEnforced("wasmpod pulls no images yet"), &["spec.imagePullSecrets[].**"]),
    row(
        FieldSupport::Inert(ONE_NODE),
        &["spec.affinity.**", "spec.nodeSelector", "spec.schedulingGroup.**", "spec.topologySpreadConstraints[].**"],
    ),
    row(FieldSupport::Inert("there is one scheduler"), &["spec.schedulerName"]),
    row(FieldSupport::Inert("wasmpod has one runtime"), &["spec.overhead", "spec.runtimeClassName"]),
    row(
        FieldSupport::Inert(NO_LINUX),
        &[
            "spec.hostUsers",
            "spec.securityContext.**",
            "spec.shareProcessNamespace",
            "container.securityContext.**",
            "container.volumeMounts[].mountPropagation",
        ],
    ),
];
