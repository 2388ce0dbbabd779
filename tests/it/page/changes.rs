//! What is clicked changes the next request's answer, and every other browser sees it.

use rusqlite::Connection;

use super::{confirm, drawn, gateway, open, served};
use crate::admin::{call, read};
use crate::harness::{Browser, DESK, PHONE, wait_until};

const SLIDER: &str = "#slide-model-canary";

#[test]
fn a_slider_and_a_kill_change_the_next_answer() {
    let dimmer = gateway("", &[]);
    assert_eq!(served(&dimmer, "ada"), "old");
    let asked = serde_json::json!({ "percent": 100 });
    wait_until("she was seen", || {
        call(&dimmer, "POST", "/flags/model/rules/canary/preview", &asked).json()["seen"] == 1
    });
    let browser = Browser::start();
    let page = open(&browser, &dimmer, "flags", DESK);
    // By hand: the thumb goes to the right end, and nothing is changed by that alone.
    page.eval(&format!(
        "(() => {{ const s = document.querySelector('{SLIDER}'); s.value = 100; s.dispatchEvent(new Event('input', {{ bubbles: true }})); }})()"
    ));
    // Ada was seen, and would get the new model.
    page.wait_text("+100.0 % of users seen this hour: 1 of 1 from old to new");
    assert_eq!(served(&dimmer, "ada"), "old", "nothing is set before somebody says so");
    page.click("#apply-model-canary");
    // Without a reason nothing is done.
    page.wait("it asks", "document.querySelector('dialog[open] #reason')");
    page.click("#confirm");
    assert_eq!(served(&dimmer, "ada"), "old", "a reason is asked for");
    confirm(&page, "errors are flat");
    assert_eq!(served(&dimmer, "ada"), "new", "the next request obeys");
    page.wait_text("errors are flat");
    let rule = read(&dimmer, "/flags/model")["rules"][1].clone();
    assert_eq!((&rule["percent"], &rule["override"]["reason"]), (&100.0.into(), &"errors are flat".into()));

    page.eval("location.hash = '#/kills'");
    drawn(&page, "kills");
    page.click("[data-target='flag:model/new'] button");
    page.wait_text("r: old");
    confirm(&page, "answers are cut");
    assert_eq!(served(&dimmer, "ada"), "old", "the next request obeys");
    page.wait("it is shown", "document.querySelector(\"[data-target='flag:model/new'].killed\")?.innerText.includes('answers are cut')");
    page.click("[data-target='flag:model/new'] button");
    confirm(&page, "mended");
    assert_eq!(served(&dimmer, "ada"), "new");

    page.eval("location.hash = '#/flags'");
    drawn(&page, "flags");
    page.click("#reset-model-canary");
    confirm(&page, "enough seen");
    assert_eq!(served(&dimmer, "ada"), "old", "the file counts again");
    let audit = read(&dimmer, "/audit?limit=10");
    let actions: Vec<&str> =
        audit["entries"].as_array().unwrap().iter().map(|one| one["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["set_percent", "kill", "revive", "reset"]);
}

#[test]
fn two_browsers_see_each_others_changes() {
    let mut dimmer = gateway("", &[]);
    dimmer.expect_log("an override was dropped");
    let (one, other) = (Browser::start(), Browser::start());
    let desk = open(&one, &dimmer, "kills", DESK);
    let phone = open(&other, &dimmer, "overview", PHONE);
    desk.click("[data-target='route:r'] button");
    confirm(&desk, "wrong answers");
    phone.wait_text("route:r: wrong answers");
    phone.wait("its menu counts it", "document.querySelector('#count-kills').textContent === '1'");
    phone.click("#route-r header button");
    confirm(&phone, "false alarm");
    desk.wait(
        "it is alive there too",
        "!document.querySelector(\"[data-target='route:r']\").classList.contains('killed')",
    );
    // A percentage, and a file.
    desk.eval("location.hash = '#/flags'");
    drawn(&desk, "flags");
    let set = serde_json::json!({ "percent": 33, "reason": "a third" });
    assert_eq!(call(&dimmer, "PATCH", "/flags/model/rules/canary", &set).status, 200);
    desk.wait("the slider moves", &format!("document.querySelector('{SLIDER}').value === '33'"));
    phone.wait_text("a third");
    let file = std::fs::read_to_string(dimmer.config_path()).unwrap();
    dimmer.reload_and_wait(&file.replace("percent = 0", "percent = 7"));
    desk.wait("the file is newer", &format!("document.querySelector('{SLIDER}').value === '7'"));
    phone.wait_gone("a third");
}

#[test]
fn what_is_not_stored_is_said_loudly() {
    let mut dimmer = gateway("", &[]);
    for expected in ["not stored", "does not take writes", "was refused"] {
        dimmer.expect_log(expected);
    }
    let browser = Browser::start();
    let page = open(&browser, &dimmer, "kills", DESK);
    let held = Connection::open(dimmer.folder().join("state.db")).unwrap();
    held.busy_timeout(std::time::Duration::from_secs(20)).unwrap();
    held.execute_batch("BEGIN IMMEDIATE").unwrap();
    page.click("[data-target='flag:model'] button");
    confirm(&page, "now");
    page.wait_text("NOT STORED");
    page.wait(
        "the banner is there",
        "document.querySelector('#loud').innerText.includes('flag:model is killed on this gateway only')",
    );
    // Everything else is refused, in words, and the dialog keeps what was typed.
    page.click("[data-target='flag:model'] button");
    page.wait("it asks", "document.querySelector('dialog[open] #reason')");
    page.expect_error("503");
    page.click("#reason");
    page.write("back");
    page.click("#confirm");
    page.wait(
        "it is refused",
        "document.querySelector('dialog .wrong').innerText.includes('nothing was changed')",
    );
    assert_eq!(page.eval("document.querySelector('#reason').value"), "back");
    page.press("Escape");
    page.wait("it is gone", "!document.querySelector('dialog')");
    held.execute_batch("COMMIT").unwrap();
    page.wait("the banner goes", "!document.querySelector('#loud').innerText");
    wait_until("it is stored", || read(&dimmer, "/kills")["kills"][0]["durable"] == true);
}
