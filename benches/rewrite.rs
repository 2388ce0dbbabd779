//! What it costs to read a request's body and to change its model and system prompt, beside a parse of the whole.
//!
//! Run with `cargo bench --bench rewrite`. Bodies in the order of the OpenAI SDK (`messages` first, `model` after), with
//! escapes and text that is not ASCII.

#![expect(clippy::unwrap_used, reason = "a bench that cannot set itself up has nothing to measure")]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dimmer::wire::{Edits, Endpoint, PromptMode, RequestView};

#[path = "fixture/bodies.rs"]
#[expect(dead_code, reason = "the bodies that only instructions are counted for")]
mod bodies;

use self::bodies::chat;

/// Names that a configuration's `fit` could add.
const TOUCHED: [&str; 3] = ["temperature", "top_p", "top_k"];

fn rewrite(c: &mut Criterion) {
    let touched = TOUCHED.map(str::to_owned);
    for (name, len) in [("2KiB", 2 << 10), ("64KiB", 64 << 10)] {
        let body = chat(len);
        let view = RequestView::read(Endpoint::Chat, &body, &touched).unwrap();
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function("utf8", |b| b.iter(|| simdutf8::basic::from_utf8(black_box(&body)).is_ok()));
        group.bench_function("read", |b| {
            b.iter(|| RequestView::read(Endpoint::Chat, black_box(&body), &touched).is_ok());
        });
        group.bench_function("edit_model", |b| {
            b.iter(|| {
                let mut edits = Edits::new(&view, black_box(&body));
                edits.model(Bytes::from_static(b"\"gpt-6\""));
                edits.frames().len
            });
        });
        group.bench_function("edit_model_and_prompt", |b| {
            let prompt = Bytes::from_static(b"You are a senior software engineer.");
            b.iter(|| {
                let mut edits = Edits::new(&view, black_box(&body));
                edits.model(Bytes::from_static(b"\"gpt-6\""));
                let placed = edits.system_prompt(PromptMode::Replace, &prompt).is_ok();
                (placed, edits.frames().len)
            });
        });
        group.bench_function("conversation_hash", |b| {
            b.iter(|| view.conversation_hash(black_box(&body), Some("u1")))
        });
        group.bench_function("serde_json_value", |b| {
            b.iter(|| serde_json::from_slice::<serde_json::Value>(black_box(&body)).is_ok());
        });
        group.finish();
    }
}

criterion_group!(benches, rewrite);
criterion_main!(benches);
