//! Threads that no request waits for give way to those that serve.

use std::io;
use std::thread::{self, JoinHandle};

/// What a processor gives such a thread while others want it too: a third of what each of them gets. Nice values are of a
/// thread on Linux (setpriority(2)).
const NICE: i32 = 5;

/// Starts one.
pub fn behind(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        let own = rustix::process::getpriority_process(None).unwrap_or(0);
        if let Err(error) = rustix::process::setpriority_process(None, own.max(NICE)) {
            tracing::debug!(%error, "a thread behind the others has the same right as they");
        }
        work();
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_that_thread_gives_way() {
        let own = rustix::process::getpriority_process(None).unwrap();
        let (say, heard) = std::sync::mpsc::channel();
        let thread = behind("behind", move || say.send(rustix::process::getpriority_process(None)).unwrap());
        thread.unwrap().join().unwrap();
        assert_eq!(heard.recv().unwrap().unwrap(), own.max(NICE));
        assert_eq!(rustix::process::getpriority_process(None).unwrap(), own);
    }
}
