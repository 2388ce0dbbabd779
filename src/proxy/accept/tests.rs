//! The gate: what passes is what came, to the byte, in whatever pieces; of what is wrong nothing passes.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, proptest};
use proptest::sample::Index;
use tokio::io::{AsyncRead, ReadBuf};

use super::connection::ConnectionState;
use super::framing::{Fault, Framing};
use super::gate::{Gate, MARK};

/// A stream that gives a piece for each read, then its end.
struct Pieces(VecDeque<Vec<u8>>);

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if let Some(mut piece) = self.0.pop_front() {
            let rest = piece.split_off(piece.len().min(buffer.remaining()));
            buffer.put_slice(&piece);
            if !rest.is_empty() {
                self.0.push_front(rest);
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Everything that goes through in reads of at most `room` bytes, and what was found wrong.
fn through(bytes: &[u8], cuts: &[Index], room: usize) -> (Vec<u8>, Option<Fault>, bool) {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    let pieces =
        cuts.windows(2).map(|ends| bytes[ends[0]..ends[1]].to_vec()).filter(|piece| !piece.is_empty());
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let state = Rc::new(ConnectionState::new(peer, false));
    let mut gate = Gate::new(Pieces(pieces.collect()), Rc::clone(&state), Some(Framing::new(4096)));
    let (mut all, mut memory) = (Vec::new(), vec![0; room]);
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        let mut buffer = ReadBuf::new(&mut memory);
        match Pin::new(&mut gate).poll_read(&mut cx, &mut buffer) {
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => return (all, state.fault(), false),
            Poll::Ready(Ok(())) => all.extend_from_slice(buffer.filled()),
            Poll::Ready(Err(_)) => return (all, state.fault(), true),
            Poll::Pending => return (all, state.fault(), false),
        }
    }
}

const GOOD: &str = "POST /r/v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}";
const CHUNKED: &str = "POST /r HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_right_goes_through_to_the_byte(cuts in vec(any::<Index>(), 0..8), room in 1_usize..200) {
        let bytes = [GOOD, CHUNKED, "\r\n", CHUNKED, GOOD, GOOD].concat();
        assert_eq!(through(bytes.as_bytes(), &cuts, room), (bytes.into_bytes(), None, false));
    }

    #[test]
    fn for_what_is_wrong_goes_a_request_of_our_own(cuts in vec(any::<Index>(), 0..8), room in 1_usize..200) {
        let bytes = format!("{GOOD}{CHUNKED}{}{GOOD}", GOOD.replace("host:", "host :"));
        let own = format!("GET /v1/messages HTTP/1.1\r\nhost: dimmer\r\nconnection: close\r\n{MARK}: 1\r\n\r\n");
        let expected = format!("{GOOD}{CHUNKED}{own}").into_bytes();
        assert_eq!(through(bytes.as_bytes(), &cuts, room), (expected, Some(Fault::SpaceBeforeColon), false));
    }

    #[test]
    fn a_body_that_goes_wrong_breaks_off(cuts in vec(any::<Index>(), 0..8), room in 1_usize..200) {
        let bytes = format!("{GOOD}{}", CHUNKED.replace("{}\r\n", "{}xx"));
        let (all, fault, broken) = through(bytes.as_bytes(), &cuts, room);
        assert_eq!((fault, broken), (Some(Fault::ChunkEnd), true));
        assert!(bytes.as_bytes().starts_with(&all) && all.ends_with(b"2\r\n{}"));
    }
}

#[test]
fn half_a_head_is_kept_back() {
    assert_eq!(through(&GOOD.as_bytes()[..40], &[], 100), (Vec::new(), None, false));
}
