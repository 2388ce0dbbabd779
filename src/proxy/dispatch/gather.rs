//! An answer that is read to its end before anything of it goes out: only whole can it be said in another API's words.
//!
//! As long as it comes nothing was sent to the caller, so that one that breaks off leads on as one that never began.

use bytes::Bytes;

use crate::clock;
use crate::proxy::dispatch::cut::told_to_end;
use crate::proxy::dispatch::first::{Piece, Waits, piece};
use crate::proxy::dispatch::{Answered, is_event_stream};
use crate::proxy::error::{Phase, ProxyError};
use crate::proxy::exchange::Exchange;
use crate::proxy::identify::Reservation;
use crate::wire::ErrorCode;

/// Reads the answer to its end, where it is translated and no stream: into `first`.
pub(crate) async fn gather(exchange: &mut Exchange, answered: &mut Answered) -> Result<(), ProxyError> {
    let success = answered.response.status().is_success();
    if answered.whole || (success && is_event_stream(answered.response.headers())) {
        return Ok(());
    }
    let Some(provider) = exchange.provider.clone() else { return Ok(()) };
    let total = provider.timeouts.total.map(|total| exchange.started + total);
    let began = clock::now();
    let mut length = 0_u64;
    let result = loop {
        let waits = Waits { idle: provider.timeouts.idle, total, aboard: &exchange.aboard };
        match piece(answered, waits).await {
            Piece::Data(bytes) => {
                length = length.saturating_add(bytes.len() as u64);
                if let Err(error) = hold(exchange, length, &bytes) {
                    break Err(error);
                }
                answered.first.push_back(bytes);
            }
            Piece::End => break Ok(()),
            Piece::ToldToEnd => break Err(told_to_end()),
            // Of an error its status says enough.
            Piece::Broken | Piece::TooSlow if !success => break Ok(()),
            Piece::Broken => break Err(broken(&provider.provider.name)),
            Piece::TooSlow => break Err(too_slow(&provider.provider.name)),
        }
    };
    let now = clock::now();
    exchange.waited += now.saturating_duration_since(began);
    answered.at = now;
    answered.whole = true;
    result
}

/// The answer counts as a held body does.
fn hold(exchange: &mut Exchange, length: u64, piece: &Bytes) -> Result<(), ProxyError> {
    let limits = &exchange.snapshot.config.server.limits;
    if length > limits.body {
        let message = format!(
            "the provider's answer has to be translated, and is larger than {} bytes (server.limits.body)",
            limits.body
        );
        return Err(ProxyError::upstream(ErrorCode::UpstreamProtocol, Phase::Await, message));
    }
    let budget = &exchange.worker.gateway.held_bytes;
    let held = exchange.reservation.get_or_insert_with(|| Reservation::none(budget));
    match held.grow(piece.len() as u64, limits.memory) {
        true => Ok(()),
        false => Err(ProxyError::internal(
            ErrorCode::Overloaded,
            Phase::Await,
            "dimmer holds as many bodies as it may, and has no room for the answer (server.limits.memory); try again",
        )),
    }
}

fn broken(name: &str) -> ProxyError {
    let message =
        format!("the provider `{name}` broke its answer off; it was not whole, and so it was not translated");
    ProxyError::upstream(ErrorCode::UpstreamReset, Phase::Await, message)
}

fn too_slow(name: &str) -> ProxyError {
    let message = format!("the provider `{name}` stopped sending its answer (providers.{name}.timeouts)");
    ProxyError::upstream(ErrorCode::UpstreamTimeout, Phase::Await, message)
}
