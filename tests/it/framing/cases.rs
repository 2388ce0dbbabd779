//! The table: bytes in, and what may become of them.

/// What the gateway must do with the bytes of a case.
#[derive(Clone, Debug)]
pub(super) enum Wanted {
    /// Each request arrives once, with this body, and the connection lives on.
    Passes(Vec<String>),
    /// The same, and the connection ends after the last: what follows is not read.
    PassesAndCloses(Vec<String>),
    /// The first requests arrive with these bodies; what follows is answered with this status, and the connection closes.
    Refused(Vec<String>, u16),
    /// Answered with this status; nothing arrives, and the connection lives on.
    Answered(u16),
    /// Nothing arrives: what came is not whole.
    Waits,
}

/// One connection.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    pub(super) wanted: Wanted,
}

/// A chat request that every route takes.
pub(super) const BODY: &str = r#"{"model":"m-1","messages":[]}"#;

struct Table<'a> {
    /// Where the requests of the case go, with the case's mark in it.
    path: &'a str,
    cases: Vec<Case>,
}

/// A whole good request, the last on its connection.
pub(super) fn probe(path: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{BODY}",
        BODY.len()
    )
}

/// All cases, with their requests to `path(number)`.
pub(super) fn cases(path: impl Fn(usize) -> String) -> Vec<Case> {
    // The number of a case is its place: its path is made when its place is known.
    let count = table("").len();
    (0..count).map(|number| table(&path(number)).swap_remove(number)).collect()
}

fn table(path: &str) -> Vec<Case> {
    let mut table = Table { path, cases: Vec::new() };
    table.what_is_right();
    table.framings();
    table.codings();
    table.chunks();
    table.smuggling();
    table.lines();
    table.fields();
    table.hosts();
    table.targets();
    table.methods_and_versions();
    table.sizes();
    table.half();
    table.cases
}

fn body() -> Vec<String> {
    vec![BODY.to_owned()]
}

impl Table<'_> {
    fn add(&mut self, name: impl Into<String>, bytes: impl Into<Vec<u8>>, wanted: Wanted) {
        let case = Case { name: name.into(), bytes: bytes.into(), wanted };
        self.cases.push(case);
    }

    fn refused(&mut self, name: impl Into<String>, bytes: impl Into<Vec<u8>>, status: u16) {
        self.add(name, bytes, Wanted::Refused(Vec::new(), status));
    }

    /// A request with these lines and this body.
    fn with(&self, lines: &str, body: &str) -> String {
        format!("POST {} HTTP/1.1\r\nhost: x\r\n{lines}\r\n{body}", self.path)
    }

    fn good(&self) -> String {
        self.with(&format!("content-length: {}\r\n", BODY.len()), BODY)
    }

    /// What somebody would like to smuggle in.
    fn hidden(&self) -> String {
        format!("GET {}hidden HTTP/1.1\r\nhost: x\r\n\r\n", self.path)
    }

    fn what_is_right(&mut self) {
        let length = BODY.len();
        for (name, lines) in [
            ("a length", format!("content-length: {length}\r\n")),
            ("a length in capitals", format!("CONTENT-LENGTH: {length}\r\n")),
            ("a length between white space", format!("content-length:   {length}  \r\n")),
            ("a length without white space", format!("content-length:{length}\r\n")),
            ("empty values", format!("x-a:\r\nx-b: \r\ncontent-length: {length}\r\n")),
            ("values beyond ASCII", format!("x-a: \u{e9}\u{4e2d}\r\ncontent-length: {length}\r\n")),
            ("every byte of a name", format!("!#$%&'*+-.^`|~0aZ: 1\r\ncontent-length: {length}\r\n")),
            ("a tab in a value", format!("x-a: 1\t2\r\ncontent-length: {length}\r\n")),
            (
                "an h2c upgrade",
                format!(
                    "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\ncontent-length: {length}\r\n"
                ),
            ),
            (
                "an upgrade to something",
                format!("connection: upgrade\r\nupgrade: x/1\r\ncontent-length: {length}\r\n"),
            ),
            ("an odd expectation", format!("expect: something\r\ncontent-length: {length}\r\n")),
            (
                "keep-alive",
                format!("connection: keep-alive\r\nkeep-alive: timeout=5\r\ncontent-length: {length}\r\n"),
            ),
            ("a hop-by-hop length", format!("connection: content-length\r\ncontent-length: {length}\r\n")),
            ("a hop-by-hop host", format!("connection: host\r\ncontent-length: {length}\r\n")),
            (
                "a forged forwarding",
                format!("x-forwarded-host: y\r\nforwarded: host=y\r\ncontent-length: {length}\r\n"),
            ),
            ("TE", format!("te: trailers, deflate\r\nconnection: te\r\ncontent-length: {length}\r\n")),
        ] {
            let case = self.with(&lines, BODY);
            self.add(name, case, Wanted::Passes(body()));
        }
        self.more_that_is_right();
    }

    fn more_that_is_right(&mut self) {
        let (length, path) = (BODY.len(), self.path.to_owned());
        let good = self.good();
        self.add("an empty line first", format!("\r\n{good}"), Wanted::Passes(body()));
        self.add(
            "an empty line between",
            format!("{good}\r\n{good}"),
            Wanted::Passes(vec![BODY.to_owned(); 2]),
        );
        self.add("three in one piece", good.repeat(3), Wanted::Passes(vec![BODY.to_owned(); 3]));
        self.add("twenty in one piece", good.repeat(20), Wanted::Passes(vec![BODY.to_owned(); 20]));
        for method in ["GET", "DELETE", "OPTIONS", "PUT", "PATCH", "HEAD"] {
            self.add(
                method,
                format!("{method} {path} HTTP/1.1\r\nhost: x\r\n\r\n"),
                Wanted::Passes(vec![String::new()]),
            );
        }
        self.add(
            "GET with a body",
            format!("GET {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{{}}"),
            Wanted::Passes(vec!["{}".into()]),
        );
        self.add("the absolute form", good.replacen(" /", " http://x/", 1), Wanted::Passes(body()));
        self.add("HTTP/1.0", good.replacen("HTTP/1.1", "HTTP/1.0", 1), Wanted::PassesAndCloses(body()));
        self.add(
            "HTTP/1.0 without a host",
            format!("GET {path} HTTP/1.0\r\n\r\n"),
            Wanted::PassesAndCloses(vec![String::new()]),
        );
        self.add(
            "the last one says so",
            self.with(&format!("connection: close\r\ncontent-length: {length}\r\n"), BODY),
            Wanted::PassesAndCloses(body()),
        );
        self.add(
            "a body announced",
            self.with(&format!("expect: 100-continue\r\ncontent-length: {length}\r\n"), BODY),
            Wanted::Passes(body()),
        );
        self.add("a WebSocket", format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"), Wanted::Answered(426));
    }

    fn framings(&mut self) {
        let length = BODY.len();
        for value in [
            "",
            " ",
            "+29",
            "-29",
            "-1",
            "0x1d",
            "29.0",
            "2 9",
            "29,",
            ",29",
            "29, 29",
            "29;29",
            "29\t29",
            "\t29",
            "029",
            "00",
            "2e1",
            "1_0",
            "\"29\"",
            "9223372036854775808",
            "18446744073709551616",
            "99999999999999999999999999",
            "\u{661}",
            "29a",
            "NaN",
            "infinity",
        ] {
            self.refused(
                format!("the length {value:?}"),
                self.with(&format!("content-length: {value}\r\n"), BODY),
                400,
            );
        }
        for (name, lines) in [
            ("two equal lengths", format!("content-length: {length}\r\ncontent-length: {length}\r\n")),
            ("two lengths", format!("content-length: {length}\r\ncontent-length: 0\r\n")),
            (
                "two lengths, the other way round",
                format!("content-length: 0\r\ncontent-length: {length}\r\n"),
            ),
            ("two lengths, apart", format!("content-length: 0\r\nx-a: 1\r\nContent-Length: {length}\r\n")),
            ("a length, a space", format!("content-length : {length}\r\n")),
            ("a length, a tab", format!("content-length\t: {length}\r\n")),
            ("a length with a NUL", format!("content-length: {length}\0\r\n")),
            ("a length with a form feed", format!("content-length: \x0c{length}\r\n")),
            ("a length with a vertical tab", format!("content-length: {length}\x0b\r\n")),
            ("a length that is folded", format!("content-length:\r\n {length}\r\n")),
            ("a length with an underscore", format!("content_length: 0\r\ncontent-length: {length}\r\n")),
        ] {
            self.refused(name, self.with(&lines, BODY), 400);
        }
    }

    fn codings(&mut self) {
        let chunked = format!("{:x}\r\n{BODY}\r\n0\r\n\r\n", BODY.len());
        for value in [
            "",
            "gzip",
            "identity",
            "chunked, gzip",
            "gzip, chunked",
            "chunked,",
            ",chunked",
            "chunked, chunked",
            "chunked, identity",
            "identity, chunked",
            "xchunked",
            "chunkedx",
            "\"chunked\"",
            "'chunked'",
            "chunked;q=1",
            "\tchunked",
            "chunke",
            "chunked chunked",
            "cow",
            "chun\u{212a}ed",
            "chunked\u{a0}",
        ] {
            let bytes = self.with(&format!("transfer-encoding: {value}\r\n"), &chunked);
            self.refused(format!("the coding {value:?}"), bytes, 501);
        }
        for (name, lines, status) in [
            ("chunked twice", "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", 400),
            ("chunked and identity", "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n", 400),
            ("identity and chunked", "transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n", 501),
            ("chunked, a space", "transfer-encoding : chunked\r\n", 400),
            ("chunked, a tab", "transfer-encoding\t: chunked\r\n", 400),
            ("chunked, folded", "transfer-encoding:\r\n chunked\r\n", 501),
            ("chunked, folded behind", "transfer-encoding: chunked\r\n \r\n", 400),
            ("chunked behind a NUL", "transfer-encoding: \0chunked\r\n", 400),
            ("chunked behind a vertical tab", "transfer-encoding: \x0bchunked\r\n", 400),
            ("chunked behind a bare CR", "transfer-encoding: \rchunked\r\n", 400),
            ("chunked behind a bare LF", "transfer-encoding:\n chunked\r\n", 400),
            ("chunked in another's value", "x-a: 1\rtransfer-encoding: chunked\r\n", 400),
            ("chunked in another's line", "x-a: 1\ntransfer-encoding: chunked\r\n", 400),
            ("chunked with an underscore", "transfer_encoding: chunked\r\n", 400),
            ("a space before chunked", " transfer-encoding: chunked\r\n", 400),
            ("length and chunked", "content-length: 4\r\ntransfer-encoding: chunked\r\n", 400),
            ("chunked and length", "transfer-encoding: chunked\r\ncontent-length: 4\r\n", 400),
            ("length and identity", "content-length: 4\r\ntransfer-encoding: identity\r\n", 501),
            ("no length and chunked", "content-length: 0\r\ntransfer-encoding: chunked\r\n", 400),
        ] {
            self.refused(name, self.with(lines, &chunked), status);
        }
        let old = self.with("transfer-encoding: chunked\r\n", &chunked).replacen("HTTP/1.1", "HTTP/1.0", 1);
        self.refused("chunked in HTTP/1.0", old, 400);
        let right = self.with("Transfer-Encoding: Chunked\r\n", &chunked);
        self.add("chunked in capitals", right, Wanted::Passes(body()));
        let right = self.with("connection: transfer-encoding\r\ntransfer-encoding: chunked\r\n", &chunked);
        self.add("hop-by-hop chunked", right, Wanted::Passes(body()));
    }

    fn chunks(&mut self) {
        let (size, lines) = (format!("{:x}", BODY.len()), "transfer-encoding: chunked\r\n");
        let (first, second) = BODY.split_at(4);
        for (name, chunks) in [
            ("one chunk", format!("{size}\r\n{BODY}\r\n0\r\n\r\n")),
            ("two chunks", format!("4\r\n{first}\r\n{:X}\r\n{second}\r\n0\r\n\r\n", second.len())),
            (
                "a chunk for each byte",
                BODY.chars().map(|byte| format!("1\r\n{byte}\r\n")).collect::<String>() + "0\r\n\r\n",
            ),
            ("zeros before a size", format!("00{size}\r\n{BODY}\r\n000\r\n\r\n")),
            ("an extension", format!("{size};a=b;c=\"d\"\r\n{BODY}\r\n0;e\r\n\r\n")),
            ("trailers", format!("{size}\r\n{BODY}\r\n0\r\nx-sum: 1\r\nx-b:\r\n\r\n")),
            ("a trailer that frames", format!("{size}\r\n{BODY}\r\n0\r\ncontent-length: 5\r\n\r\n")),
            ("a trailer that names a host", format!("{size}\r\n{BODY}\r\n0\r\nhost: y\r\n\r\n")),
        ] {
            self.add(name, self.with(lines, &chunks), Wanted::Passes(body()));
        }
        for bad in [
            "",
            " ",
            "-1",
            "+1d",
            "0x1d",
            "1d ",
            " 1d",
            "1g",
            "g",
            "1d\t",
            "1.d",
            "1d,1d",
            "\0",
            "10000000000000000",
            "fffffffffffffffff",
            "8000000000000000",
            "ffffffffffffffff",
            "00000000000000001d",
            "1d\u{a0}",
        ] {
            let case = self.with(lines, &format!("{bad}\r\n{BODY}\r\n0\r\n\r\n"));
            self.refused(format!("the size {bad:?}"), case, 400);
        }
        for (name, chunks) in [
            ("a size ended by LF", format!("{size}\n{BODY}\r\n0\r\n\r\n")),
            ("a size ended by CR", format!("{size}\r{BODY}\r\n0\r\n\r\n")),
            ("a size ended by CRCRLF", format!("{size}\r\r\n{BODY}\r\n0\r\n\r\n")),
            ("data without its end", format!("{size}\r\n{BODY}0\r\n\r\n")),
            ("data ended by LF", format!("{size}\r\n{BODY}\n0\r\n\r\n")),
            ("data ended by CR", format!("{size}\r\n{BODY}\r0\r\n\r\n")),
            ("data ended by two bytes", format!("{size}\r\n{BODY}xx0\r\n\r\n")),
            ("data that is longer", format!("{size}\r\n{BODY}x\r\n0\r\n\r\n")),
            ("an extension with LF", format!("{size};a\n{BODY}\r\n0\r\n\r\n")),
            ("an extension with a control", format!("{size};\x01\r\n{BODY}\r\n0\r\n\r\n")),
            ("an extension in a hidden line", format!("{size};a\rX\r\n{BODY}\r\n0\r\n\r\n")),
            ("a long extension", format!("{size};{}\r\n{BODY}\r\n0\r\n\r\n", "a".repeat(20_000))),
            ("the last chunk ended by LF", format!("{size}\r\n{BODY}\r\n0\n\r\n")),
            ("the end is LF", format!("{size}\r\n{BODY}\r\n0\r\n\n")),
            ("a trailer without a colon", format!("{size}\r\n{BODY}\r\n0\r\nx\r\n\r\n")),
            ("a trailer ended by LF", format!("{size}\r\n{BODY}\r\n0\r\nx: 1\n\r\n")),
            ("a trailer that is folded", format!("{size}\r\n{BODY}\r\n0\r\nx: 1\r\n 2\r\n\r\n")),
            ("a trailer with a NUL", format!("{size}\r\n{BODY}\r\n0\r\nx: \0\r\n\r\n")),
            ("many trailers", format!("{size}\r\n{BODY}\r\n0\r\n{}\r\n", "x: 1\r\n".repeat(5_000))),
        ] {
            self.refused(name, self.with(lines, &chunks), 400);
        }
    }

    /// Requests that somebody hides where another server might find them.
    fn smuggling(&mut self) {
        let (hidden, path) = (self.hidden(), self.path.to_owned());
        let length = hidden.len();
        self.add(
            "in a body with a length",
            self.with(&format!("content-length: {length}\r\n"), &hidden).replacen("POST", "PUT", 1),
            Wanted::Passes(vec![hidden.clone()]),
        );
        self.add(
            "in a body of GET",
            format!("GET {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{hidden}"),
            Wanted::Passes(vec![hidden.clone()]),
        );
        self.add(
            "in a chunk",
            self.with("transfer-encoding: chunked\r\n", &format!("{length:x}\r\n{hidden}\r\n0\r\n\r\n"))
                .replacen("POST", "PUT", 1),
            Wanted::Passes(vec![hidden.clone()]),
        );
        for (name, lines, tail) in [
            (
                "CL.TE",
                "content-length: 6\r\ntransfer-encoding: chunked\r\n".to_owned(),
                format!("0\r\n\r\n{hidden}"),
            ),
            (
                "TE.CL",
                "transfer-encoding: chunked\r\ncontent-length: 4\r\n".to_owned(),
                format!("{length:x}\r\n{hidden}\r\n0\r\n\r\n"),
            ),
            ("CL.0", format!("content-length: {length}\r\ncontent-length: 0\r\n"), hidden.clone()),
            ("0.CL", format!("content-length: 0\r\ncontent-length: {length}\r\n"), hidden.clone()),
            (
                "TE.TE",
                "transfer-encoding: chunked\r\ntransfer-encoding: cow\r\n".to_owned(),
                format!("0\r\n\r\n{hidden}"),
            ),
            (
                "CL.TE by a space",
                "content-length: 6\r\ntransfer-encoding : chunked\r\n".to_owned(),
                format!("0\r\n\r\n{hidden}"),
            ),
            (
                "CL.TE by a bare LF",
                "content-length: 6\nx: 1\r\ntransfer-encoding: chunked\r\n".to_owned(),
                format!("0\r\n\r\n{hidden}"),
            ),
            (
                "CL.TE by a bare CR",
                "x: 1\rcontent-length: 6\r\ntransfer-encoding: chunked\r\n".to_owned(),
                format!("0\r\n\r\n{hidden}"),
            ),
            ("a head in a head", format!("x: 1\n\n{hidden}\r\ncontent-length: 0\r\n"), String::new()),
            ("a head in a value", format!("x: 1\r\r\n\r{hidden}"), String::new()),
        ] {
            self.refused(name, self.with(&lines, &tail), 400);
        }
        self.refused(
            "CL.TE by capitals",
            self.with("content-length: 6\r\nTRANSFER-ENCODING: chunked\r\n", &format!("0\r\n\r\n{hidden}")),
            400,
        );
        self.behind_good_ones();
    }

    fn behind_good_ones(&mut self) {
        let (hidden, good, path) = (self.hidden(), self.good(), self.path.to_owned());
        let tab = "content-length: 6\r\ntransfer-encoding:\tchunked\r\n";
        self.refused("CL.TE by a tab", self.with(tab, &format!("0\r\n\r\n{hidden}")), 501);
        self.refused(
            "a chunk's end in its extension",
            self.with("transfer-encoding: chunked\r\n", &format!("2;\n\r\n0\r\n\r\n{hidden}\r\n0\r\n\r\n")),
            400,
        );
        let odd = hidden.replace("host: x", "host : x");
        self.add("a bad one behind a good one", format!("{good}{odd}"), Wanted::Refused(body(), 400));
        self.add(
            "a bad one behind two",
            format!("{good}{good}{odd}{good}"),
            Wanted::Refused(vec![BODY.to_owned(); 2], 400),
        );
        self.add("rubbish behind a good one", format!("{good}\0\0\0\0"), Wanted::Refused(body(), 400));
        self.add("a surplus byte", format!("{good}x{good}"), Wanted::Refused(body(), 400));
        self.add(
            "a TLS greeting behind a good one",
            [good.as_bytes(), b"\x16\x03\x01\x02\x00\x01"].concat(),
            Wanted::Refused(body(), 400),
        );
        self.add("a longer body", good.clone() + "0\r\n\r\n", Wanted::Refused(body(), 400));
        self.add(
            "the preface behind a good one",
            format!("{good}PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
            Wanted::Refused(body(), 505),
        );
        self.refused(
            "in a target",
            format!("GET {path}%20HTTP/1.1\r\nhost: x HTTP/1.1\r\nhost: x\r\n\r\n"),
            400,
        );
        self.refused("in a target with LF", format!("GET {path}\nhost: y HTTP/1.1\r\nhost: x\r\n\r\n"), 400);
        self.refused("in a target with CR", format!("GET {path}\rhost: y HTTP/1.1\r\nhost: x\r\n\r\n"), 400);
    }

    fn lines(&mut self) {
        let (good, path) = (self.good(), self.path.to_owned());
        self.refused("LF for all line ends", good.replace("\r\n", "\n"), 400);
        self.refused("CR for all line ends", good.replace("\r\n", "\r"), 400);
        self.refused("LF behind the first line", good.replacen("\r\n", "\n", 1), 400);
        self.refused("LF behind the fields", good.replacen("\r\n\r\n", "\r\n\n", 1), 400);
        self.refused("CRCRLF", good.replacen("\r\n", "\r\r\n", 1), 400);
        self.refused("LFCR", good.replacen("\r\n", "\n\r", 1), 400);
        self.refused("two empty lines first", format!("\r\n\r\n{good}"), 400);
        self.refused("LF first", format!("\n{good}"), 400);
        self.refused("a space first", format!(" {good}"), 400);
        self.refused("a folded line", self.with("x: 1\r\n 2\r\n", ""), 400);
        self.refused("a folded line with a tab", self.with("x: 1\r\n\t2\r\n", ""), 400);
        self.refused("the first field folded", format!("GET {path} HTTP/1.1\r\n host: x\r\n\r\n"), 400);
        self.refused("two spaces", format!("GET  {path} HTTP/1.1\r\nhost: x\r\n\r\n"), 400);
        self.refused("two spaces behind", format!("GET {path}  HTTP/1.1\r\nhost: x\r\n\r\n"), 400);
        self.refused("a space at the end", format!("GET {path} HTTP/1.1 \r\nhost: x\r\n\r\n"), 400);
        self.refused("tabs between", format!("GET\t{path}\tHTTP/1.1\r\nhost: x\r\n\r\n"), 400);
        for byte in [0_u8, 1, 7, 8, 0x0b, 0x0c, 0x1b, 0x1f, 0x7f] {
            let mut bytes = self.with("x: ", "").into_bytes();
            let at = bytes.len() - 2;
            bytes.insert(at, byte);
            bytes.splice(at + 3..at + 3, *b"\r\n");
            self.refused(format!("the byte {byte:#04x} in a value"), bytes, 400);
        }
    }

    fn fields(&mut self) {
        for (name, line) in [
            ("no colon", "x"),
            ("no name", ": 1"),
            ("a space in a name", "x y: 1"),
            ("a space before the colon", "x : 1"),
            ("a tab before the colon", "x\t: 1"),
            ("a NUL in a name", "x\0: 1"),
            ("a quote in a name", "\"x\": 1"),
            ("brackets in a name", "x[0]: 1"),
            ("a slash in a name", "x/y: 1"),
            ("an at in a name", "x@y: 1"),
            ("a name beyond ASCII", "x\u{e9}: 1"),
            ("an equals sign in a name", "x=y: 1"),
            ("a comma in a name", "x,y: 1"),
            ("an underscore", "x_y: 1"),
            ("an underscore for a hyphen", "x_forwarded_for: 1"),
            ("underscores alone", "__: 1"),
            ("braces in a name", "{x}: 1"),
            ("a backslash in a name", "x\\y: 1"),
            ("a question mark in a name", "x?: 1"),
        ] {
            let case = self.with(&format!("{line}\r\n"), "");
            self.refused(name, case, 400);
        }
    }

    fn hosts(&mut self) {
        let path = self.path.to_owned();
        for host in [
            "", " ", "a b", "a/b", "a@b", "a?b", "a#b", "x:y", "x:99999", "x:123456", "x:1:2", "[::1", "[]",
            "[::1]x", "[g]", "http://x", "a\\b", "a%2fb", "x:-1", "\"x\"", "\u{e9}", "a\tb", "a,b c",
        ] {
            let case = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
            self.refused(format!("the host {host:?}"), case, 400);
        }
        for host in ["127.0.0.1", "localhost:8080", "[::1]", "[::1]:80", "my_gateway", "X.Example", "x:"] {
            let case = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
            self.add(format!("the host {host:?} is one"), case, Wanted::Passes(vec![String::new()]));
        }
        self.refused("no host", format!("GET {path} HTTP/1.1\r\n\r\n"), 400);
        self.refused("two hosts", format!("GET {path} HTTP/1.1\r\nhost: x\r\nhost: x\r\n\r\n"), 400);
        self.refused("two other hosts", format!("GET {path} HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n"), 400);
        self.refused("a host with a space", format!("GET {path} HTTP/1.1\r\nhost : x\r\n\r\n"), 400);
        self.refused(
            "a host with an underscore",
            format!("GET {path} HTTP/1.1\r\nho_st: y\r\nhost: x\r\n\r\n"),
            400,
        );
        self.refused(
            "two hosts in HTTP/1.0",
            format!("GET {path} HTTP/1.0\r\nhost: x\r\nhost: y\r\n\r\n"),
            400,
        );
        for form in
            ["http://y", "http://x:81", "http://x@y", "http://", "http:/", "ftp://x", "x", "x:80", "//x@y#"]
        {
            let case = format!("GET {form}{path} HTTP/1.1\r\nhost: x\r\n\r\n");
            self.refused(format!("the target's host {form:?}"), case, 400);
        }
    }

    fn targets(&mut self) {
        let path = self.path.to_owned();
        for (name, target) in [
            ("a fragment", format!("{path}#a")),
            ("a fragment first", format!("#{path}")),
            ("a space", format!("{path} a")),
            ("a NUL", format!("{path}\0")),
            ("DEL", format!("{path}\x7f")),
            ("a tab", format!("{path}\t")),
            ("a control", format!("{path}\x01")),
            ("beyond ASCII", format!("{path}\u{e9}")),
            ("an angle bracket", format!("{path}<")),
            ("an asterisk", "*".to_owned()),
            ("an authority", "x:443".to_owned()),
            ("nothing", String::new()),
            ("a question mark", "?x".to_owned()),
            ("a backslash first", format!("\\{path}")),
            ("a dot first", format!(".{path}")),
            ("an asterisk and a path", format!("*{path}")),
        ] {
            let case = format!("GET {target} HTTP/1.1\r\nhost: x\r\n\r\n");
            self.refused(format!("a target with {name}"), case, 400);
        }
        self.add(
            "escapes",
            format!("GET {path}%00%0d%0a%23 HTTP/1.1\r\nhost: x\r\n\r\n"),
            Wanted::Passes(vec![String::new()]),
        );
        self.add(
            "odd but clear",
            format!("GET {path}&a={{}}|^~!$'()*,;:@[]\\ HTTP/1.1\r\nhost: x\r\n\r\n"),
            Wanted::Passes(vec![String::new()]),
        );
    }

    fn methods_and_versions(&mut self) {
        let path = self.path.to_owned();
        for method in [
            "get",
            "Get",
            "G@T",
            "GET/",
            "G\0T",
            "GE T",
            "\"GET\"",
            "",
            "(GET)",
            "G\u{c9}T",
            "GET:",
            "CONNECT",
            "TRACE",
            "0GET",
            "GETGETGETGETGETGETGETGETGETGETGETGET",
        ] {
            let case = format!("{method} {path} HTTP/1.1\r\nhost: x\r\n\r\n");
            self.refused(format!("the method {method:?}"), case, 400);
        }
        self.refused("a tunnel", "CONNECT x:443 HTTP/1.1\r\nhost: x:443\r\n\r\n", 400);
        for (version, status) in [
            ("HTTP/2.0", 505),
            ("HTTP/0.9", 505),
            ("HTTP/3.0", 505),
            ("HTTP/1.2", 505),
            ("HTTP/9.9", 505),
            ("HTTP/1", 400),
            ("HTTP/1.", 400),
            ("HTTP/.1", 400),
            ("HTTP/11", 400),
            ("HTTP/1.1.1", 400),
            ("HTTP/1.10", 400),
            ("HTTP/01.1", 400),
            ("http/1.1", 400),
            ("HTTPS/1.1", 400),
            ("HTTP 1.1", 400),
            ("HTTP/1,1", 400),
            ("HTTP/+1.1", 400),
            ("HTTP/1.1\0", 400),
            ("H", 400),
            ("ICY/1.1", 400),
            ("HTTP/\u{661}.1", 400),
        ] {
            let case = format!("GET {path} {version}\r\nhost: x\r\n\r\n");
            self.refused(format!("the version {version:?}"), case, status);
        }
        self.refused("HTTP/0.9", format!("GET {path}\r\n"), 400);
        self.refused("half a preface and more", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", 505);
        self.refused("an HTTP/2 frame", b"\x00\x00\x12\x04\x00\x00\x00\x00\x00".to_vec(), 400);
        self.refused("a TLS greeting", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), 400);
        self.refused("an answer", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 400);
        self.refused("SSH", "SSH-2.0-OpenSSH_9.2\r\n", 400);
        self.refused("SMTP", "EHLO x\r\nMAIL FROM:<a@b>\r\n", 400);
        self.refused("a PROXY line", format!("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n{}", self.good()), 400);
        self.refused("JSON", BODY, 400);
    }

    fn sizes(&mut self) {
        let path = self.path.to_owned();
        let long = |size: usize| format!("GET {path}&{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(size));
        self.add("a long target", long(7_000), Wanted::Passes(vec![String::new()]));
        self.refused("a target that is too long", long(9_000), 414);
        self.refused("a target that is far too long", long(300_000), 414);
        let fields = |count: usize| (0..count).map(|at| format!("x-{at}: 1\r\n")).collect::<String>();
        self.add(
            "many fields",
            self.with(&(fields(90) + &format!("content-length: {}\r\n", BODY.len())), BODY),
            Wanted::Passes(body()),
        );
        self.refused("too many fields", self.with(&fields(101), ""), 431);
        self.refused("far too many fields", self.with(&fields(5_000), ""), 431);
        self.refused(
            "a field that is too large",
            self.with(&format!("x: {}\r\n", "a".repeat(300_000)), ""),
            431,
        );
        self.refused(
            "a name that is too large",
            self.with(&format!("{}: 1\r\n", "a".repeat(300_000)), ""),
            431,
        );
        self.refused("a field without end", self.with("x: ", &"a".repeat(300_000)), 431);
    }

    fn half(&mut self) {
        let good = self.good();
        for (name, keep) in [
            ("half a first line", 10),
            ("half a head", good.len() - BODY.len() - 2),
            ("half a body", good.len() - 5),
        ] {
            self.add(name, good.as_bytes()[..keep].to_vec(), Wanted::Waits);
        }
        let chunks = self.with("transfer-encoding: chunked\r\n", "");
        for (name, tail) in [
            ("no chunk", ""),
            ("half a size", "1"),
            ("half a chunk", "1d\r\n{"),
            ("no last chunk", "1\r\n{\r\n"),
            ("half an end", "1\r\n{\r\n0\r\n"),
        ] {
            self.add(name, format!("{chunks}{tail}"), Wanted::Waits);
        }
        let wait = self.with("content-length: 500\r\n", &self.hidden());
        self.add("a hidden one in half a body", wait, Wanted::Waits);
    }
}
