//! docker-compose.yml and the Dockerfile: without a container engine, what they name is there and fits together; with one, it reads them.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{drain, installed, loads, seconds, text, texts, there, variables, yaml};
use crate::clients::root;

const COMPOSE: &str = "docker-compose.yml";

fn compose() -> Value {
    let mut documents = yaml(COMPOSE);
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

/// `"1"` and `1` alike: Compose takes both.
fn services(compose: &Value) -> Vec<(&String, &Value)> {
    compose["services"].as_object().expect("services").iter().collect()
}

#[test]
fn every_key_is_one_that_compose_knows() {
    let compose = compose();
    let known = [
        "build",
        "cap_drop",
        "command",
        "depends_on",
        "environment",
        "healthcheck",
        "image",
        "ports",
        "profiles",
        "read_only",
        "restart",
        "secrets",
        "security_opt",
        "stop_grace_period",
        "ulimits",
        "volumes",
    ];
    for (name, service) in services(&compose) {
        for key in service.as_object().expect("a service").keys() {
            assert!(known.contains(&key.as_str()), "{name}.{key}");
        }
        for key in service["healthcheck"].as_object().into_iter().flat_map(serde_json::Map::keys) {
            let known = ["interval", "retries", "start_period", "test", "timeout"];
            assert!(known.contains(&key.as_str()), "{name}.healthcheck.{key}");
        }
        let image = text(&service["image"]);
        assert!(
            image == "dimmer" || image.contains(':') && !image.ends_with(":latest"),
            "{name}: {image} has a version"
        );
    }
    for key in compose.as_object().expect("a file").keys() {
        assert!(["name", "secrets", "services", "volumes"].contains(&key.as_str()), "{key}");
    }
}

#[test]
fn what_it_mounts_and_names_is_there() {
    let compose = compose();
    for (name, service) in services(&compose) {
        for volume in service.get("volumes").map(texts).unwrap_or_default() {
            let (from, _) = volume.split_once(':').unwrap_or_else(|| panic!("{name}: {volume}"));
            match from.strip_prefix("./") {
                // A folder: a mounted file would stay what it was when an editor replaces it.
                Some(folder) => assert!(root().join(folder).is_dir(), "{name}: there is no {folder}"),
                None => assert!(compose["volumes"].get(from).is_some(), "{name}: {from} is no volume"),
            }
        }
        for secret in service.get("secrets").map(texts).unwrap_or_default() {
            assert!(compose["secrets"].get(secret).is_some(), "{name}: {secret} is no secret");
        }
        for (other, how) in service["depends_on"].as_object().into_iter().flatten() {
            assert_eq!(how["condition"], "service_healthy", "{name}");
            assert!(
                compose["services"][other]["healthcheck"].is_object(),
                "{name}: {other} says when it is healthy"
            );
        }
        for port in service.get("ports").map(texts).unwrap_or_default() {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port} is open to the network");
        }
    }
}

#[test]
fn dimmer_gets_what_its_configuration_wants() {
    let dimmer = &compose()["services"]["dimmer"];
    let command = texts(&dimmer["command"]);
    let file = command
        .last()
        .and_then(|path| path.strip_prefix("/etc/dimmer/"))
        .expect("a file of the mounted folder");
    assert!(texts(&dimmer["volumes"]).contains(&"./deploy/dimmer:/etc/dimmer:ro"));
    let routes = there(&format!("deploy/dimmer/{file}"));
    let mut given: Vec<&str> =
        dimmer["environment"].as_object().expect("variables").keys().map(String::as_str).collect();
    given.sort_unstable();
    assert_eq!(given, variables(&routes));
    loads(&routes);
    assert!(texts(&dimmer["volumes"]).contains(&"state:/var/lib/dimmer"));
    let table: toml::Table = routes.parse().expect("TOML");
    assert!(table["state"]["url"].as_str().is_some_and(|url| url.starts_with("sqlite:/var/lib/dimmer/")));
    for (listener, key) in [("server", "8080"), ("admin", "9901")] {
        let listen = table[listener]["listen"].as_str().expect("an address");
        assert_eq!(listen, format!("0.0.0.0:{key}"), "a container's loopback is reached by nobody");
        let published = texts(&dimmer["ports"]);
        assert!(published.contains(&format!("127.0.0.1:{key}:{key}").as_str()), "{published:?}");
    }
    let patience = seconds(text(&dimmer["stop_grace_period"]));
    assert!(patience >= drain(&routes) + super::LAST_WRITES, "answers in flight are finished");
}

/// Whoever scrapes gets the token that only reads, in the place where its configuration looks for it.
#[test]
fn prometheus_reads_with_the_token_that_only_reads() {
    let compose = compose();
    let routes: toml::Table = there("deploy/dimmer/routes.toml").parse().expect("TOML");
    let secrets = texts(&compose["services"]["prometheus"]["secrets"]);
    let [secret] = secrets[..] else { panic!("one secret: {secrets:?}") };
    let variable = format!("${{{}}}", text(&compose["secrets"][secret]["environment"]));
    let tokens = routes["admin"]["tokens"].as_array().expect("tokens");
    let token = tokens.iter().find(|token| token["token"].as_str() == Some(&variable)).expect("its token");
    assert_eq!(token["role"].as_str(), Some("viewer"));
    let prometheus = there("deploy/prometheus/prometheus.yml");
    assert!(prometheus.contains(&format!("credentials_file: /run/secrets/{secret}")), "{prometheus}");
    assert!(prometheus.contains("\"dimmer:9901\""), "{prometheus}");
}

#[test]
fn postgresql_is_there_when_it_is_asked_for() {
    let compose = compose();
    let postgres = &compose["services"]["postgres"];
    assert_eq!(texts(&postgres["profiles"]), ["postgres"]);
    let others = services(&compose).into_iter().filter(|(name, _)| *name != "postgres");
    for (name, service) in others {
        assert!(service.get("profiles").is_none(), "{name} is always there");
        assert!(service["depends_on"].get("postgres").is_none(), "{name} is there without PostgreSQL");
    }
    let url = text(&compose["services"]["dimmer"]["environment"]["DIMMER_RECORDS_URL"]);
    assert_eq!(url, "${DIMMER_RECORDS_URL:-sqlite:/var/lib/dimmer/records.db}");
    let head = there(COMPOSE);
    let user = text(&postgres["environment"]["POSTGRES_USER"]);
    let database = text(&postgres["environment"]["POSTGRES_DB"]);
    assert!(
        head.contains(&format!("DIMMER_RECORDS_URL=postgres://{user}:THAT_PASSWORD@postgres/{database}"))
    );
}

/// Where Docker is installed with Compose, it reads the file too.
#[test]
fn compose_itself_takes_the_file() {
    let has = |arguments: &[&str]| {
        Command::new("docker").args(arguments).output().is_ok_and(|said| said.status.success())
    };
    if !installed("docker") || !has(&["compose", "version"]) {
        return;
    }
    let key = "a-value-for-the-test-that-is-long-enough";
    for profile in ["", "postgres"] {
        let said = Command::new("docker")
            .args(["compose", "config", "--quiet"])
            .current_dir(root())
            .env("COMPOSE_PROFILES", profile)
            .envs(
                ["DIMMER_CLIENT_KEY", "DIMMER_ADMIN_TOKEN", "DIMMER_PROMETHEUS_TOKEN"]
                    .map(|name| (name, key)),
            )
            .envs([("GRAFANA_PASSWORD", key), ("POSTGRES_PASSWORD", key)])
            .output()
            .expect("docker");
        let text = [said.stdout, said.stderr].concat();
        assert!(said.status.success() && text.is_empty(), "{}", String::from_utf8_lossy(&text));
    }
}

/// The instructions of the Dockerfile, with lines that go on joined.
fn instructions() -> Vec<(String, String)> {
    let text = there("Dockerfile").replace("\\\n", " ");
    let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '));
    lines.map(|(word, rest)| (word.to_owned(), rest.trim().to_owned())).collect()
}

/// What each COPY takes from the clone.
fn copied() -> Vec<String> {
    let copies = instructions().into_iter().filter(|(word, rest)| word == "COPY" && !rest.contains("--from"));
    copies
        .flat_map(|(_, rest)| {
            let mut words: Vec<String> = rest.split_whitespace().map(str::to_owned).collect();
            words.pop();
            words
        })
        .collect()
}

#[test]
fn what_the_image_is_made_of_is_there_and_let_in() {
    let ignored = there(".dockerignore");
    let mut lines = ignored.lines();
    assert_eq!(lines.next(), Some("*"), "nothing is sent to the builder but what is named");
    let let_in: Vec<&str> = lines.filter_map(|line| line.strip_prefix('!')).collect();
    let copied = copied();
    assert!(!copied.is_empty());
    for source in &copied {
        assert!(root().join(source).exists(), "COPY {source}: there is no such file");
        assert!(let_in.contains(&source.as_str()), ".dockerignore lets {source} not in");
    }
    for one in let_in {
        assert!(
            copied.iter().any(|source| source == one),
            ".dockerignore lets {one} in, which nothing copies"
        );
    }
}

/// Cargo reads the manifest in the builder, where there is nothing but what was copied, first with an empty program.
#[test]
fn cargo_finds_all_that_the_manifest_names() {
    let folder = tempfile::tempdir().unwrap();
    let copy = |source: &str| {
        let copied = Command::new("cp").arg("-r").arg(root().join(source)).arg(folder.path()).status();
        assert!(copied.is_ok_and(|status| status.success()), "{source}");
    };
    for source in copied().iter().filter(|source| *source != "src") {
        copy(source);
    }
    let empty =
        instructions().into_iter().find(|(word, rest)| word == "RUN" && rest.starts_with("mkdir src"));
    let (_, script) = empty.expect("an empty program");
    // Up to where it would be compiled.
    let script =
        script.split("cargo ").next().unwrap_or_default().trim_end().trim_end_matches("&&").to_owned();
    assert!(script.contains("src/main.rs"), "{script}");
    let made = Command::new("sh").args(["-ec", &script]).current_dir(folder.path()).status().unwrap();
    assert!(made.success(), "{script}");
    reads(folder.path());
    std::fs::remove_dir_all(folder.path().join("src")).unwrap();
    copy("src");
    reads(folder.path());
}

/// Of what compiles nothing, only this one looks whether each target of the manifest is there.
fn reads(folder: &Path) {
    let said = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["fetch", "--offline", "--locked"])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}

#[test]
fn the_image_runs_as_nobody_and_says_how_it_is() {
    let instructions = instructions();
    let one = |word: &str| {
        let found: Vec<&String> =
            instructions.iter().filter(|(one, _)| one == word).map(|(_, rest)| rest).collect();
        assert_eq!(found.len(), 1, "{word}: {found:?}");
        found[0].clone()
    };
    let user = one("USER");
    assert!(user.split(':').all(|number| number.parse::<u32>().is_ok_and(|id| id > 0)), "{user}");
    assert_eq!(one("STOPSIGNAL"), "SIGTERM");
    assert!(
        one("HEALTHCHECK")
            .ends_with("CMD [\"/usr/local/bin/dimmer\", \"healthcheck\", \"--timeout\", \"3\"]")
    );
    assert_eq!(one("ENTRYPOINT"), "[\"/usr/local/bin/dimmer\"]");
    let bases: Vec<&String> =
        instructions.iter().filter(|(word, _)| word == "FROM").map(|(_, rest)| rest).collect();
    let wanted = there("Cargo.toml").parse::<toml::Table>().unwrap()["package"]["rust-version"].to_string();
    assert!(
        bases[0].starts_with(&format!("rust:{}-", wanted.trim_matches('"'))),
        "{bases:?} is the Rust of Cargo.toml"
    );
    assert!(bases[1].starts_with("gcr.io/distroless/"), "{bases:?}");
}
