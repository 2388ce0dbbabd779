//! The page of the admin listener, in a real browser: what is seen, what is clicked, and that the next request obeys.

mod access;
mod changes;
mod events;
mod images;
mod line;
mod views;

use crate::harness::{Browser, Dimmer, Look, Page, listeners, request};

/// A flag that gives nobody the new model yet, and everything that a view can show.
pub(crate) const CONFIG: &str = r#"
[context]
targeting_key = ["header:x-user-id"]
[context.attributes]
tier = { from = "header:x-user-tier", order = ["free", "pro"] }
beta = { from = "header:x-user-beta", type = "bool" }
[providers.sim]
dialect = "mock"
[models.old]
provider = "sim"
mock = { words = 5, first_token = "0s", per_token = "0s" }
[models.new]
provider = "sim"
mock = { words = 9, first_token = "0s", per_token = "0s" }
[prompts.terse]
text = "Answer in few words."
[replies.sorry]
text = "A person will answer."
[flags.on]
owner = "o"
permanent = true
default = true
[flags.model]
description = "old to new"
owner = "a-team"
expires = 2099-12-31
default = "old"
[[flags.model.rules]]
name = "pros"
when = { tier = { at_least = "pro" } }
serve = "new"
[[flags.model.rules]]
name = "canary"
percent = 0
serve = "new"
[breakers.b]
[routes.r]
path = "/r"
enabled.flag = "on"
model.flag = "model"
fallback = ["old", "sorry"]
tools.deny = ["shell"]
breaker = "b"
[[routes.r.shadow]]
name = "candidate"
model = "new"
percent = 100
[routes.plain]
path = "/plain"
model = "old"
"#;

/// A gateway with this configuration.
pub(crate) fn gateway(admin: &str, environment: &[(&str, &str)]) -> Dimmer {
    Dimmer::start_with(&(listeners("") + admin + CONFIG), environment)
}

/// Who answers a user on `/r`.
pub(crate) fn served(dimmer: &Dimmer, user: &str) -> String {
    let body = r#"{"model":"old","messages":[{"role":"user","content":"Hi"}]}"#;
    let headers = format!("content-type: application/json\r\nx-user-id: {user}\r\n");
    let answer = request(dimmer.data, "POST", "/r/v1/chat/completions", &headers, body.as_bytes());
    answer.header("x-dimmer-model").unwrap_or_default().to_owned()
}

/// Opens a view and waits until it is drawn.
pub(crate) fn open(browser: &Browser, dimmer: &Dimmer, view: &str, look: Look) -> Page {
    let page = browser.open(&format!("http://{}/#/{view}", dimmer.admin), look);
    drawn(&page, view);
    page
}

/// Waits until a view is drawn, and the numbers come.
pub(crate) fn drawn(page: &Page, view: &str) {
    let name = view.split('/').next().unwrap_or_default();
    page.wait(
        &format!("{view} is drawn"),
        &format!("document.querySelector('[data-view={name}][data-ready]')"),
    );
    page.wait("it is live", "document.querySelector('#line.live')");
}

/// Waits for the dialog, writes a reason, and confirms.
pub(crate) fn confirm(page: &Page, reason: &str) {
    page.wait("it asks", "document.querySelector('dialog[open] #reason')");
    page.wait(
        "it says what is served",
        "!document.querySelector('dialog .after')?.innerText.includes('asking what')",
    );
    page.click("#reason");
    page.write(reason);
    page.click("#confirm");
    page.wait("it is done", "!document.querySelector('dialog')");
}
