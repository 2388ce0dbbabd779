//! A real nginx as a reverse proxy before the same provider, with the settings that it comes with.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::clients::clients;

pub(super) struct Nginx {
    pub(super) address: SocketAddr,
    child: Child,
}

impl Nginx {
    /// Everything below `directory` goes to `upstream`.
    pub(super) fn start(directory: &Path, upstream: SocketAddr) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).unwrap();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {kind};\n"))
            .concat();
        let config = format!(
            "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr crit;\nevents {{ worker_connections 2048; }}\n\
             http {{\naccess_log off;\n{temporary}client_header_timeout 3s;\nclient_body_timeout 3s;\n\
             upstream provider {{ server {upstream}; keepalive 16; }}\n\
             server {{ listen {address}; location / {{ proxy_pass http://provider; proxy_http_version 1.1; \
             proxy_set_header Connection \"\"; }} }}\n}}\n"
        );
        std::fs::write(directory.join("nginx.conf"), config).unwrap();
        let binary = clients().join("bin/nginx");
        assert!(binary.exists(), "{} is missing: run `make prepare`", binary.display());
        let child = Command::new(binary)
            .arg("-p")
            .arg(directory)
            .args(["-c", "nginx.conf", "-e", "stderr"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let nginx = Self { address, child };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "nginx does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
