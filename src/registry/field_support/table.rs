//! The table of Pod fields and their support.
//!
//! A row lists fields with the same support. `container` stands for `spec.containers[]` and `spec.initContainers[]`;
//! `field=value` matches that value only and takes precedence over `field`; `field.**` includes all subfields; `*` is any
//! key of a map.

/// The treatment of a field that is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FieldSupport {
    /// The field works as in Kubernetes.
    Enforced,
    /// The pod runs; the field has no meaning in wasmpod and no effect.
    Ignored(&'static str),
    /// The pod runs; the field has no effect yet.
    NotEnforcedYet(&'static str),
    /// The API stores the pod, which stays pending until wasmpod supports the field; a run rejects it.
    KeepsPending(&'static str),
    /// The pod is rejected until wasmpod supports the field.
    NotSupportedYet(&'static str),
    /// The pod is rejected; wasmpod will not support the field.
    Rejected(&'static str),
}

/// Fields with the same support.
#[derive(Debug, Clone, Copy)]
pub struct FieldRow {
    /// The support of the fields.
    pub support: FieldSupport,
    /// The paths of the fields.
    pub fields: &'static [&'static str],
}

const LINUX_ONLY: &str = "it applies to Linux containers only";
const NOT_IMPLEMENTED: &str = "it is not implemented";
const NOT_ENFORCED: &str = "it is not enforced yet";
const ONE_NODE: &str = "wasmpod has only one node";
const NO_DNS: &str = "DNS settings are not implemented yet: pods resolve names of Services and their own";
const NO_DEVICES: &str = "containers have no access to devices";
const NO_PREEMPTION: &str = "priority and preemption are not implemented yet";

const fn row(support: FieldSupport, fields: &'static [&'static str]) -> FieldRow {
    FieldRow { support, fields }
}

/// The table of Pod fields. The first row that matches a field applies.
pub const PODS: &[FieldRow] = &[
    row(
        FieldSupport::NotEnforcedYet(
            "containers always receive SIGTERM, as in Kubernetes without the feature gate ContainerStopSignals",
        ),
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
            "spec.ephemeralContainers[].**",
            "spec.hostAliases[].**",
            "spec.hostname",
            "spec.nodeName",
            "spec.readinessGates[].**",
            "spec.restartPolicy",
            "spec.shareProcessNamespace",
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
            "container.ports[].hostIP",
            "container.ports[].hostPort",
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
            "container.stdin",
            "container.stdinOnce",
            "container.terminationMessagePath",
            "container.terminationMessagePolicy",
            "container.tty",
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
    // Default values and empty parents.
    row(
        FieldSupport::Enforced,
        &[
            "spec.dnsPolicy=ClusterFirst",
            "spec.enableServiceLinks=false",
            "spec.enableServiceLinks=true",
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
    row(FieldSupport::Rejected("pods have an in-memory network of their own"), &["spec.hostNetwork"]),
    row(FieldSupport::Rejected("containers cannot see host processes"), &["spec.hostPID"]),
    row(FieldSupport::Rejected("containers have no shared memory"), &["spec.hostIPC"]),
    row(
        FieldSupport::Rejected("WebAssembly containers cannot be privileged"),
        &["container.securityContext.privileged", "spec.ephemeralContainers[].securityContext.privileged"],
    ),
    row(FieldSupport::Rejected("wasmpod nodes are not Windows nodes"), &["spec.os.name"]),
    row(FieldSupport::Rejected("wasmpod has no runtime classes"), &["spec.runtimeClassName"]),
    row(
        FieldSupport::Rejected(NO_DEVICES),
        &["spec.resourceClaims[].**", "spec.resources.claims[].**", "container.resources.claims[].**"],
    ),
    row(FieldSupport::Rejected(LINUX_ONLY), &["container.volumeDevices[].**"]),
    row(
        FieldSupport::Rejected(
            "wasmpod does not mount disks or network file systems; mount it on the host and use hostPath",
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
        FieldSupport::NotSupportedYet("only emptyDir, hostPath, configMap and secret volumes are implemented"),
        &[
            "spec.volumes[].csi.**",
            "spec.volumes[].downwardAPI.**",
            "spec.volumes[].ephemeral.**",
            "spec.volumes[].image.**",
            "spec.volumes[].projected.**",
        ],
    ),
    row(
        FieldSupport::KeepsPending("the pod stays pending, since no volume is bound to its claim"),
        &["spec.volumes[].persistentVolumeClaim.**"],
    ),
    row(
        FieldSupport::NotSupportedYet("only the service account default exists"),
        &["spec.serviceAccount", "spec.serviceAccountName"],
    ),
    row(
        FieldSupport::NotSupportedYet("only the classes system-cluster-critical and system-node-critical exist"),
        &["spec.priority", "spec.priorityClassName"],
    ),
    row(
        FieldSupport::NotSupportedYet(NOT_IMPLEMENTED),
        &[
            "spec.schedulingGates[].**",
            "container.env[].valueFrom.fileKeyRef.**",
            "container.env[].valueFrom.resourceFieldRef.**",
            "container.volumeMounts[].subPathExpr",
        ],
    ),
    row(
        FieldSupport::NotEnforcedYet(NOT_ENFORCED),
        &["container.resources.limits.*", "container.securityContext.readOnlyRootFilesystem"],
    ),
    row(FieldSupport::NotEnforcedYet("variables of Services are not set yet"), &["spec.enableServiceLinks"]),
    row(FieldSupport::NotEnforcedYet("emptyDir volumes are stored on disk"), &["spec.volumes[].emptyDir.medium"]),
    row(
        FieldSupport::NotEnforcedYet(NO_DNS),
        &["spec.dnsConfig.**", "spec.dnsPolicy", "spec.hostnameOverride", "spec.setHostnameAsFQDN", "spec.subdomain"],
    ),
    row(
        FieldSupport::NotEnforcedYet(
            "service account tokens are not implemented yet: containers find the namespace only",
        ),
        &["spec.automountServiceAccountToken"],
    ),
    row(
        FieldSupport::NotEnforcedYet(NO_PREEMPTION),
        &["spec.preemptionPolicy", "spec.priority=2000000000", "spec.priority=2000001000"],
    ),
    row(
        FieldSupport::NotEnforcedYet(NO_PREEMPTION),
        &["spec.priorityClassName=system-cluster-critical", "spec.priorityClassName=system-node-critical"],
    ),
    row(FieldSupport::NotEnforcedYet("pulling images is not implemented yet"), &["spec.imagePullSecrets[].**"]),
    row(
        FieldSupport::Ignored(ONE_NODE),
        &["spec.affinity.**", "spec.nodeSelector", "spec.schedulingGroup.**", "spec.topologySpreadConstraints[].**"],
    ),
    row(FieldSupport::Ignored("wasmpod has only one scheduler"), &["spec.schedulerName"]),
    row(FieldSupport::Ignored("wasmpod has only one runtime"), &["spec.overhead"]),
    row(
        FieldSupport::Ignored(LINUX_ONLY),
        &[
            "spec.hostUsers",
            "spec.securityContext.**",
            "container.securityContext.**",
            "container.volumeMounts[].mountPropagation",
        ],
    ),
];
