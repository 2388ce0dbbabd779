//! The Kubernetes manifests: what they name of one another is there, and the configuration within loads.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use super::{drain, installed, loads, text, texts, variables, yaml};
use crate::clients::root;

const FOLDER: &str = "deploy/kubernetes";

/// All objects that a kustomization lists, by kind and name.
fn objects(folder: &str) -> BTreeMap<(String, String), Value> {
    let kustomization = yaml(&format!("{folder}/kustomization.yaml"));
    let mut all = BTreeMap::new();
    for file in texts(&kustomization[0]["resources"]) {
        for object in yaml(&format!("{folder}/{file}")) {
            let key = (text(&object["kind"]).to_owned(), text(&object["metadata"]["name"]).to_owned());
            assert!(object["apiVersion"].is_string(), "{key:?}");
            assert!(all.insert(key.clone(), object).is_none(), "{key:?} is there twice");
        }
    }
    all
}

fn object(kind: &str, name: &str) -> Value {
    let mut objects = objects(FOLDER);
    objects.remove(&(kind.to_owned(), name.to_owned())).unwrap_or_else(|| panic!("no {kind} {name}"))
}

fn set() -> Value {
    object("StatefulSet", "dimmer")["spec"].clone()
}

fn container() -> Value {
    let containers = set()["template"]["spec"]["containers"].as_array().unwrap().clone();
    assert_eq!(containers.len(), 1);
    containers[0].clone()
}

fn routes() -> String {
    text(&object("ConfigMap", "dimmer")["data"]["routes.toml"]).to_owned()
}

/// Whether labels have all that a selector asks for.
fn selects(selector: &Value, labels: &Value) -> bool {
    selector
        .as_object()
        .is_some_and(|wanted| !wanted.is_empty() && wanted.iter().all(|(key, value)| labels[key] == *value))
}

fn port_names() -> Vec<String> {
    container()["ports"].as_array().unwrap().iter().map(|port| text(&port["name"]).to_owned()).collect()
}

#[test]
fn every_manifest_is_listed() {
    for folder in [FOLDER.to_owned(), format!("{FOLDER}/monitoring")] {
        let listed = yaml(&format!("{folder}/kustomization.yaml"));
        let mut listed: Vec<&str> = texts(&listed[0]["resources"]);
        let mut there: Vec<String> = std::fs::read_dir(root().join(&folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".yaml") && name != "kustomization.yaml")
            .collect();
        listed.sort_unstable();
        there.sort();
        assert_eq!(listed, there, "{folder}");
    }
}

#[test]
fn the_configuration_loads_and_gets_what_it_wants() {
    let routes = routes();
    loads(&routes);
    let container = container();
    let mut given: Vec<&str> =
        container["env"].as_array().unwrap().iter().map(|one| text(&one["name"])).collect();
    given.sort_unstable();
    assert_eq!(given, variables(&routes));
    for one in container["env"].as_array().unwrap() {
        let from = &one["valueFrom"]["secretKeyRef"];
        assert_eq!(from["name"], "dimmer", "{one}");
        let key = text(&from["key"]);
        assert_eq!(format!("DIMMER_{}", key.to_uppercase()), text(&one["name"]));
        assert!(page().contains(&format!("--from-literal={key}=")), "docs/deploy.md makes {key}");
    }
}

fn page() -> String {
    super::there("docs/deploy.md")
}

#[test]
fn selectors_find_the_pods() {
    let set = set();
    let labels = &set["template"]["metadata"]["labels"];
    assert!(selects(&set["selector"]["matchLabels"], labels));
    for service in ["dimmer", "dimmer-admin"] {
        assert!(selects(&object("Service", service)["spec"]["selector"], labels), "{service}");
    }
    let budget = object("PodDisruptionBudget", "dimmer");
    assert!(selects(&budget["spec"]["selector"]["matchLabels"], labels));
    let policy = object("NetworkPolicy", "dimmer");
    assert!(selects(&policy["spec"]["podSelector"]["matchLabels"], labels));
    let spread = &set["template"]["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"];
    assert!(selects(spread, labels));
    // It gives each pod its name.
    assert_eq!(set["serviceName"], "dimmer-admin");
    assert_eq!(object("Service", "dimmer-admin")["spec"]["clusterIP"], "None");
}

#[test]
fn ports_have_the_names_by_which_they_are_meant() {
    let (container, names) = (container(), port_names());
    let table: toml::Table = routes().parse().unwrap();
    for (name, listener) in [("http", "server"), ("admin", "admin")] {
        let listen = table[listener]["listen"].as_str().unwrap();
        let port = container["ports"].as_array().unwrap().iter().find(|port| port["name"] == name).unwrap();
        assert_eq!(listen, format!("0.0.0.0:{}", port["containerPort"]));
    }
    for service in ["dimmer", "dimmer-admin"] {
        for port in object("Service", service)["spec"]["ports"].as_array().unwrap() {
            assert!(names.iter().any(|name| port["targetPort"] == **name), "{service}: {port}");
        }
    }
    for (probe, path) in
        [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")]
    {
        let asked = &container[probe]["httpGet"];
        assert_eq!((text(&asked["port"]), text(&asked["path"])), ("admin", path), "{probe}");
    }
    for rule in object("NetworkPolicy", "dimmer")["spec"]["ingress"].as_array().unwrap() {
        for port in rule["ports"].as_array().unwrap() {
            assert!(names.iter().any(|name| port["port"] == **name), "{port}");
        }
    }
}

#[test]
fn what_is_mounted_is_what_is_read_and_written() {
    let (set, container) = (set(), container());
    let args = texts(&container["args"]);
    assert_eq!(args, ["serve", "--config", "/etc/dimmer/routes.toml"]);
    let mounts = container["volumeMounts"].as_array().unwrap();
    let mounted = |path: &str| {
        let found =
            mounts.iter().find(|mount| mount["mountPath"] == path).unwrap_or_else(|| panic!("{path}"));
        assert!(found.get("subPath").is_none(), "a file that is mounted alone stays the old one");
        text(&found["name"]).to_owned()
    };
    let config = mounted("/etc/dimmer");
    let volumes = set["template"]["spec"]["volumes"].as_array().unwrap();
    let volume = volumes.iter().find(|volume| volume["name"] == *config).unwrap();
    assert_eq!(volume["configMap"]["name"], "dimmer");
    let state = mounted("/var/lib/dimmer");
    assert!(
        set["volumeClaimTemplates"]
            .as_array()
            .unwrap()
            .iter()
            .any(|claim| claim["metadata"]["name"] == *state)
    );
    let table: toml::Table = routes().parse().unwrap();
    assert!(table["state"]["url"].as_str().unwrap().starts_with("sqlite:/var/lib/dimmer/"));
}

#[test]
fn pods_end_well_and_have_no_rights() {
    let (set, container) = (set(), container());
    let pod = &set["template"]["spec"];
    let before = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap();
    let patience = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(patience >= before + drain(&routes()) + super::LAST_WRITES, "{patience} s");
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    let user = pod["securityContext"]["runAsUser"].as_u64().unwrap();
    assert!(super::there("Dockerfile").contains(&format!("USER {user}:{user}")), "the image's own user");
    assert_eq!(pod["securityContext"]["fsGroup"].as_u64(), Some(user), "it may write its volume");
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    let own = &container["securityContext"];
    assert_eq!(
        (&own["allowPrivilegeEscalation"], &own["readOnlyRootFilesystem"]),
        (&false.into(), &true.into())
    );
    assert_eq!(texts(&own["capabilities"]["drop"]), ["ALL"]);
    let table: toml::Table = routes().parse().unwrap();
    let held =
        table["server"]["limits"]["memory"].as_str().unwrap().trim_end_matches("MiB").parse::<u64>().unwrap();
    let limit =
        text(&container["resources"]["limits"]["memory"]).trim_end_matches("Gi").parse::<u64>().unwrap();
    assert!(held * 2 <= limit * 1024, "held bodies are half of the memory at most");
    let minimum = object("PodDisruptionBudget", "dimmer")["spec"]["maxUnavailable"].as_u64().unwrap();
    assert!(minimum < set["replicas"].as_u64().unwrap(), "somebody serves while a node is drained");
}

#[test]
fn the_operator_of_prometheus_finds_every_pod() {
    let monitor = yaml(&format!("{FOLDER}/monitoring/servicemonitor.yaml")).remove(0);
    let service = object("Service", "dimmer-admin");
    assert!(selects(&monitor["spec"]["selector"]["matchLabels"], &service["metadata"]["labels"]));
    let data = object("Service", "dimmer");
    assert!(
        !selects(&monitor["spec"]["selector"]["matchLabels"], &data["metadata"]["labels"]),
        "the data listener has no metrics"
    );
    let endpoint = &monitor["spec"]["endpoints"][0];
    assert_eq!(endpoint["port"], service["spec"]["ports"][0]["name"]);
    let key = text(&endpoint["authorization"]["credentials"]["key"]);
    assert_eq!(key, "prometheus_token");
    assert!(routes().contains("role = \"viewer\", token = \"${DIMMER_PROMETHEUS_TOKEN}\""));
    // Alerts ask for this job.
    let label = text(&monitor["spec"]["jobLabel"]).to_owned();
    assert_eq!(service["metadata"]["labels"][&label], "dimmer");
}

/// The rule files as one object, where there are some.
#[test]
fn rule_files_become_one_object() {
    let folder = tempfile::tempdir().unwrap();
    let monitoring = folder.path().join("deploy/kubernetes/monitoring");
    let rules = folder.path().join("deploy/prometheus/rules");
    for made in [&monitoring, &rules] {
        std::fs::create_dir_all(made).unwrap();
    }
    let script = monitoring.join("prometheusrule");
    std::fs::copy(root().join(FOLDER).join("monitoring/prometheusrule"), &script).unwrap();
    let run = || Command::new(&script).output().unwrap();
    let none = run();
    assert!(!none.status.success());
    assert!(String::from_utf8_lossy(&none.stderr).contains("has no rule file"));
    std::fs::write(rules.join("../prometheus.yml"), "global: {}\n").unwrap();
    for name in ["a", "b"] {
        let group = format!(
            "# Rules.\ngroups:\n  - name: {name}\n    rules:\n      - record: r:{name}\n        expr: |\n          up\n\n          > 0\n"
        );
        std::fs::write(rules.join(format!("{name}.yml")), group).unwrap();
    }
    let said = run();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let made: Value = serde_saphyr::from_str(std::str::from_utf8(&said.stdout).unwrap()).unwrap();
    assert_eq!((&made["kind"], &made["metadata"]["name"]), (&"PrometheusRule".into(), &"dimmer".into()));
    let groups = made["spec"]["groups"].as_array().unwrap();
    assert_eq!(groups.iter().map(|group| text(&group["name"])).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(groups[1]["rules"][0]["expr"], "up\n\n> 0\n");
}

/// Where kubectl is installed, it builds both folders.
#[test]
fn kubectl_builds_them() {
    if !installed("kubectl") {
        return;
    }
    for folder in [FOLDER.to_owned(), format!("{FOLDER}/monitoring")] {
        let said = Command::new("kubectl").arg("kustomize").arg(root().join(&folder)).output().unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(std::str::from_utf8(&said.stdout).unwrap()).unwrap();
        assert_eq!(documents.len(), objects(&folder).len());
    }
}
