"""helm/coffee-rt: lints, renders over a matrix of values, every object valid by Kubernetes' own schemas."""

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml

from backend.api.status import CONNECTED_WITHIN_S
from coffee_core.keys import AGGREGATOR_GROUP, WORKER_GROUP, WORKERS_TOPIC
from coffee_core.runstate import READY_FILE
from coffee_core.settings import Settings
from tests.integration.deploy import chart

KUBERNETES = ("1.30", "1.34")
"""The oldest version that the chart says it runs on, and a new one."""
CUSTOM = {"ScaledObject", "TriggerAuthentication", "FlinkDeployment"}
"""Kinds of operators: their schemas are not among Kubernetes' own."""

MATRIX: dict[str, dict[str, Any]] = {
    "defaults": {},
    "v1 alone": {
        "global": {"pipelines": "v1"},
        "stream-worker": {"enabled": False},
        "flink": {"enabled": False},
    },
    "v2 alone, by lag": {
        "global": {"pipelines": "v2"},
        "aggregator": {"enabled": False},
        "stream-worker": {"keda": {"enabled": True, "minReplicas": 0}},
        "flink": {"enabled": False},
    },
    "v2 alone, by lag and with a token": {
        "global": {"pipelines": "v2", "connections": {"apiToken": "hush"}},
        "aggregator": {"enabled": False},
        "stream-worker": {"keda": {"enabled": True}},
        "flink": {"enabled": False},
    },
    "v4 alone": {
        "global": {"pipelines": "v4"},
        "aggregator": {"enabled": False},
        "stream-worker": {"enabled": False},
        "kafka-worker": {"enabled": True},
        "kafka-aggregator": {"enabled": True},
        "flink": {"enabled": False},
    },
    "all five, v4 by lag": {
        "global": {"pipelines": "v1,v2,v3,v4,v5"},
        "kafka-worker": {"enabled": True, "keda": {"enabled": True}},
        "kafka-aggregator": {"enabled": True, "keda": {"enabled": True, "minReplicas": 0}},
        "live-projector": {"enabled": True},
    },
    "v5 alone": {
        "global": {"pipelines": "v5"},
        "aggregator": {"enabled": False},
        "stream-worker": {"enabled": False},
        "live-projector": {"enabled": True},
        "flink": {"enabled": False},
    },
    "v3 alone, by the operator": {
        "global": {"pipelines": "v3"},
        "aggregator": {"enabled": False},
        "stream-worker": {"enabled": False},
        "flink": {"mode": "operator"},
    },
    "a secret of one's own": {
        "global": {
            "connections": {
                "existingSecret": "mine",
                "databaseUrl": "",
                "redisUrl": "",
                "kafkaBootstrapServers": "",
            }
        }
    },
    "fixed replicas, open network": {
        "global": {"networkPolicy": {"enabled": False}, "images": {"pullSecrets": ["registry"]}},
        "api": {"autoscaling": {"enabled": False}, "replicas": 7},
    },
    "servers by TLS": {
        "global": {
            "certificates": {"secret": "pem"},
            "connections": {"kafkaUsername": "coffee", "kafkaPassword": "hush"},
            "settings": {
                "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
                "KAFKA_SSL_CA": "/etc/coffee/certificates/ca.pem",
                "KAFKA_SSL_KEYSTORE": "/etc/coffee/certificates/client.pem",
            },
        }
    },
    "storage by keys": {
        "global": {"networkPolicy": {"apiFrom": [{"kubernetes.io/metadata.name": "ingress"}]}},
        "flink": {"storageSecret": "s3", "storageEndpoint": "http://minio:9000"},
    },
}
SECRETS = {
    *("DATABASE_URL", "REDIS_URL", "KAFKA_BOOTSTRAP_SERVERS", "COFFEE_API_TOKEN"),
    *("KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"),
}
"""What stands in the Secret and nowhere else."""
SCHEMA = json.loads((chart.CHART / "values.schema.json").read_text(encoding="utf-8"))
FLINK_FILES = {
    "Chart.yaml",
    "values.yaml",
    "templates/configmap.yaml",
    "templates/jobmanager-deployment.yaml",
    "templates/jobmanager-service.yaml",
    "templates/taskmanager-deployment.yaml",
    "templates/job-deployment.yaml",
    "templates/_helpers.tpl",
}


def test_helm_lint_has_nothing_to_mend() -> None:
    found = helm_python.lint(str(chart.CHART), strict=True)
    assert found["errors"] == []
    # Below a warning is the advice to have an icon, which would be an address.
    assert [each["error"] for each in found["messages"]] == ["icon is recommended"]


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("case", MATRIX)
def test_every_object_is_valid(case: str, version: str) -> None:
    rendered = chart.objects(MATRIX[case])
    assert rendered
    for each in rendered:
        if each["kind"] not in CUSTOM:
            kubernetes_validate.validate(each, version, strict=True)


def test_the_schemas_can_refuse() -> None:
    service = chart.named("Service", "shop-api")
    service["spec"]["ports"][0]["port"] = "http"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(service, KUBERNETES[1], strict=True)


@pytest.mark.parametrize("case", MATRIX)
def test_names_and_labels_are_whole(case: str) -> None:
    seen = set()
    for each in chart.objects(MATRIX[case]):
        key = (each["kind"], each["metadata"]["name"])
        assert key not in seen
        seen.add(key)
        assert each["metadata"]["labels"]["app.kubernetes.io/part-of"] == "coffee-rt"


@pytest.mark.parametrize("case", MATRIX)
def test_every_pod_is_confined(case: str) -> None:
    for name, pod in chart.pods(MATRIX[case]).items():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in (*pod["containers"], *pod.get("initContainers", ())):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert "memory" in container["resources"]["limits"], name
            assert "cpu" in container["resources"]["requests"], name


@pytest.mark.parametrize("case", MATRIX)
def test_only_flink_has_a_token_of_the_cluster(case: str) -> None:
    for name, pod in chart.pods(MATRIX[case]).items():
        needs_it = name in ("shop-flink-jobmanager", "shop-flink-taskmanager")
        assert pod.get("automountServiceAccountToken", True) is needs_it, name


@pytest.mark.parametrize("case", MATRIX)
def test_every_setting_exists(case: str) -> None:
    known = {each.metadata["env"] for each in fields(Settings)} | {READY_FILE}
    for name, pod in chart.pods(MATRIX[case]).items():
        for container in pod["containers"]:
            assert {each["name"] for each in container.get("env", ())} - {"POD_IP"} <= known, name


def test_every_setting_of_a_pod_can_be_given() -> None:
    pattern = re.compile(SCHEMA["properties"]["global"]["properties"]["settings"]["propertyNames"]["pattern"])
    settings = {each.metadata["env"] for each in fields(Settings)}
    given = {"FLINK_REST_URL", "API_URL"}  # by the chart itself, and by who looks on from outside
    assert {name for name in settings if not pattern.match(name)} == {*SECRETS, *given} - {"COFFEE_API_TOKEN"}
    values = {"apiToken": "hush", "kafkaUsername": "coffee", "kafkaPassword": "hush"}
    secret = chart.named("Secret", "shop-connections", {"global": {"connections": values}})
    assert set(secret["stringData"]) == SECRETS


@pytest.mark.parametrize("mode", ["session", "operator"])
def test_every_pod_has_the_certificates(mode: str) -> None:
    values = chart.merged(MATRIX["servers by TLS"], {"flink": {"mode": mode}})
    specs = chart.pods(values)
    if mode == "operator":
        specs["operator"] = chart.named("FlinkDeployment", "shop-flink", values)["spec"]["podTemplate"]["spec"]
    for name, pod in specs.items():
        (volume,) = [each for each in pod["volumes"] if each["name"] == "certificates"]
        assert volume["secret"]["secretName"] == "pem", name
        for container in (*pod["containers"], *pod.get("initContainers", ())):
            mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
            assert mounts["certificates"] == "/etc/coffee/certificates", name
    assert "certificates" not in str(chart.pods())


def test_the_network_policy_finds_the_operators_pods_and_lets_the_operator_in() -> None:
    values = MATRIX["v3 alone, by the operator"]
    policy = chart.named("NetworkPolicy", "shop-flink", values)["spec"]
    pods = chart.named("FlinkDeployment", "shop-flink", values)["spec"]["podTemplate"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"] == pods
    (rule,) = policy["ingress"]
    names = [each["podSelector"]["matchLabels"]["app.kubernetes.io/name"] for each in rule["from"]]
    assert names == ["flink", "flink-kubernetes-operator"]


def test_an_uninstall_removes_what_an_install_has_made() -> None:
    for case in MATRIX.values():
        for each in chart.objects(case):
            hook = each["metadata"].get("annotations", {})
            if "helm.sh/hook" in hook:  # no part of the release: it goes by its own policy or stays
                assert "hook-succeeded" in hook["helm.sh/hook-delete-policy"], each["metadata"]["name"]
    (job,) = [each for each in chart.objects() if each["kind"] == "Job"]
    pod = job["spec"]["template"]["spec"]
    for container in (*pod["containers"], *pod["initContainers"]):
        # The release's own Secret is not there yet when the migrations run.
        assert container["envFrom"] == [{"secretRef": {"name": "shop-db-migrate"}}]
    secrets = [chart.named("Secret", name) for name in ("shop-db-migrate", "shop-connections")]
    assert secrets[0]["stringData"] == secrets[1]["stringData"]


def test_the_addresses_are_in_the_secret_alone() -> None:
    for each in chart.objects():
        if each["kind"] != "Secret":
            assert "secret@db" not in str(each)
    assert (
        chart.named("Secret", "shop-connections")["stringData"]["DATABASE_URL"] == chart.CONNECTIONS["databaseUrl"]
    )
    assert not [each for each in chart.objects(MATRIX["a secret of one's own"]) if each["kind"] == "Secret"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"global": {"pipelines": "v9"}}, "pipelines"),
        ({"global": {"settings": {"PATH": "/"}}}, "PATH"),
        ({"global": {"settings": {"KAFKA_SASL_PASSWORD": "hush"}}}, "KAFKA_SASL_PASSWORD"),
        ({"flink": {"mode": "yarn"}}, "mode"),
        ({"api": {"replicas": 0}}, "replicas"),
        ({"global": {"pipelines": "v1,v2"}}, "flink.enabled is true"),
        ({"global": {"pipelines": "v1,v2,v3,v5"}}, "live-projector.enabled is false"),
        (chart.merged(MATRIX["v4 alone"], {"kafka-worker": {"enabled": False}}), "kafka-worker.enabled is false"),
        (
            chart.merged(MATRIX["v4 alone"], {"kafka-aggregator": {"enabled": False}}),
            "kafka-aggregator.enabled is",
        ),
        (
            chart.merged(MATRIX["v4 alone"], {"global": {"connections": {"kafkaBootstrapServers": ""}}}),
            "kafkaBoot",
        ),
        ({"kafka-worker": {"keda": {"lagEntries": 9}}}, "lagEntries"),
        ({"global": {"connections": {"redisUrl": ""}}}, "redisUrl"),
        ({"global": {"connections": {"databaseUrl": "db/coffee"}}}, "databaseUrl"),
    ],
)
def test_values_that_cannot_work_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(helm_python.HelmError, match=words):
        chart.rendered(values)


def test_the_flink_chart_has_the_founding_files_and_no_others() -> None:
    folder = chart.CHART / "charts" / "flink"
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == FLINK_FILES


def test_the_operator_takes_the_place_of_the_deployments() -> None:
    session = {(each["kind"], each["metadata"]["name"]) for each in chart.objects()}
    operator = {
        (each["kind"], each["metadata"]["name"]) for each in chart.objects(MATRIX["v3 alone, by the operator"])
    }
    assert ("Deployment", "shop-flink-jobmanager") in session - operator
    assert ("FlinkDeployment", "shop-flink") in operator - session
    (submitter,) = chart.pods(MATRIX["v3 alone, by the operator"])["shop-flink-job"]["containers"]
    assert {"name": "FLINK_REST_URL", "value": "http://shop-flink-rest:8081"} in submitter["env"]


def test_keda_shows_the_token_that_metrics_asks_for() -> None:
    (trigger,) = chart.named("ScaledObject", "shop-stream-worker", MATRIX["v2 alone, by lag"])["spec"]["triggers"]
    assert "authMode" not in trigger["metadata"]
    assert "authenticationRef" not in trigger
    own = {"existingSecret": "mine", "databaseUrl": "", "redisUrl": "", "kafkaBootstrapServers": ""}
    theirs = {"global": {"connections": own}, "stream-worker": {"keda": {"apiToken": True}}}
    for secret, values in (("shop-connections", {}), ("mine", theirs)):
        case = chart.merged(MATRIX["v2 alone, by lag and with a token"], values)
        (trigger,) = chart.named("ScaledObject", "shop-stream-worker", case)["spec"]["triggers"]
        assert trigger["metadata"]["authMode"] == "bearer"
        shown = chart.named("TriggerAuthentication", trigger["authenticationRef"]["name"], case)
        assert shown["spec"] == {
            "secretTargetRef": [{"parameter": "token", "name": secret, "key": "COFFEE_API_TOKEN"}]
        }


def test_each_group_of_v4_has_members_of_its_own_whose_names_are_their_pods() -> None:
    modules = {"shop-kafka-worker": "worker", "shop-kafka-aggregator": "aggregator"}
    pods = chart.pods(MATRIX["v4 alone"])
    for name, module in modules.items():
        (container,) = pods[name]["containers"]
        assert container["command"] == ["python", "-m", f"backend.pipelines.v4_workers.{module}"]
        (named,) = [each for each in container["env"] if each["name"] == "COFFEE_WORKER_NAME"]
        assert named["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
        budget = chart.named("PodDisruptionBudget", name, MATRIX["v4 alone"])["spec"]
        policy = chart.named("NetworkPolicy", name, MATRIX["v4 alone"])["spec"]
        labels = chart.named("Deployment", name, MATRIX["v4 alone"])["spec"]["template"]["metadata"]["labels"]
        for selector in (budget["selector"], policy["podSelector"]):
            assert selector["matchLabels"].items() <= labels.items()
        assert "ingress" not in policy
    (container,) = pods["shop-db-migrate"]["containers"]
    assert container["command"] == ["python", "-m", "backend.stack.topics"]


def test_keda_asks_the_broker_for_the_lag_of_each_group_of_v4_as_our_settings_ask_for_it() -> None:
    groups = {"shop-kafka-worker": WORKER_GROUP, "shop-kafka-aggregator": AGGREGATOR_GROUP}
    plain = MATRIX["all five, v4 by lag"]
    secured = chart.merged(plain, MATRIX["servers by TLS"])
    for name, group in groups.items():
        assert "replicas" not in chart.named("Deployment", name, plain)["spec"]
        (trigger,) = chart.named("ScaledObject", name, plain)["spec"]["triggers"]
        assert trigger["type"] == "kafka"
        asked = trigger["metadata"]
        assert (asked["topic"], asked["consumerGroup"]) == (WORKERS_TOPIC, group)
        assert asked["bootstrapServersFromEnv"] in SECRETS
        assert "authenticationRef" not in trigger
        assert not {"sasl", "tls"} & asked.keys()
        (trigger,) = chart.named("ScaledObject", name, secured)["spec"]["triggers"]
        assert (trigger["metadata"]["sasl"], trigger["metadata"]["tls"]) == ("scram_sha512", "enable")
        shown = chart.named("TriggerAuthentication", trigger["authenticationRef"]["name"], secured)
        assert {each["parameter"]: (each["name"], each["key"]) for each in shown["spec"]["secretTargetRef"]} == {
            "username": ("shop-connections", "KAFKA_SASL_USERNAME"),
            "password": ("shop-connections", "KAFKA_SASL_PASSWORD"),
            "ca": ("pem", "ca.pem"),
            "cert": ("pem", "client.pem"),
            "key": ("pem", "client.pem"),
        }


@pytest.mark.parametrize(
    ("mechanism", "word"),
    [("PLAIN", "plaintext"), ("SCRAM-SHA-256", "scram_sha256"), ("SCRAM-SHA-512", "scram_sha512")],
)
def test_keda_has_a_word_of_its_own_for_each_mechanism(mechanism: str, word: str) -> None:
    settings = {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SASL_MECHANISM": mechanism}
    values = chart.merged(MATRIX["all five, v4 by lag"], {"global": {"settings": settings}})
    (trigger,) = chart.named("ScaledObject", "shop-kafka-worker", values)["spec"]["triggers"]
    assert trigger["metadata"]["sasl"] == word
    assert "tls" not in trigger["metadata"]


def test_a_new_pod_of_the_api_is_sent_orders_once_its_servers_have_answered() -> None:
    (container,) = chart.pods()["shop-api"]["containers"]
    assert container["startupProbe"]["httpGet"]["path"] == "/startupz"
    allowed_s = container["startupProbe"]["periodSeconds"] * container["startupProbe"]["failureThreshold"]
    assert allowed_s > CONNECTED_WITHIN_S


@pytest.mark.parametrize(
    "example", sorted((chart.CHART.parent / "examples").glob("*.yaml")), ids=lambda path: path.stem
)
def test_the_examples_are_of_versions_that_the_operators_serve(example: Path) -> None:
    served = {"kafka.strimzi.io/v1", "postgresql.cnpg.io/v1"}
    assert {each["apiVersion"] for each in yaml.safe_load_all(example.read_text(encoding="utf-8"))} <= served
