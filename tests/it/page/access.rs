//! Who may see and do what, and that a keyboard is enough.

use super::{confirm, drawn, gateway, open, served};
use crate::harness::{Browser, DESK, PHONE, get};

const TOKENS: &str = "tokens = [{ name = \"eve\", role = \"viewer\", token = \"${VIEWER}\" }, { name = \"alice\", role = \"operator\", token = \"${OPERATOR}\" }]\n";
const ENVIRONMENT: [(&str, &str); 2] =
    [("VIEWER", "a-viewer-token-that-is-long-enough"), ("OPERATOR", "an-operator-token-that-is-long-enough")];

#[test]
fn tokens_are_asked_for_and_a_wrong_one_is_told() {
    let dimmer = gateway(TOKENS, &ENVIRONMENT);
    let browser = Browser::start();
    let page = browser.open(&format!("http://{}/", dimmer.admin), PHONE);
    page.expect_error("401");
    page.wait_text("With a token of admin.tokens");
    assert_eq!(page.focus(), "token", "one can type at once");
    page.assert_fits("the sign-in");
    for wrong in ["not-a-token-of-anybody", "späße"] {
        page.write(wrong);
        page.press("Enter");
        page.wait_text("This is no token of admin.tokens");
        assert_eq!(page.eval("sessionStorage.length"), 0, "a wrong one is not kept");
        page.wait("it may be typed again", "document.querySelector('#token')?.value === ''");
    }
    page.write(ENVIRONMENT[1].1);
    page.press("Enter");
    drawn(&page, "overview");
    page.wait_text("alice");
    assert_eq!(page.eval("document.cookie"), "", "no cookie, so no other site can use it");
    // A reload is no stranger; another tab is.
    page.go(&format!("http://{}/?again", dimmer.admin));
    drawn(&page, "overview");
    page.click("#sign-out");
    page.wait_text("With a token of admin.tokens");
    assert_eq!(page.eval("sessionStorage.length"), 0);
}

#[test]
fn a_viewer_sees_and_cannot() {
    let dimmer = gateway(TOKENS, &ENVIRONMENT);
    let browser = Browser::start();
    let page = browser.open(&format!("http://{}/", dimmer.admin), DESK);
    page.expect_error("401");
    page.wait_text("With a token of admin.tokens");
    page.write(ENVIRONMENT[0].1);
    page.press("Enter");
    drawn(&page, "overview");
    page.wait_text("eve · viewer");
    for view in ["overview", "flags", "kills", "breakers"] {
        page.eval(&format!("location.hash = '#/{view}'"));
        drawn(&page, view);
        let buttons = page.eval("[...document.querySelectorAll('main button, main input[type=range]')].map((one) => one.textContent || one.id).join()");
        assert_eq!(buttons, "", "{view}: a viewer is shown nothing that would be refused");
    }
    // And who asks all the same is refused by the API, not by the page.
    let status = page.eval(
        "fetch('/api/v1/kill', { method: 'POST', headers: { 'content-type': 'application/json', authorization: 'Bearer ' + sessionStorage.getItem('dimmer-admin-token') }, body: JSON.stringify({ target: 'all', reason: 'x' }) }).then((answer) => answer.status)",
    );
    assert_eq!(status, 403);
    page.expect_error("403");
    assert_eq!(served(&dimmer, "ada"), "old");
}

/// A token that is taken away ends what was begun with it.
#[test]
fn a_token_that_is_taken_away_is_told() {
    let dimmer = gateway(TOKENS, &ENVIRONMENT);
    let browser = Browser::start();
    let page = browser.open(&format!("http://{}/", dimmer.admin), DESK);
    page.expect_error("401");
    page.wait_text("With a token of admin.tokens");
    page.write(ENVIRONMENT[0].1);
    page.press("Enter");
    drawn(&page, "overview");
    let file = std::fs::read_to_string(dimmer.config_path()).unwrap();
    let without = file.replace("{ name = \"eve\", role = \"viewer\", token = \"${VIEWER}\" }, ", "");
    dimmer.write_config(&without);
    page.wait_text("does not know this token any more");
}

#[test]
fn keys_alone_kill() {
    let dimmer = gateway("", &[]);
    let browser = Browser::start();
    let page = open(&browser, &dimmer, "overview", DESK);
    // The first key leads past what is on every view.
    page.press("Tab");
    assert_eq!(page.eval("document.activeElement.className"), "skip");
    page.press("Enter");
    assert_eq!(page.focus(), "main");
    let reach = |wanted: &str, key: &str| {
        for _ in 0..80 {
            if page.focus() == wanted {
                let ring = page.eval("getComputedStyle(document.activeElement).outlineStyle");
                assert_ne!(ring, "none", "{wanted}: who uses keys must see where they are");
                return;
            }
            page.press(key);
        }
        panic!("{wanted} is not reached by {key}");
    };
    reach("nav-kills", "Shift+Tab");
    page.press("Enter");
    drawn(&page, "kills");
    page.wait("the view has the focus", "document.activeElement.id === 'main'");
    reach("kill-route_3Ar", "Tab");
    page.press("Enter");
    page.wait("it asks", "document.activeElement.id === 'reason'");
    page.wait(
        "it says what is served",
        "document.querySelector('dialog .after').innerText.includes('the reply sorry')",
    );
    page.write("by hand");
    page.press("Tab");
    page.press("Tab");
    assert_eq!(page.focus(), "confirm");
    page.press("Enter");
    page.wait("it is done", "!document.querySelector('dialog')");
    assert_eq!(served(&dimmer, "ada"), "sorry");
    // Where it began, with what can be done now.
    page.wait("the focus is back", "document.activeElement.id === 'kill-route_3Ar' && document.activeElement.textContent.startsWith('Revive')");
    page.press("Enter");
    page.wait("it asks", "document.activeElement.id === 'reason'");
    page.press("Escape");
    page.wait("it is left", "!document.querySelector('dialog')");
    assert_eq!(served(&dimmer, "ada"), "sorry", "what is left is not done");
    // A slider moves by keys, and says where it is.
    page.eval("location.hash = '#/flags'");
    drawn(&page, "flags");
    reach("slide-model-canary", "Tab");
    page.press("ArrowRight");
    assert_eq!(page.eval("document.activeElement.getAttribute('aria-valuetext')"), "1 %");
    reach("apply-model-canary", "Tab");
    page.press("Enter");
    confirm(&page, "one in a hundred");
    page.wait_text("one in a hundred");
}

/// Everything that can be used has a name, for who does not see it.
#[test]
fn everything_has_a_name() {
    let dimmer = gateway("", &[]);
    let browser = Browser::start();
    let page = open(&browser, &dimmer, "overview", DESK);
    for view in
        ["overview", "flags", "kills", "breakers", "impact", "shadows", "adoption", "explain", "audit"]
    {
        page.eval(&format!("location.hash = '#/{view}'"));
        drawn(&page, view);
        let nameless = page.eval(
            "[...document.querySelectorAll('button, a, input, select, textarea, [role=img]')].filter((one) => !(one.textContent.trim() || one.getAttribute('aria-label') || one.labels?.length)).map((one) => one.outerHTML.slice(0, 120)).join('\\n')",
        );
        assert_eq!(nameless, "", "{view}");
        assert_eq!(page.eval("document.querySelectorAll('main h1').length"), 1, "{view}");
        let twice = page.eval("(() => { const ids = [...document.querySelectorAll('[id]')].map((one) => one.id); return ids.filter((id, at) => ids.indexOf(id) !== at).join(); })()");
        assert_eq!(twice, "", "{view}: ids that are there twice");
    }
}

#[test]
fn the_page_is_for_everybody_and_its_data_is_not() {
    let dimmer = gateway(TOKENS, &ENVIRONMENT);
    let page = get(dimmer.admin, "/");
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap_or_default().to_owned();
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let script = get(dimmer.admin, "/page/app.js");
    assert_eq!((script.status, script.header("content-type")), (200, Some("text/javascript; charset=utf-8")));
    for path in ["/page/none.js", "/page/", "/page/../routes.toml", "/metrics"] {
        assert_eq!(get(dimmer.admin, path).status, 401, "{path}");
    }
    assert_eq!(get(dimmer.data, "/page/app.js").status, 404, "apps are not shown it");
}
