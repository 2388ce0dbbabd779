//! Processes: starting one on its CPU, hearing where it listens, reading what it has used.

use std::error::Error;
use std::future::Future;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};

/// A bench that cannot go on says why and ends.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Two CPUs, so that who is measured shares its own with nobody of ours.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cpus {
    /// For the process that is measured.
    pub(crate) target: Option<usize>,
    /// For the provider and the load.
    pub(crate) others: Option<usize>,
}

impl Cpus {
    /// The first and the last that this process may use; none where there is one only, or no `taskset`.
    pub(crate) fn find() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let list =
            status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default();
        let mut numbers = list.trim().split([',', '-']).filter_map(|number| number.parse().ok());
        let (first, last) = (numbers.next(), numbers.next_back());
        let pins = Command::new("taskset").arg("--version").stdout(Stdio::null()).status();
        match (first, last) {
            (Some(_), Some(_)) if pins.is_ok_and(|status| status.success()) => {
                Self { target: first, others: last }
            }
            _ => Self::default(),
        }
    }
}

/// A process of ours; killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts `program` on a CPU.
    pub(crate) fn start(program: &Path, arguments: &[&str], cpu: Option<usize>) -> Outcome<Self> {
        let mut command = match cpu {
            Some(cpu) => {
                let mut command = Command::new("taskset");
                command.args(["-c", &cpu.to_string()]).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.args(arguments).env("DIMMER_LOG", "warn");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("a child without pipes".into());
        };
        Ok(Self { child, input, output: BufReader::new(output) })
    }

    /// Its next line.
    pub(crate) fn line(&mut self) -> Outcome<String> {
        let mut line = String::new();
        match self.output.read_line(&mut line)? {
            0 => Err("a process ended before it said what was waited for".into()),
            _ => Ok(line),
        }
    }

    /// Where it listens: the first line that begins with `listens` or, of dimmer, with `data`.
    pub(crate) fn address(&mut self) -> Outcome<SocketAddr> {
        loop {
            let line = self.line()?;
            let mut words = line.split_whitespace();
            if matches!(words.next(), Some("listens" | "data")) {
                let address = words.next().unwrap_or_default();
                return Ok(address.trim_start_matches("http://").parse()?);
            }
        }
    }

    /// Says a line to it.
    pub(crate) fn say(&mut self, line: &str) -> Outcome<()> {
        writeln!(self.input, "{line}")?;
        Ok(self.input.flush()?)
    }

    /// Asks it to end, and waits until it has: who counts it writes down what was counted at its end.
    pub(crate) fn stop(mut self) -> Outcome<()> {
        let id = self.child.id();
        // Who only watches a program hears no signal: the program itself has to.
        let watched = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        let id = watched.split_whitespace().next().map_or_else(|| id.to_string(), str::to_owned);
        Command::new("kill").arg(id).status()?;
        self.child.wait()?;
        Ok(())
    }

    /// CPU time of all its threads. Exact to the scheduler's own clock, unlike the ticks of `/proc/PID/stat`.
    pub(crate) fn cpu(&self) -> Outcome<Duration> {
        let mut nanos = 0;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
            nanos += text.split_whitespace().next().unwrap_or_default().parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Resident memory, in KiB.
    pub(crate) fn resident(&self) -> Outcome<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a role to its end on one thread.
pub(crate) fn on_one_thread<T>(role: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default())?.block_on(role)
}

/// A listener on a free port, with room for everybody to connect at once.
pub(crate) async fn listener() -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    socket.listen(4096)
}

/// Says where it listens.
#[expect(clippy::print_stdout, reason = "standard output is the way to the process that measures")]
pub(crate) fn announce(address: SocketAddr) -> Outcome<()> {
    println!("listens {address}");
    Ok(std::io::stdout().flush()?)
}
