"""Manifests for Kubernetes: against the schemas of what would read them, and our rules of safety."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cluster_files import CLUSTER, documents, job_stop_seconds, put
from kubernetes_checks import builtin_problems, pod_templates, ray_problems, safety_problems, strict_schema, unshared

FILES = {
    "namespace.yaml": ["Namespace", "NetworkPolicy", "NetworkPolicy", "NetworkPolicy", "NetworkPolicy"],
    "storage.yaml": ["PersistentVolumeClaim"],
    "postgres.yaml": ["Service", "StatefulSet"],
    "mlflow.yaml": ["PersistentVolumeClaim", "Service", "Deployment"],
    "raycluster.yaml": ["RayCluster"],
    "rayjob.yaml": ["RayJob"],
}


@pytest.fixture(scope="module")
def schemas(test_data: Path) -> dict[str, dict[str, Any]]:
    folder = test_data / "kuberay"
    if not folder.is_dir():
        pytest.skip("needs KubeRay's definitions in the folder kuberay of TADTUNE_TEST_DATA")
    return {
        "RayCluster": strict_schema(folder / "rayclusters.yaml.gz"),
        "RayJob": strict_schema(folder / "rayjobs.yaml.gz"),
    }


def load(name: str, kind: str) -> dict[str, Any]:
    (manifest,) = (document for document in documents(f"kuberay/{name}") if document["kind"] == kind)
    return dict(unshared(manifest))


def test_every_manifest_is_checked() -> None:
    assert {file.name for file in (CLUSTER / "kuberay").iterdir()} == set(FILES)
    for name, kinds in FILES.items():
        assert [document["kind"] for document in documents(f"kuberay/{name}")] == kinds


@pytest.mark.parametrize("name", sorted(FILES))
def test_nothing_is_open(name: str) -> None:
    for manifest in documents(f"kuberay/{name}"):
        assert safety_problems(manifest) == []
        assert manifest["metadata"].get("namespace", "tadtune") == "tadtune"


@pytest.mark.parametrize("name", sorted(set(FILES) - {"raycluster.yaml", "rayjob.yaml"}))
def test_the_api_server_would_take_it(name: str) -> None:
    for manifest in documents(f"kuberay/{name}"):
        assert builtin_problems(manifest) == []


@pytest.mark.parametrize("kind", ["RayCluster", "RayJob"])
def test_kuberay_would_take_it(kind: str, schemas: dict[str, Any]) -> None:
    assert ray_problems(load(f"{kind.lower()}.yaml", kind), schemas[kind]) == []


def test_the_job_runs_on_the_same_cluster() -> None:
    assert load("rayjob.yaml", "RayJob")["spec"]["rayClusterSpec"] == load("raycluster.yaml", "RayCluster")["spec"]


def test_a_retried_job_resumes_and_has_time_to_stop() -> None:
    import yaml

    spec = load("rayjob.yaml", "RayJob")["spec"]
    assert spec["backoffLimit"] > 0
    assert spec["entrypoint"].startswith("tadtune run ")
    assert "--storage /shared/" in spec["entrypoint"]
    job = yaml.safe_load((CLUSTER / "job.yaml").read_text())
    assert yaml.safe_load(spec["runtimeEnvYAML"])["env_vars"] == job["env_vars"]
    assert int(job["env_vars"]["RAY_JOB_STOP_WAIT_TIME_S"]) == job_stop_seconds()


def test_a_policy_closes_the_namespace_and_each_opening_names_its_pods() -> None:
    namespace, closed, *openings = documents("kuberay/namespace.yaml")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert closed["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    for opening in openings:
        assert opening["spec"]["podSelector"]["matchLabels"]
        for rule in opening["spec"]["ingress"]:
            assert all(source["podSelector"]["matchLabels"] for source in rule["from"])
    selectors = [opening["spec"]["podSelector"]["matchLabels"] for opening in openings]
    for name in FILES:
        for manifest in documents(f"kuberay/{name}"):
            for path, pod in pod_templates(manifest):
                labels = pod["metadata"]["labels"].items()
                assert sum(selector.items() <= labels for selector in selectors) == 1, f"{name}: {path}"


def test_mlflow_answers_to_the_names_it_is_asked_by() -> None:
    server = load("mlflow.yaml", "Deployment")["spec"]["template"]["spec"]["containers"][0]
    environment = {item["name"]: item.get("value") for item in server["env"]}
    hosts = environment["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    head = load("raycluster.yaml", "RayCluster")["spec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    uri = next(item["value"] for item in head["env"] if item["name"] == "MLFLOW_TRACKING_URI")
    assert uri.removeprefix("http://") in hosts
    assert {host.partition(":")[0] for host in hosts} == {host for host in hosts if ":" not in host}
    assert server["args"][server["args"].index("--app-name") + 1] == "basic-auth"


OPEN_PASSWORD = {"name": "PGPASSWORD", "value": "x"}
HEAD = "spec.headGroupSpec"
GPU = "spec.workerGroupSpecs.0"
CONTAINER = f"{GPU}.template.spec.containers.0"
SCHEMA_FAULTS: list[tuple[str, str, Any, str]] = [
    ("RayCluster", "spec.authOption", {"mode": "token"}, "authOption"),
    ("RayCluster", "spec.authOptions.mode", "tokn", "tokn"),
    ("RayCluster", "spec.headGroupSpec", None, "headGroupSpec"),
    ("RayCluster", f"{GPU}.minReplica", 0, "minReplica"),
    ("RayCluster", f"{GPU}.maxReplicas", "16", "16"),
    ("RayCluster", f"{CONTAINER}.securityContex", {}, "securityContex"),
    ("RayCluster", f"{CONTAINER}.env.0.valu", "token", "valu"),
    ("RayCluster", "spec.autoscalerOptions.upscalingMode", "Fast", "Fast"),
    ("RayCluster", "metadata.nam", "x", "nam"),
    ("RayJob", "spec.deletionStrategy.deletionRules.0.policy", "DeleteAll", "DeleteAll"),
    ("RayJob", "spec.deletionStrategy.deletionRules.0.policy", "DeleteWorkers", "enableInTreeAutoscaling"),
    ("RayJob", "spec.shutdownAfterJobFinishes", True, "deletionRules exclude"),
    ("RayJob", "spec.backofLimit", 3, "backofLimit"),
    ("RayJob", "spec.submissionMode", "InteractiveMode", "interactive"),
    ("RayJob", "spec.submitterPodTemplate.spec.restart", "Never", "restart"),
]


@pytest.mark.parametrize(("kind", "path", "value", "said"), SCHEMA_FAULTS)
def test_a_fault_in_rays_resources_is_found(
    kind: str, path: str, value: Any, said: str, schemas: dict[str, Any]
) -> None:
    manifest = load(f"{kind.lower()}.yaml", kind)
    put(manifest, path, value)
    found = ray_problems(manifest, schemas[kind])
    assert any(said in line for line in found), found


BUILTIN_FAULTS: list[tuple[str, str, str, Any, str]] = [
    ("mlflow.yaml", "Deployment", "spec.replica", 1, "replica: unknown key"),
    ("mlflow.yaml", "Deployment", "spec.replicas", "1", "is not of type int"),
    ("mlflow.yaml", "Deployment", "spec.selector", None, "selector"),
    ("mlflow.yaml", "Deployment", "spec.template.spec.containers.0.readinessProb", {}, "readinessProb: unknown key"),
    ("mlflow.yaml", "Deployment", "apiVersion", "extensions/v1", "no such kind"),
    ("postgres.yaml", "StatefulSet", "spec.template.spec.volumes.0.emptydir", {}, "emptydir: unknown key"),
    ("postgres.yaml", "Service", "spec.ports.0.port", None, "port"),
    ("storage.yaml", "PersistentVolumeClaim", "spec.accessModes", "ReadWriteMany", "is not a list"),
]


@pytest.mark.parametrize(("name", "kind", "path", "value", "said"), BUILTIN_FAULTS)
def test_a_fault_in_kubernetes_own_resources_is_found(name: str, kind: str, path: str, value: Any, said: str) -> None:
    manifest = load(name, kind)
    put(manifest, path, value)
    found = builtin_problems(manifest)
    assert any(said in line for line in found), found


SAFETY_FAULTS: list[tuple[str, str, str, Any, str]] = [
    ("raycluster.yaml", "RayCluster", "spec.authOptions", None, "authOptions"),
    ("raycluster.yaml", "RayCluster", "spec.authOptions.mode", "disabled", "authOptions"),
    ("raycluster.yaml", "RayCluster", "spec.authOptions.secretName", None, "authOptions"),
    ("raycluster.yaml", "RayCluster", f"{HEAD}.serviceType", "LoadBalancer", "serviceType"),
    ("raycluster.yaml", "RayCluster", f"{HEAD}.enableIngress", True, "enableIngress"),
    ("raycluster.yaml", "RayCluster", f"{CONTAINER}.env.0.value", "disabled", "RAY_AUTH_MODE"),
    ("raycluster.yaml", "RayCluster", f"{CONTAINER}.env.1.value", "3", "RAY_JOB_STOP_WAIT_TIME_S"),
    ("raycluster.yaml", "RayCluster", f"{GPU}.template.spec.terminationGracePeriodSeconds", None, "Grace"),
    ("raycluster.yaml", "RayCluster", f"{GPU}.template.spec.hostNetwork", True, "hostNetwork"),
    ("raycluster.yaml", "RayCluster", f"{GPU}.template.metadata", None, "network policies"),
    ("raycluster.yaml", "RayCluster", f"{GPU}.minReplicas", 1, "never end"),
    ("raycluster.yaml", "RayCluster", f"{CONTAINER}.ports", [{"hostPort": 8265, "containerPort": 8265}], "on the node"),
    ("rayjob.yaml", "RayJob", "spec.submitterPodTemplate.spec.securityContext", None, "as root"),
    ("rayjob.yaml", "RayJob", "spec.rayClusterSpec.authOptions.mode", "disabled", "authOptions"),
    ("mlflow.yaml", "Service", "spec.type", "NodePort", "outside the cluster"),
    ("mlflow.yaml", "Deployment", "spec.template.spec.securityContext.runAsUser", 0, "as root"),
    ("mlflow.yaml", "Deployment", "spec.template.spec.containers.0.image", "tadtune", "no version"),
    (
        "mlflow.yaml",
        "Deployment",
        "spec.template.spec.containers.0.env.5",
        {"name": "PGPASSWORD", "value": "x"},
        "open",
    ),
    (
        "mlflow.yaml",
        "Deployment",
        "spec.template.spec.containers.0.env.0.value",
        "postgresql://mlflow:x@postgres/mlflow",
        "password in a URL",
    ),
    ("postgres.yaml", "StatefulSet", "spec.template.spec.containers.0.securityContext", None, "capabilities"),
    ("postgres.yaml", "StatefulSet", "spec.template.spec.volumes.0", {"name": "x", "hostPath": {"path": "/"}}, "node"),
    ("postgres.yaml", "Service", "kind", "Secret", "secrets"),
]


@pytest.mark.parametrize(("name", "kind", "path", "value", "said"), SAFETY_FAULTS)
def test_an_opening_is_found(name: str, kind: str, path: str, value: Any, said: str) -> None:
    manifest = load(name, kind)
    put(manifest, path, value)
    found = safety_problems(manifest)
    assert any(said in line for line in found), found
