//! Pages of the admin listener for browsers: plain files, embedded. They hold no data: their scripts ask the API, with a token where one
//! is wanted. Nothing of them is from elsewhere, and nothing but them is run.

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body_util::Full;

/// The page, the script or the style at a path; `None`: there is none.
pub(super) fn at(path: &str) -> Option<Response<Full<Bytes>>> {
    if let Some((_, kind, text)) = FILES.iter().find(|(at, ..)| *at == path) {
        let policy = if *kind == HTML { Some(POLICY) } else { None };
        return Some(response(kind, text, policy));
    }
    let within = path.strip_prefix("/shadow/")?;
    let (route, name) = within.trim_end_matches('/').split_once('/')?;
    if route.is_empty() || name.is_empty() || name.contains('/') {
        return None;
    }
    Some(response(HTML, SHADOW, Some(SHADOW_POLICY)))
}

fn response(kind: &'static str, text: &'static str, policy: Option<&'static str>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if let Some(policy) = policy {
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
        headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    }
    response
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Every file, by its path.
const FILES: &[(&str, &str, &str)] = &[
    ("/", HTML, include_str!("pages/index.html")),
    ("/page/page.css", CSS, include_str!("pages/page.css")),
    ("/page/icon.svg", SVG, include_str!("pages/icon.svg")),
    ("/page/app.js", JS, include_str!("pages/app.js")),
    ("/page/api.js", JS, include_str!("pages/api.js")),
    ("/page/live.js", JS, include_str!("pages/live.js")),
    ("/page/dom.js", JS, include_str!("pages/dom.js")),
    ("/page/plots.js", JS, include_str!("pages/plots.js")),
    ("/page/ask.js", JS, include_str!("pages/ask.js")),
    ("/page/views/overview.js", JS, include_str!("pages/views/overview.js")),
    ("/page/views/flags.js", JS, include_str!("pages/views/flags.js")),
    ("/page/views/kills.js", JS, include_str!("pages/views/kills.js")),
    ("/page/views/breakers.js", JS, include_str!("pages/views/breakers.js")),
    ("/page/views/impact.js", JS, include_str!("pages/views/impact.js")),
    ("/page/views/shadows.js", JS, include_str!("pages/views/shadows.js")),
    ("/page/views/adoption.js", JS, include_str!("pages/views/adoption.js")),
    ("/page/views/explain.js", JS, include_str!("pages/views/explain.js")),
    ("/page/views/audit.js", JS, include_str!("pages/views/audit.js")),
    ("/page/views/hygiene.js", JS, include_str!("pages/views/hygiene.js")),
    ("/shadow.js", JS, include_str!("pages/shadow.js")),
];

const SHADOW: &str = include_str!("pages/shadow.html");

/// This listener's own scripts, styles and answers, and no text that becomes markup: a browser refuses to make any.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// The script of this listener and nothing else; the frame inherits it, so that a report cannot load or run anything either.
const SHADOW_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; \
                             form-action 'none'; frame-ancestors 'none'";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use http::header;

    use super::{FILES, at};

    fn files(folder: &Path, all: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files(&path, all);
            } else {
                all.insert(std::fs::read_to_string(&path).unwrap());
            }
        }
    }

    #[test]
    fn every_file_is_served() {
        let mut all = BTreeSet::new();
        files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/control/pages"), &mut all);
        for (_, _, text) in FILES {
            all.remove(*text);
        }
        assert_eq!(all.len(), 1, "but for the page of shadows, which has many paths: {all:#?}");
    }

    /// What a script imports and a page names is served, and nothing is named that is elsewhere.
    #[test]
    fn nothing_is_from_elsewhere() {
        for (path, _, text) in FILES {
            for part in text.split(['"', '\'', '`']).skip(1) {
                let elsewhere = ["http://", "https://", "//"].iter().any(|start| part.starts_with(start));
                assert!(!elsewhere || part == "http://www.w3.org/2000/svg", "{path}: {part}");
                let named = part.starts_with("/page/");
                assert!(!named || at(part).is_some(), "{path}: nothing is at {part}");
            }
            for bad in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "style=\""]
            {
                assert!(!text.contains(bad), "{path}: {bad}");
            }
        }
    }

    #[test]
    fn pages_say_what_they_may() {
        let page = at("/").unwrap();
        let policy = page.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
        assert!(at("/shadow/r/n").is_some() && at("/shadow/r").is_none() && at("/page/none.js").is_none());
    }
}
