//! A headless Chromium, driven over its debugging pipe: what a person sees, clicks and types, without a driver in between.
//!
//! Everything that a page writes to its console as an error is kept; a page that goes without having announced it fails its test.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::clients::clients;

/// A page on a machine where eight builds run may take its time.
const PATIENCE: Duration = Duration::from_secs(40);

/// A browser. Ends with the test.
pub(crate) struct Browser {
    child: Child,
    wire: Arc<Wire>,
    _profile: TempDir,
}

/// The pipe, and what came back over it.
struct Wire {
    out: Mutex<(u64, File)>,
    came: Mutex<Came>,
    more: Condvar,
}

#[derive(Default)]
struct Came {
    answers: HashMap<u64, Value>,
    /// Errors of consoles, by session.
    errors: VecDeque<(String, String)>,
    closed: bool,
}

/// How a page is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) dark: bool,
}

/// A window of a desk.
pub(crate) const DESK: Look = Look { width: 1280, height: 900, dark: false };
/// A phone.
pub(crate) const PHONE: Look = Look { width: 375, height: 740, dark: false };

/// A page in a profile of its own.
pub(crate) struct Page {
    wire: Arc<Wire>,
    session: String,
    expected: RefCell<Vec<String>>,
}

impl Browser {
    pub(crate) fn start() -> Self {
        let prepared = clients().join("bin/chromium");
        let program = if prepared.exists() { prepared } else { PathBuf::from("chromium") };
        let profile = tempfile::tempdir().unwrap();
        let pipes = ["in", "out"].map(|name| profile.path().join(name));
        assert!(Command::new("mkfifo").args(&pipes).status().unwrap().success());
        let [to, from] = &pipes;
        // The debugging pipe is the files 3 and 4; only a shell can give them without unsafe code.
        let child = Command::new("sh")
            .args(["-c", "to=$1 from=$2; shift 2; exec \"$@\" 3<\"$to\" 4>\"$from\"", "sh"])
            .args([to, from])
            .arg(program)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
            ])
            .args(["--hide-scrollbars", "--remote-debugging-pipe", "--force-color-profile=srgb"])
            .arg(format!("--user-data-dir={}", profile.path().join("profile").display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Chromium, which `make prepare` installs");
        let out = File::options().write(true).open(to).unwrap();
        let answers = File::open(from).unwrap();
        let wire = Arc::new(Wire { out: Mutex::new((0, out)), came: Mutex::default(), more: Condvar::new() });
        let reader = Arc::clone(&wire);
        thread::spawn(move || reader.read(answers));
        Self { child, wire, _profile: profile }
    }

    /// Opens a page in a profile of its own and waits until it is there.
    pub(crate) fn open(&self, url: &str, look: Look) -> Page {
        let context = self.wire.call(None, "Target.createBrowserContext", &json!({}));
        let target = self.wire.call(
            None,
            "Target.createTarget",
            &json!({ "url": "about:blank", "browserContextId": context["browserContextId"] }),
        );
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session =
            self.wire.call(None, "Target.attachToTarget", &attach)["sessionId"].as_str().unwrap().to_owned();
        let page = Page { wire: Arc::clone(&self.wire), session, expected: RefCell::default() };
        for domain in ["Page", "Runtime", "Log"] {
            page.call(&format!("{domain}.enable"), &json!({}));
        }
        page.look(look);
        page.go(url);
        page
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _closing = self.wire.send(None, "Browser.close", &json!({}));
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(5) {
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Wire {
    fn read(&self, from: File) {
        for message in BufReader::new(from).split(0).map_while(Result::ok) {
            let Ok(message) = serde_json::from_slice::<Value>(&message) else { continue };
            let mut came = self.came.lock().unwrap();
            if let Some(id) = message["id"].as_u64() {
                came.answers.insert(id, message);
            } else if let Some(error) = error_of(&message) {
                let session = message["sessionId"].as_str().unwrap_or_default().to_owned();
                came.errors.push_back((session, error));
            }
            self.more.notify_all();
        }
        self.came.lock().unwrap().closed = true;
        self.more.notify_all();
    }

    fn send(&self, session: Option<&str>, method: &str, params: &Value) -> std::io::Result<u64> {
        let mut out = self.out.lock().unwrap();
        out.0 += 1;
        let id = out.0;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let mut bytes = serde_json::to_vec(&message).unwrap();
        bytes.push(0);
        out.1.write_all(&bytes)?;
        Ok(id)
    }

    fn call(&self, session: Option<&str>, method: &str, params: &Value) -> Value {
        let id = self.send(session, method, params).unwrap();
        let end = Instant::now() + PATIENCE;
        let mut came = self.came.lock().unwrap();
        loop {
            if let Some(answer) = came.answers.remove(&id) {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].clone();
            }
            assert!(!came.closed, "{method}: the browser has ended");
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{method}: the browser does not answer");
            came = self.more.wait_timeout(came, left).unwrap().0;
        }
    }
}

/// What a page's console shows in red, and what the browser itself complains about.
fn error_of(message: &Value) -> Option<String> {
    let params = &message["params"];
    match message["method"].as_str()? {
        "Runtime.exceptionThrown" => {
            let details = &params["exceptionDetails"];
            Some(format!("{} {}", details["text"], details["exception"]["description"]))
        }
        "Runtime.consoleAPICalled" if ["error", "warning", "assert"].contains(&params["type"].as_str()?) => {
            Some(params["args"].to_string())
        }
        "Log.entryAdded" if params["entry"]["level"] == "error" => {
            Some(format!("{} {}", params["entry"]["text"], params["entry"]["url"]))
        }
        _ => None,
    }
}

impl Page {
    fn call(&self, method: &str, params: &Value) -> Value {
        self.wire.call(Some(&self.session), method, params)
    }

    /// As a window of this size shows it, light or dark.
    pub(crate) fn look(&self, look: Look) {
        self.call(
            "Emulation.setDeviceMetricsOverride",
            &json!({ "width": look.width, "height": look.height, "deviceScaleFactor": 1, "mobile": look.width < 600 }),
        );
        let scheme = if look.dark { "dark" } else { "light" };
        self.call(
            "Emulation.setEmulatedMedia",
            &json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }, { "name": "prefers-reduced-motion", "value": "reduce" }] }),
        );
    }

    /// Goes to another address.
    pub(crate) fn go(&self, url: &str) {
        let gone = self.call("Page.navigate", &json!({ "url": url }));
        assert!(gone.get("errorText").is_none(), "{url}: {gone}");
        self.wait("the page is there", "document.readyState === 'complete'");
    }

    /// What an expression is, once its promise is kept.
    pub(crate) fn eval(&self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true });
        let said = self.call("Runtime.evaluate", &asked);
        assert!(said.get("exceptionDetails").is_none(), "{expression}: {said}");
        said["result"]["value"].clone()
    }

    /// Looks again and again until it holds.
    pub(crate) fn wait(&self, what: &str, expression: &str) {
        let begun = Instant::now();
        loop {
            let asked = json!({ "expression": format!("Boolean({expression})"), "returnByValue": true });
            let said = self.call("Runtime.evaluate", &asked);
            if said["result"]["value"] == true {
                return;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "waited in vain until {what}: {expression}\nconsole: {:#?}\n{}",
                self.errors(),
                self.text()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Until this text is to be seen.
    pub(crate) fn wait_text(&self, text: &str) {
        self.wait(
            &format!("{text:?} is there"),
            &format!("document.body.innerText.includes({})", json!(text)),
        );
    }

    /// Until this text is not to be seen any more.
    pub(crate) fn wait_gone(&self, text: &str) {
        self.wait(
            &format!("{text:?} is gone"),
            &format!("!document.body.innerText.includes({})", json!(text)),
        );
    }

    /// What is to be seen.
    pub(crate) fn text(&self) -> String {
        self.eval("document.body.innerText").as_str().unwrap_or_default().to_owned()
    }

    /// Clicks with the mouse, in the middle of the element, once it is there.
    pub(crate) fn click(&self, selector: &str) {
        let found = format!("document.querySelector({})", json!(selector));
        self.wait(&format!("{selector} is there"), &found);
        self.eval(&format!("{found}.scrollIntoView({{ block: 'center' }})"));
        let middle = format!(
            "(() => {{ const r = {found}?.getBoundingClientRect(); return r ? [r.x + r.width / 2, r.y + r.height / 2] : []; }})()"
        );
        let begun = Instant::now();
        let mut at = self.eval(&middle);
        // What moves is not clicked, and neither is what lies under something else.
        loop {
            thread::sleep(Duration::from_millis(60));
            let now = self.eval(&middle);
            let top =
                format!("{found}?.contains(document.elementFromPoint({}, {})) ?? false", now[0], now[1]);
            if now == at && now[0].is_number() && self.eval(&top) == true {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "{selector} cannot be clicked: {}", self.text());
            at = now;
        }
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", &event);
        }
    }

    /// Presses a key: `Tab`, `Shift+Tab`, `Enter`, `Space`, `Escape`, `ArrowRight`.
    pub(crate) fn press(&self, key: &str) {
        let (shift, name) = key.strip_prefix("Shift+").map_or((false, key), |name| (true, name));
        let (name, code, number, text) = match name {
            "Tab" => ("Tab", "Tab", 9, ""),
            "Enter" => ("Enter", "Enter", 13, "\r"),
            "Space" => (" ", "Space", 32, " "),
            "Escape" => ("Escape", "Escape", 27, ""),
            "ArrowRight" => ("ArrowRight", "ArrowRight", 39, ""),
            other => panic!("no key {other}"),
        };
        for kind in [if text.is_empty() { "rawKeyDown" } else { "keyDown" }, "keyUp"] {
            let mut event = json!({ "type": kind, "key": name, "code": code, "windowsVirtualKeyCode": number, "modifiers": if shift { 8 } else { 0 } });
            if kind == "keyDown" {
                event["text"] = text.into();
            }
            self.call("Input.dispatchKeyEvent", &event);
        }
    }

    /// Types where the focus is.
    pub(crate) fn write(&self, text: &str) {
        self.call("Input.insertText", &json!({ "text": text }));
    }

    /// Where the focus is: an id, else the element's name.
    pub(crate) fn focus(&self) -> String {
        let said = self.eval("document.activeElement?.id || document.activeElement?.tagName || ''");
        said.as_str().unwrap_or_default().to_owned()
    }

    /// Announces an error of the console with this text in it.
    pub(crate) fn expect_error(&self, part: &str) {
        self.expected.borrow_mut().push(part.to_owned());
    }

    /// What the console shows as errors, but for what was announced.
    pub(crate) fn errors(&self) -> Vec<String> {
        let came = self.wire.came.lock().unwrap();
        let own = came.errors.iter().filter(|(session, _)| *session == self.session);
        let expected = self.expected.borrow();
        own.map(|(_, error)| error.clone())
            .filter(|error| !expected.iter().any(|part| error.contains(part.as_str())))
            .collect()
    }

    /// Nothing reaches beyond the window's right edge.
    pub(crate) fn assert_fits(&self, what: &str) {
        let wide = self.eval(
            "(() => { const w = document.documentElement.clientWidth; return document.documentElement.scrollWidth <= w ? '' : [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > w + 1).slice(0, 8).map((e) => `${e.tagName}.${e.className}#${e.id} ${Math.round(e.getBoundingClientRect().right)}`).join(' | ') || 'something'; })()",
        );
        assert_eq!(wide, "", "{what}: this is wider than the window");
    }

    /// Nothing in the console is red.
    pub(crate) fn assert_quiet(&self, what: &str) {
        let errors = self.errors();
        assert!(errors.is_empty(), "{what}: the console says {errors:#?}");
    }

    /// What is to be seen, as a PNG.
    pub(crate) fn screenshot(&self, file: &Path) {
        let shot = self.call("Page.captureScreenshot", &json!({ "format": "png" }));
        std::fs::write(file, base64(shot["data"].as_str().unwrap())).unwrap();
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.assert_quiet("at its end");
        }
    }
}

fn base64(text: &str) -> Vec<u8> {
    let value = |sign: u8| match sign {
        b'A'..=b'Z' => sign - b'A',
        b'a'..=b'z' => sign - b'a' + 26,
        b'0'..=b'9' => sign - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let signs: Vec<u8> = text.bytes().filter(|sign| *sign != b'=').map(value).collect();
    let mut bytes = Vec::with_capacity(signs.len() * 3 / 4);
    for four in signs.chunks(4) {
        let whole =
            four.iter().fold(0_u32, |sum, sign| sum << 6 | u32::from(*sign)) << (6 * (4 - four.len()));
        bytes.extend_from_slice(&whole.to_be_bytes()[1..four.len()]);
    }
    bytes
}
