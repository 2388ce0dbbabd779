//! The file itself: what is wrong with it is told as `dimmer check` tells it, what it names comes with it, and the gateway's own disk
//! and secrets are nobody's to ask about.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use super::{CONFIG, ask, flag, lines, plan, start};
use crate::admin::{call, call_with, problem};
use crate::harness::{DIMMER, Dimmer, listeners};

fn config() -> String {
    listeners("workers = 1") + CONFIG
}

fn dimmer_cli(gateway: &Dimmer, folder: &Path, arguments: &[&str]) -> Output {
    Command::new(DIMMER)
        .args(arguments)
        .current_dir(folder)
        .env("DIMMER_ADMIN_URL", format!("http://{}", gateway.admin))
        .output()
        .expect("it runs")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_bad_file_is_told_as_check_tells_it() {
    let gateway = start();
    let folder = tempfile::tempdir().unwrap();
    for (from, to) in [
        ("serve = \"new\"", "serve = \"newer\""),
        ("percent = 50", "percent = 500"),
        ("[routes.r]", "[routes.r]\nbreaker = \"none\"\nflag = 1"),
        ("path = \"/r\"", "path = "),
        ("text = \"Be kind.\"", "file = \"missing.md\""),
    ] {
        let bad = config().replacen(from, to, 1);
        std::fs::write(folder.path().join("bad.toml"), &bad).unwrap();
        let checked = dimmer_cli(&gateway, folder.path(), &["check", "bad.toml", "--json"]);
        let checked: Value = serde_json::from_str(&out(&checked)).unwrap();
        assert!(!checked["errors"].as_array().unwrap().is_empty(), "{to}");
        let by_hand = dimmer_cli(&gateway, folder.path(), &["plan", "bad.toml", "--json"]);
        let planned: Value = serde_json::from_str(&out(&by_hand)).unwrap();
        assert_eq!((&planned["ok"], &planned["errors"]), (&json!(false), &checked["errors"]), "{to}");
        assert_eq!(by_hand.status.code(), Some(1), "{to}");
        let people = dimmer_cli(&gateway, folder.path(), &["check", "bad.toml"]);
        let said = dimmer_cli(&gateway, folder.path(), &["plan", "bad.toml"]);
        assert_eq!((out(&said), said.status.code()), (out(&people), Some(1)), "{to}");
        // The API says the same; of a file it says that it did not come.
        let answer = call(&gateway, "POST", "/plan", &json!({ "toml": bad, "name": "bad.toml" })).json();
        assert_eq!(answer["ok"], false);
        match to.contains("missing.md") {
            false => assert_eq!(answer["errors"], checked["errors"], "{to}"),
            true => {
                let message = answer["errors"][0]["message"].as_str().unwrap();
                assert!(message.contains("\"missing.md\" did not come with the file"), "{message}");
            }
        }
    }
}

#[test]
fn what_the_file_names_comes_with_it() {
    let gateway = start();
    let given = ask(&gateway, 60);
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("lists")).unwrap();
    let ids: Vec<String> = (0..10).map(super::user).collect();
    std::fs::write(folder.path().join("lists/chosen.txt"), ids.join("\n")).unwrap();
    std::fs::write(folder.path().join("kind.md"), "Be very kind.").unwrap();
    std::fs::write(folder.path().join("key.txt"), "sk-this-is-a-secret-of-the-operator").unwrap();
    let toml = config()
        .replace("text = \"Be kind.\"", "file = \"./kind.md\"")
        .replace("[models.new]", "[providers.real]\ndialect = \"openai\"\nbase_url = \"https://api.example/v1\"\napi_key = \"file:key.txt\"\n[models.new]")
        .replace(
            "[[flags.model.rules]]",
            "[[flags.model.rules]]\nname = \"chosen\"\nwhen = { targeting_key = { in = \"file:lists/chosen.txt\" } }\nserve = \"new\"\n[[flags.model.rules]]",
        );
    std::fs::write(folder.path().join("new.toml"), &toml).unwrap();
    let json = dimmer_cli(&gateway, folder.path(), &["plan", "new.toml", "--json"]);
    let planned: Value = serde_json::from_str(&out(&json)).unwrap_or_else(|_| panic!("{json:?}"));
    assert_eq!(planned["ok"], true, "{planned:#}");
    let had = given
        .iter()
        .take(10)
        .filter(|given| given.get("model").is_some_and(|variant| variant == "new"))
        .count();
    assert_eq!(flag(&planned, "model")["moved"], 10 - had, "{planned:#}");
    // From another folder, by its path.
    let path = folder.path().join("new.toml");
    let other = tempfile::tempdir().unwrap();
    let said = dimmer_cli(&gateway, other.path(), &["plan", path.to_str().unwrap()]);
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    let text = out(&said);
    for part in [
        "flag model (changed): ",
        "rule chosen: new, at 100 %: it takes 10 users",
        "provider `real` is new",
        "prompt `b`: file is \"./kind.md\", and was not said",
        "How this was counted:",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("sk-this") && !json.stdout.windows(7).any(|bytes| bytes == b"sk-this"));
    let differs = dimmer_cli(&gateway, folder.path(), &["plan", "new.toml", "--exit-code"]);
    assert_eq!(differs.status.code(), Some(4), "{differs:?}");
    std::fs::write(folder.path().join("same.toml"), config()).unwrap();
    let same = dimmer_cli(&gateway, folder.path(), &["plan", "same.toml", "--exit-code"]);
    assert_eq!(same.status.code(), Some(0), "{same:?}");
    assert!(
        out(&same).starts_with("same.toml: right; as what serves; none of 60 users moves"),
        "{}",
        out(&same)
    );
}

#[test]
fn nothing_of_the_gateways_own_is_looked_at() {
    let mut gateway =
        Dimmer::start_with(&config(), &[("A_SECRET_OF_THE_GATEWAY", "sk-of-the-gateway-0123456789")]);
    let secret = gateway.folder().join("secret.txt");
    std::fs::write(&secret, "of the gateway").unwrap();
    for path in ["secret.txt".to_owned(), secret.display().to_string(), "routes.toml".to_owned()] {
        let toml = config().replace("text = \"Be kind.\"", &format!("file = {path:?}"));
        let planned = plan(&gateway, &toml);
        let message = planned["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains("did not come with the file"), "{message}");
        let list = format!("when = {{ targeting_key = {{ in = \"file:{path}\" }} }}");
        let planned = plan(&gateway, &config().replace("when = { tier = { at_least = \"pro\" } }", &list));
        assert!(
            planned["errors"][0]["message"].as_str().unwrap().contains("did not come with"),
            "{planned:#}"
        );
    }
    // Whether a variable is set, or a file of secrets is there, is not told either.
    let with_key = |key: &str| {
        let toml = config().replace(
            "[models.new]",
            &format!("[providers.real]\ndialect = \"openai\"\nbase_url = \"https://api.example/v1\"\napi_key = \"{key}\"\n[models.new]"),
        );
        plan(&gateway, &toml)
    };
    let [there, not] = ["${A_SECRET_OF_THE_GATEWAY}", "${NOT_SET_ANYWHERE}"].map(with_key);
    assert_eq!((&there["ok"], &not["ok"]), (&json!(true), &json!(true)));
    for (planned, name) in [(&there, "${A_SECRET_OF_THE_GATEWAY}"), (&not, "${NOT_SET_ANYWHERE}")] {
        let notes = lines(planned, "notes");
        assert!(notes.contains(&format!("see that the gateway has them: {name}")), "{notes}");
    }
    let [there, not] =
        [format!("file:{}", secret.display()), "file:/not/there".to_owned()].map(|key| with_key(&key));
    assert_eq!((&there["ok"], &not["ok"]), (&json!(true), &json!(true)));
    // Places that only secrets lead to, and a certificate.
    let toml = config().replacen("[server]", "[server]\ntls = { cert = \"c.pem\", key = \"k.pem\" }", 1)
        + "[records]\nurl = \"${RECORDS_URL}\"\nsecret = \"${SECRET}\"\n[[webhooks]]\nurl = \"${HOOK}\"\nsecret = \"${HOOK_SECRET}\"\nformat = \"json\"\n";
    let planned = plan(&gateway, &toml);
    assert_eq!(planned["ok"], true, "{planned:#}");
    assert!(lines(&planned, "warnings").contains("records takes effect with the next start"), "{planned:#}");
    gateway.assert_alive();
}

#[test]
fn a_body_may_be_the_file_itself() {
    let gateway = start();
    let post = |kind: &str, body: &str| {
        let headers = format!("host: {}\r\ncontent-type: {kind}\r\n", gateway.admin);
        call_with(&gateway, "POST", "/api/v1/plan", &headers, body)
    };
    let answer =
        post("application/toml; charset=utf-8", &config().replace("percent = 20\n", "percent = 21\n"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(lines(&answer.json(), "changes").contains("rules.canary.percent was 20, is 21"));
    let bad = post("application/toml", "[server\n").json();
    assert_eq!(
        (&bad["errors"][0]["file"], &bad["errors"][0]["line"]),
        (&json!("routes.toml"), &json!(1)),
        "{bad:#}"
    );
    // What a form of another site's page can send is no file.
    assert_eq!(post("text/plain", &config()).status, 415);
    let headers = format!("host: {}\r\ncontent-type: application/toml\r\n", gateway.admin);
    let kill = call_with(&gateway, "POST", "/api/v1/kill", &headers, "");
    assert_eq!(kill.status, 415, "of no other operation");
    // A list of customers is larger than a question may be.
    let long = format!("{}\n# {}", config(), "x".repeat(2 << 20));
    assert_eq!(post("application/toml", &long).json()["ok"], true);
    let (status, code, _) = problem(&post("application/toml", &"#".repeat((16 << 20) + 1)));
    assert_eq!((status, code.as_str()), (413, "too_large"));
    for wrong in [json!({}), json!({ "toml": 1 }), json!({ "toml": "", "path": "/etc/passwd" })] {
        assert_eq!(call(&gateway, "POST", "/plan", &wrong).status, 400, "{wrong}");
    }
    assert_eq!(problem(&call(&gateway, "POST", "/plan", &json!({ "toml": "", "window": "0s" }))).0, 400);
}
