//! Every view opens without an error, fits a phone, and shows what holds.

use super::{CONFIG, drawn, gateway, open, served};
use crate::admin::{call, kill};
use crate::harness::{Browser, DESK, Dimmer, Look, PHONE, listeners, wait_until};

const VIEWS: [&str; 10] = [
    "overview", "flags", "kills", "breakers", "impact", "shadows", "adoption", "explain", "audit", "hygiene",
];

#[test]
fn each_view_opens_quietly_on_desk_and_phone_in_light_and_dark() {
    let dimmer = gateway("", &[]);
    for user in 0..30 {
        served(&dimmer, &format!("user-{user}"));
    }
    kill(
        &dimmer,
        "model:a-model-with-a-name-that-is-long-and-has-no-place-to-break-anywhere-in-it-at-all-2026-11-21",
    );
    let set = serde_json::json!({ "percent": 12.5, "reason": "to have something to see" });
    assert_eq!(call(&dimmer, "PATCH", "/flags/model/rules/canary", &set).status, 200);
    let recorded =
        || call(&dimmer, "GET", "/adoption/r", &serde_json::Value::Null).json()["total"]["requests"] == 30;
    wait_until("the requests are in the record", recorded);
    let browser = Browser::start();
    let page = open(&browser, &dimmer, "overview", DESK);
    for view in VIEWS {
        for look in [DESK, PHONE] {
            for dark in [false, true] {
                page.look(Look { dark, ..look });
                page.go(&format!("http://{}/?{dark}#/{view}", dimmer.admin));
                drawn(&page, view);
                let what = format!("{view}, {} px, {}", look.width, if dark { "dark" } else { "light" });
                page.assert_fits(&what);
                page.assert_quiet(&what);
            }
        }
    }
    let ground = page.eval("getComputedStyle(document.body).backgroundColor");
    assert_eq!(ground, "rgb(14, 17, 23)", "the last one is dark");
}

#[test]
fn the_overview_says_what_is_on_for_whom_now() {
    let dimmer = gateway("", &[]);
    let browser = Browser::start();
    let page = open(&browser, &dimmer, "overview", DESK);
    page.wait_text("new (rule pros, where its `when` holds)");
    page.wait_text("else old (flag model's default)");
    page.wait_text("Nothing is killed");
    for user in 0..20 {
        served(&dimmer, &format!("user-{user}"));
    }
    // What has just been asked is in the numbers.
    page.wait_text("100 %");
    page.wait("the rate is there", "/\\d\\/s/.test(document.querySelector('#route-r .fact b').innerText) && document.querySelector('#route-r .fact b').innerText !== '0.00/s'");
    kill(&dimmer, "route:plain");
    page.wait_text("no model is called");
    page.wait_text("route:plain: a test");
}

#[test]
fn reports_and_explanations_are_shown() {
    let dimmer = gateway("", &[]);
    for user in 0..12 {
        served(&dimmer, &format!("user-{user}"));
    }
    wait_until("the requests are in the record", || {
        call(&dimmer, "GET", "/adoption/r", &serde_json::Value::Null).json()["total"]["requests"] == 12
    });
    let browser = Browser::start();
    let page = open(&browser, &dimmer, "impact/model", DESK);
    page.wait_text("12 requests of about 12 users");
    page.eval("location.hash = '#/adoption/r'");
    page.wait_text("By what answered");
    page.eval("location.hash = '#/explain'");
    page.wait("the form is there", "document.querySelector('#attribute-tier')");
    page.click("#user");
    page.write("ada");
    page.eval("document.querySelector('#attribute-tier').value = 'pro'");
    page.click("#explain");
    page.wait_text("Answered by the model new");
    page.wait_text("TARGETING_MATCH");
    page.eval("location.hash = '#/breakers'");
    page.wait_text("route:r/model:old");
    page.eval("location.hash = '#/audit'");
    page.wait_text("Nothing was done yet");
    kill(&dimmer, "tool:shell");
    page.wait_text("as it was written");
    page.wait_text("tool:shell");
    page.eval("location.hash = '#/shadows'");
    page.wait_text("could be copied");
}

/// Whatever the words of a file, of an operator or of a request are: they are words.
#[test]
fn markup_in_names_is_text() {
    let bad = "<img src=x onerror=alert(1)>";
    let config = CONFIG.replace("description = \"old to new\"", &format!("description = \"{bad}\""));
    let config = config.replace("owner = \"a-team\"", "owner = \"</p><script>alert(2)</script>\"");
    let dimmer = Dimmer::start(&(listeners("") + &config));
    let reason = "<b>bold</b><script>alert(3)</script>";
    let body = serde_json::json!({ "target": format!("tool:{bad}"), "reason": reason });
    assert_eq!(call(&dimmer, "POST", "/kill", &body).status, 200);
    let set = serde_json::json!({ "percent": 1, "reason": reason });
    assert_eq!(call(&dimmer, "PATCH", "/flags/model/rules/canary", &set).status, 200);
    let browser = Browser::start();
    let page = open(&browser, &dimmer, "overview", DESK);
    for (view, texts) in [
        ("overview", vec![bad, reason]),
        ("flags", vec![bad, "</p><script>alert(2)</script>", reason]),
        ("kills", vec![bad, reason]),
        ("audit", vec![bad, reason]),
    ] {
        page.go(&format!("http://{}/?{view}#/{view}", dimmer.admin));
        drawn(&page, view);
        texts.iter().for_each(|text| page.wait_text(text));
        assert_eq!(
            page.eval("document.querySelectorAll('main img, main b b, main script, #loud img').length"),
            0,
            "{view}"
        );
    }
    // The dialog too.
    page.go(&format!("http://{}/?again#/kills", dimmer.admin));
    drawn(&page, "kills");
    page.eval("document.querySelector(\"[data-target^='tool:<']\").querySelector('button').click()");
    page.wait("it asks", "document.querySelector('dialog[open]')");
    page.wait_text(&format!("Revive tool:{bad}"));
    assert_eq!(page.eval("document.querySelectorAll('dialog img').length"), 0);
    // And nothing can make markup of a text, not even by a slip: the browser refuses it.
    let refused = page.eval("(() => { try { document.body.innerHTML = '<i>x</i>'; return 'made'; } catch (error) { return error.name; } })()");
    assert_eq!(refused, "TypeError");
    page.expect_error("TrustedHTML");
}
