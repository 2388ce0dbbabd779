//! The line to the gateway: when it is lost that is told loudly, and it comes back by itself.

use super::{CONFIG, open, served};
use crate::admin::kill;
use crate::harness::{Browser, DESK, Dimmer, listeners};

#[test]
fn the_line_comes_back_after_a_restart() {
    let mut before = Dimmer::start(&(listeners("") + CONFIG));
    let browser = Browser::start();
    let page = open(&browser, &before, "overview", DESK);
    page.wait_text("Nothing is killed");
    let admin = before.admin;
    assert!(before.terminate().success());
    drop(before);
    page.wait(
        "that is told loudly",
        "/Connection lost.*numbers are \\d+ s old/s.test(document.querySelector('#loud').innerText)",
    );
    page.wait("in the head too", "document.querySelector('#line').className === 'lost'");
    for part in [
        "ERR_CONNECTION_REFUSED",
        "ERR_INCOMPLETE_CHUNKED_ENCODING",
        "ERR_CONNECTION_RESET",
        "ERR_EMPTY_RESPONSE",
        "ERR_NETWORK",
    ] {
        page.expect_error(part);
    }
    let listen =
        listeners("").replace("[admin]\nlisten = \"127.0.0.1:0\"", &format!("[admin]\nlisten = \"{admin}\""));
    let after = Dimmer::start(&(listen + CONFIG));
    assert_eq!(after.admin, admin);
    page.wait(
        "it is live again",
        "document.querySelector('#line.live') && !document.querySelector('#loud').innerText",
    );
    // And it sees what happens now.
    kill(&after, "flag:model");
    page.wait_text("flag:model: a test");
    assert_eq!(served(&after, "ada"), "old");
}
