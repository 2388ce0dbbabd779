//! The admin API as the command line asks it: where it is, who asks, and what its refusals mean to a person.
//!
//! Follows no redirect and uses no proxy of the environment: the token goes to the address that was named, nowhere else.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use http::{Method, Request, Response, StatusCode, Uri, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};

use crate::cli::ended::Failed;
use crate::control::api::shapes::Problem;
use crate::units::Secret;

/// Where the running gateway is asked, for every command that asks it.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "The running gateway")]
pub(super) struct Gateway {
    /// Its admin listener
    #[arg(
        long = "admin",
        value_name = "URL",
        env = "DIMMER_ADMIN_URL",
        hide_env_values = true,
        default_value = DEFAULT_URL
    )]
    url: String,
    /// A file that holds the token; the token itself may also be in DIMMER_ADMIN_TOKEN, and never on a command line
    #[arg(long, value_name = "FILE", env = "DIMMER_ADMIN_TOKEN_FILE", hide_env_values = true)]
    token_file: Option<PathBuf>,
    /// How long to wait for its answer
    #[arg(long, value_name = "SECONDS", default_value_t = TIMEOUT_S, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

/// Where `dimmer serve` listens for operators unless its file says otherwise.
const DEFAULT_URL: &str = "http://127.0.0.1:9901";
/// How long an answer may take unless told otherwise.
const TIMEOUT_S: u64 = 30;
/// A gateway that is there accepts at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest list is a page of the audit.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Asks one gateway.
pub(crate) struct Client {
    agent: Agent,
    /// Without a slash at its end.
    url: String,
    token: Option<Secret>,
    timeout: u64,
}

/// What was answered to what was asked for.
pub(crate) struct Answer {
    /// Of the two hundreds.
    pub status: StatusCode,
    /// As it came.
    pub json: Value,
    asked: String,
}

/// An answer of whatever kind.
struct Page {
    status: StatusCode,
    kind: String,
    text: String,
}

/// Which role a call needs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Viewer,
    Operator,
}

impl Gateway {
    /// Ready to be asked; nothing is connected yet.
    pub(super) fn client(&self) -> Result<Client, String> {
        Ok(Client::new(base(&self.url)?, self.token()?, self.timeout))
    }

    fn token(&self) -> Result<Option<Secret>, String> {
        let (from, text) = match &self.token_file {
            Some(file) => {
                let text = std::fs::read_to_string(file).map_err(|error| {
                    format!("the token's file {} cannot be read: {error}", file.display())
                })?;
                if text.trim().is_empty() {
                    return Err(format!("the token's file {} is empty", file.display()));
                }
                (file.display().to_string(), text)
            }
            None => match std::env::var(TOKEN) {
                Ok(text) => (TOKEN.to_owned(), text),
                Err(std::env::VarError::NotPresent) => return Ok(None),
                Err(error) => return Err(format!("{TOKEN}: {error}")),
            },
        };
        let token = Secret::new(text.trim().to_owned());
        if !token.reveal().bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!(
                "the token in {from} has a blank or another character that a token cannot have"
            ));
        }
        Ok((!token.reveal().is_empty()).then_some(token))
    }
}

const TOKEN: &str = "DIMMER_ADMIN_TOKEN";

/// The address without what people paste after it.
fn base(url: &str) -> Result<String, String> {
    let trimmed = url.trim().trim_end_matches('/').trim_end_matches("/api/v1").trim_end_matches('/');
    let wrong = |what: &str| {
        Err(format!(
            "--admin or DIMMER_ADMIN_URL: {what}; expected the admin listener, for example {DEFAULT_URL}"
        ))
    };
    let Ok(uri) = trimmed.parse::<Uri>() else { return wrong("this is no URL") };
    let Some(authority) = uri.authority() else { return wrong("this is no URL with a host") };
    if authority.as_str().contains('@') {
        return wrong("a URL shows to everybody what is in it: put the token into DIMMER_ADMIN_TOKEN");
    }
    match uri.scheme_str() {
        Some("http" | "https") if uri.query().is_none() => Ok(trimmed.to_owned()),
        _ => wrong("this is no http:// or https:// URL of a listener"),
    }
}

/// The authorities of this machine, or of `SSL_CERT_FILE`, as for providers.
fn system_certificates() -> TlsConfig {
    let loaded = rustls_native_certs::load_native_certs().certs;
    let certificates: Vec<Certificate<'static>> =
        loaded.iter().map(|one| Certificate::from_der(one.as_ref()).to_owned()).collect();
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    TlsConfig::builder()
        .unversioned_rustls_crypto_provider(ring)
        .root_certs(RootCerts::Specific(Arc::new(certificates)))
        .build()
}

impl Client {
    /// Of a gateway of this process, which wants no token.
    pub(crate) fn here(admin: SocketAddr) -> Self {
        Self::new(format!("http://{admin}"), None, TIMEOUT_S)
    }

    fn new(url: String, token: Option<Secret>, timeout: u64) -> Self {
        let secure = url.starts_with("https://");
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(Duration::from_secs(timeout)))
            .user_agent(concat!("dimmer/", env!("CARGO_PKG_VERSION")))
            .tls_config(if secure { system_certificates() } else { TlsConfig::default() })
            .build();
        Self { agent: config.into(), url, token, timeout }
    }

    /// Reads.
    pub(crate) fn get(&self, path: &str) -> Result<Answer, String> {
        self.ask(&Method::GET, path, None, Role::Viewer)
    }

    /// Reads what needs a question to be put.
    pub(crate) fn query(&self, path: &str, question: &impl Serialize) -> Result<Answer, String> {
        let body = serde_json::to_vec(question).map_err(|error| error.to_string())?;
        self.ask(&Method::POST, path, Some(body), Role::Viewer)
    }

    /// Changes.
    pub(crate) fn change(
        &self,
        method: &Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Answer, String> {
        let body = serde_json::to_vec(body).map_err(|error| error.to_string())?;
        self.ask(method, path, Some(body), Role::Operator)
    }

    /// Takes away.
    pub(super) fn delete(&self, path: &str) -> Result<Answer, String> {
        self.ask(&Method::DELETE, path, None, Role::Operator)
    }

    /// Whether `path` of the listener itself answers 200; what it says otherwise.
    pub(crate) fn healthy(&self, path: &str) -> Result<(), String> {
        let url = format!("{}{path}", self.url);
        let request = Request::get(&url).body(()).map_err(|error| error.to_string())?;
        let answered = self.agent.run(request).map_err(|error| self.no_answer(&error, &Method::GET))?;
        let status = answered.status();
        if status == StatusCode::OK {
            return Ok(());
        }
        let said =
            answered.into_body().with_config().limit(SAID_BYTES_MAX).read_to_string().unwrap_or_default();
        Err(format!("{url} answers {status}: {}", excerpt(&said)))
    }

    /// Reads what the listener itself says at `path`, such as `/metrics`.
    pub(crate) fn listener(&self, path: &str) -> Result<String, String> {
        let url = format!("{}{path}", self.url);
        let request = Request::get(&url).body(()).map_err(|error| error.to_string())?;
        let mut answered = self.agent.run(request).map_err(|error| self.no_answer(&error, &Method::GET))?;
        let page = self.page(&mut answered, &Method::GET)?;
        if page.status == StatusCode::OK {
            return Ok(page.text);
        }
        Err(format!("{url} answers {}: {}", page.status, excerpt(&page.text)))
    }

    /// Reads what may be longer than memory, as it comes. What breaks off is an error.
    pub(super) fn stream(&self, path: &str, out: &mut dyn Write) -> Result<(), Failed> {
        let asked = format!("GET /api/v1{path}");
        let mut answered = self.sent(&Method::GET, path, None, true)?;
        if answered.status() != StatusCode::OK {
            return Err(Failed::Said(self.refused(
                &self.page(&mut answered, &Method::GET)?,
                &asked,
                Role::Operator,
            )));
        }
        let mut body = answered.into_body().into_reader();
        let mut piece = vec![0; 64 << 10];
        loop {
            let read = body.read(&mut piece).map_err(|error| {
                format!(
                    "what {} gives broke off, and is not whole: {error}; the gateway's log says why",
                    self.url
                )
            })?;
            if read == 0 {
                out.flush()?;
                return Ok(());
            }
            out.write_all(piece.get(..read).unwrap_or_default())?;
        }
    }

    /// Reads a page that is no JSON.
    pub(crate) fn text(&self, path: &str) -> Result<String, String> {
        let (asked, role) = (format!("GET /api/v1{path}"), Role::Viewer);
        let page = self.send(&Method::GET, path, None)?;
        if !page.status.is_success() {
            return Err(self.refused(&page, &asked, role));
        }
        match page.kind.as_str() {
            "text/html" => Err(self.no_dimmer(&format!("{} with a page for browsers", page.status), &asked)),
            _ => Ok(page.text),
        }
    }

    fn ask(&self, method: &Method, path: &str, body: Option<Vec<u8>>, role: Role) -> Result<Answer, String> {
        let asked = format!("{method} /api/v1{path}");
        let page = self.send(method, path, body)?;
        if !page.status.is_success() {
            return Err(self.refused(&page, &asked, role));
        }
        match serde_json::from_str(&page.text) {
            Ok(json) => Ok(Answer { status: page.status, json, asked }),
            Err(_) => Err(self
                .no_dimmer(&format!("{} with {}, where JSON was expected", page.status, page.kind), &asked)),
        }
    }

    fn send(&self, method: &Method, path: &str, body: Option<Vec<u8>>) -> Result<Page, String> {
        let mut answered = self.sent(method, path, body, false)?;
        self.page(&mut answered, method)
    }

    /// The answer's head. `long`: its body may take longer than an answer.
    fn sent(
        &self,
        method: &Method,
        path: &str,
        body: Option<Vec<u8>>,
        long: bool,
    ) -> Result<Response<Body>, String> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}/api/v1{path}", self.url))
            // Also without a body: it is what a page of another origin cannot send unasked.
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.reveal()));
        }
        let answered = match body {
            Some(bytes) => self.agent.run(request.body(bytes).map_err(|error| error.to_string())?),
            None => {
                let request = request.body(()).map_err(|error| error.to_string())?;
                let patience = Some(Duration::from_secs(self.timeout));
                self.agent.run(match long {
                    true => self
                        .agent
                        .configure_request(request)
                        .timeout_global(None)
                        .timeout_recv_response(patience)
                        .build(),
                    false => self.agent.configure_request(request).build(),
                })
            }
        };
        let answered = answered.map_err(|error| self.no_answer(&error, method))?;
        if answered.status().is_redirection() {
            let to =
                answered.headers().get(header::LOCATION).map(|to| String::from_utf8_lossy(to.as_bytes()));
            return Err(format!(
                "{} answers with a redirect{}, which is not followed: the token is sent only to the address that was \
                 named; name the admin listener itself with --admin or DIMMER_ADMIN_URL",
                self.url,
                to.map(|to| format!(" to {}", excerpt(&to))).unwrap_or_default()
            ));
        }
        Ok(answered)
    }

    fn page(&self, answered: &mut Response<Body>, method: &Method) -> Result<Page, String> {
        let kind = answered.body().mime_type().unwrap_or("no content type").to_owned();
        let text = answered.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
        let text = text.map_err(|error| self.no_answer(&error, method))?;
        Ok(Page { status: answered.status(), kind, text })
    }

    fn refused(&self, page: &Page, asked: &str, role: Role) -> String {
        let status = page.status;
        let problem: Option<Problem> = serde_json::from_str(&page.text).ok();
        let said = problem.as_ref().map(|problem| excerpt(&problem.error.message));
        // Errors of the data listener have codes of their own.
        if problem.is_some_and(|problem| problem.error.code.starts_with("dimmer_")) {
            return format!(
                "{} is the data listener of a dimmer; operators are answered by its admin listener: the line `admin` of \
                 what `dimmer serve` prints",
                self.url
            );
        }
        let role = if role == Role::Viewer { "viewer or operator" } else { "operator" };
        match (status, said) {
            (StatusCode::UNAUTHORIZED, said) => {
                let said = said.map(|said| format!(" ({said})")).unwrap_or_default();
                let token = if self.token.is_some() {
                    "knows no such token"
                } else {
                    "wants a token, and none was given"
                };
                format!(
                    "the gateway at {} {token}{said}; {asked} needs a token of admin.tokens with the role {role}, in \
                     {TOKEN} or in the file that DIMMER_ADMIN_TOKEN_FILE names",
                    self.url
                )
            }
            (StatusCode::FORBIDDEN, Some(said)) if self.token.is_none() => said,
            (StatusCode::FORBIDDEN, said) => {
                let said = said.map(|said| format!(" ({said})")).unwrap_or_default();
                format!(
                    "the gateway at {} refuses it{said}; {asked} needs a token with the role {role}",
                    self.url
                )
            }
            (_, Some(said)) => said,
            (_, None) => self.no_dimmer(&format!("{status} with {}", page.kind), asked),
        }
    }

    fn no_dimmer(&self, what: &str, asked: &str) -> String {
        format!(
            "{} answers {what} to {asked}: that is not a dimmer's admin listener, or one of another version; see the line \
             `admin` of what `dimmer serve` prints, and name it with --admin or DIMMER_ADMIN_URL",
            self.url
        )
    }

    /// There is no answer, or no whole one.
    fn no_answer(&self, error: &ureq::Error, method: &Method) -> String {
        let url = &self.url;
        let mend = "is `dimmer serve` running, and is this the line `admin` of what it prints? Another address: --admin \
                    or DIMMER_ADMIN_URL";
        // What was sent may have been done, unless nobody took it.
        let perhaps = if *method == Method::GET {
            ""
        } else {
            " It may have been done all the same: look before you repeat it."
        };
        match error {
            ureq::Error::HostNotFound => format!("the host of {url} is not known: {mend}"),
            ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
                format!("the gateway at {url} cannot be reached in time: {mend}")
            }
            ureq::Error::Timeout(_) => {
                format!("the gateway at {url} did not answer within {} s (--timeout).{perhaps}", self.timeout)
            }
            ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                format!("nobody listens at {url}: {mend}")
            }
            ureq::Error::BodyExceedsLimit(_) => {
                format!(
                    "the answer of {url} is longer than {} MiB: it is no dimmer's",
                    ANSWER_BYTES_MAX >> 20
                )
            }
            ureq::Error::Protocol(error) => {
                format!(
                    "{url} does not answer as an HTTP server does ({error}); does it want https:// there?"
                )
            }
            other => format!("the gateway at {url} gave no whole answer: {other}; {mend}.{perhaps}"),
        }
    }
}

impl Answer {
    /// As one of the API's shapes.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, String> {
        T::deserialize(&self.json).map_err(|error| {
            format!(
                "the answer to {} is not one that this command line knows: {error}; is the gateway of another version? `dimmer \
                 --version` says this one, `dimmer config --json` the gateway's",
                self.asked
            )
        })
    }
}

/// One segment of a path.
pub(crate) fn segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte))
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// Somebody else's text on this terminal: one line, not too long, without characters that move the cursor.
pub(super) fn excerpt(text: &str) -> String {
    let clean: String = super::table::clean(text.trim());
    if clean.chars().count() <= SAID_CHARS_MAX {
        return clean;
    }
    clean.chars().take(SAID_CHARS_MAX).chain("…".chars()).collect()
}

/// A message is longer than any of ours when it is a page.
const SAID_CHARS_MAX: usize = 2000;
const SAID_BYTES_MAX: u64 = 64 << 10;
