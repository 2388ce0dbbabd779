//! Content codings: what comes out, what is refused, and that limits hold.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;

use super::*;

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).expect("memory");
    encoder.finish().expect("memory")
}

fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).expect("memory");
    encoder.finish().expect("memory")
}

fn raw_deflate(plain: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).expect("memory");
    encoder.finish().expect("memory")
}

/// Brotli without compression: a window of 64 KiB, then one uncompressed meta-block per part, then the end (RFC 7932,
/// section 9).
fn brotli(parts: &[&[u8]]) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.push(0, 1);
    for part in parts.iter().filter(|part| !part.is_empty()) {
        // Not the last; its length minus one in four nibbles; uncompressed.
        bits.push(0, 1);
        bits.push(0, 2);
        bits.push(part.len() as u64 - 1, 16);
        bits.push(1, 1);
        bits.align();
        bits.bytes.extend_from_slice(part);
    }
    bits.push(0b11, 2);
    bits.align();
    bits.bytes
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    open: u64,
    count: u32,
}

impl Bits {
    fn push(&mut self, value: u64, count: u32) {
        self.open |= value << self.count;
        self.count += count;
        while self.count >= 8 {
            self.bytes.push(self.open as u8);
            self.open >>= 8;
            self.count -= 8;
        }
    }

    fn align(&mut self) {
        if self.count > 0 {
            self.bytes.push(self.open as u8);
            (self.open, self.count) = (0, 0);
        }
    }
}

const PLAIN: &[u8] =
    b"{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\",\"content\":\"hello hello hello\"}]}";

/// `"hello world, "` nine times, compressed by the reference implementation at its highest level.
const BROTLI_HELLO: [u8; 27] = [
    0x1b, 0x74, 0x00, 0xf8, 0x8d, 0xd4, 0x4e, 0xf9, 0xc3, 0x50, 0x54, 0x65, 0x68, 0x0d, 0xc2, 0xc2, 0xf6,
    0xa6, 0x66, 0x89, 0xac, 0x1a, 0xc8, 0x80, 0x6a, 0x16, 0x02,
];

/// Three events of a stream, each with a flush behind it, by the reference implementation; then the end.
const BROTLI_STREAM: [&[u8]; 4] = [
    &[
        0x0b, 0x1a, 0x00, 0x00, 0x04, 0x54, 0x39, 0x9f, 0xd0, 0x53, 0xa0, 0xf3, 0x48, 0x9f, 0x13, 0x2d, 0x83,
        0x0d, 0x38, 0x70, 0x08, 0x30, 0xe0, 0x69, 0xb0, 0x8d, 0x86, 0x89, 0x9c, 0x68, 0x54, 0xf8, 0x9d, 0x21,
        0x4b, 0x3c, 0xa1, 0xbc, 0xe2, 0x0b, 0x62, 0x1f, 0x0e, 0x77, 0x6f, 0x1a, 0xe4, 0xce, 0xd2, 0x7e, 0x25,
        0x03,
    ],
    &[0xa0, 0x01, 0x00, 0x40, 0x22, 0xa6, 0x1a, 0x30, 0x26, 0xae, 0x87, 0x0c],
    &[0xa0, 0x01, 0x00, 0x40, 0x42, 0xa6, 0x1a, 0x30, 0x22, 0x80, 0xc7, 0x00],
    &[0x03],
];

#[test]
fn bodies_are_decoded() {
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("", PLAIN.to_vec()),
        ("identity", PLAIN.to_vec()),
        (" , Identity ,", PLAIN.to_vec()),
        ("gzip", gzip(PLAIN)),
        ("GZip", gzip(PLAIN)),
        ("x-gzip", gzip(PLAIN)),
        ("deflate", zlib(PLAIN)),
        ("deflate", raw_deflate(PLAIN)),
        ("br", brotli(&[PLAIN])),
        ("gzip, identity", gzip(PLAIN)),
        ("gzip, deflate", zlib(&gzip(PLAIN))),
        ("br, gzip,deflate", zlib(&gzip(&brotli(&[PLAIN])))),
        ("gzip", [gzip(&PLAIN[..10]), gzip(b""), gzip(&PLAIN[10..])].concat()),
    ];
    for (encoding, body) in cases {
        assert_eq!(decode_body(encoding, &body, 1000).as_deref(), Ok(PLAIN), "{encoding}");
        assert_eq!(decode_body(encoding, &body, PLAIN.len() as u64 - 1), limit_of(encoding), "{encoding}");
    }
    for encoding in ["gzip", "deflate", "br"] {
        assert_eq!(decode_body(encoding, b"", 0), Ok(Vec::new()));
    }
}

/// Identity layers decode nothing, and the caller has its own limit on the bytes that came.
fn limit_of(encoding: &str) -> Result<Vec<u8>, CodingError> {
    if is_identity(encoding) { Ok(PLAIN.to_vec()) } else { Err(CodingError::TooLarge) }
}

#[test]
fn a_gzip_header_may_have_every_part() {
    let encoder = flate2::GzBuilder::new().extra(vec![7; 300]).filename("name").comment("why");
    let mut encoder = encoder.write(Vec::new(), Compression::best());
    encoder.write_all(PLAIN).expect("memory");
    let body = encoder.finish().expect("memory");
    for size in [1, 5, 11, 1000] {
        let mut decoder = StreamDecoder::new("gzip").expect("known");
        let mut plain = Vec::new();
        for piece in body.chunks(size) {
            decoder.feed(piece, &mut |bytes| plain.extend_from_slice(bytes)).expect("sound");
        }
        assert_eq!((plain.as_slice(), decoder.finish()), (PLAIN, Ok(())));
    }
    let endless = [&[0x1F, 0x8B, 8, 8, 0, 0, 0, 0, 0, 0][..], &[b'n'; 10_000]].concat();
    assert_eq!(decode_body("gzip", &endless, 1000), Err(CodingError::Corrupt));
}

#[test]
fn broken_bodies_are_refused() {
    let mut wrong_sum = gzip(PLAIN);
    let at = wrong_sum.len() - 6;
    wrong_sum[at] ^= 1;
    let mut wrong_data = zlib(PLAIN);
    wrong_data[10] ^= 0xFF;
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("gzip", PLAIN.to_vec()),
        ("deflate", b"x".to_vec()),
        ("br", PLAIN.to_vec()),
        ("gzip", wrong_sum),
        ("deflate", wrong_data),
        ("gzip", [gzip(PLAIN), b"x".to_vec()].concat()),
        ("deflate", [zlib(PLAIN), b"x".to_vec()].concat()),
        ("br", [brotli(&[PLAIN]), b"x".to_vec()].concat()),
        ("gzip, deflate", gzip(PLAIN)),
    ];
    for (encoding, body) in cases {
        assert_eq!(decode_body(encoding, &body, 1000), Err(CodingError::Corrupt), "{encoding}");
    }
    for (encoding, body) in [
        ("gzip", gzip(PLAIN)),
        ("deflate", zlib(PLAIN)),
        ("deflate", raw_deflate(PLAIN)),
        ("br", brotli(&[PLAIN])),
    ] {
        for length in 1..body.len() {
            let cut = decode_body(encoding, &body[..length], 1000);
            assert_eq!(cut, Err(CodingError::Corrupt), "{encoding} cut at {length}");
        }
    }
}

#[test]
fn unknown_and_too_many_codings_are_named() {
    let unknown = |name: &str| Err(CodingError::Unknown(name.into()));
    assert_eq!(decode_body("zstd", b"x", 10), unknown("zstd"));
    assert_eq!(decode_body("gzip, zstd", b"", 10), unknown("zstd"));
    assert_eq!(decode_body("gzip;q=1", b"x", 10), unknown("gzip;q=1"));
    assert_eq!(decode_body(&"é".repeat(100), b"x", 10), unknown(&"é".repeat(32)));
    assert_eq!(decode_body("gzip,gzip,gzip,gzip", b"x", 10), Err(CodingError::TooMany));
    assert!(StreamDecoder::new("zstd").is_none());
    let message = CodingError::Unknown("zstd".into()).to_string();
    assert_eq!(message, "content coding \"zstd\" is not one of gzip, deflate, br, identity");
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let zeros = vec![0; 10_000_000];
    for (encoding, body) in
        [("gzip", gzip(&zeros)), ("deflate", zlib(&zeros)), ("gzip, gzip", gzip(&gzip(&zeros)))]
    {
        assert!(body.len() < 60_000);
        let mut decoder = StreamDecoder::of(&codings(encoding).expect("known"), 100_000);
        let mut seen = 0;
        assert_eq!(decoder.feed(&body, &mut |piece| seen += piece.len()), Err(CodingError::TooLarge));
        assert!(seen <= 100_000, "{encoding} gave {seen}");
        assert!(decoder.feed(&body, &mut |_| unreachable!("after an error nothing comes")).is_err());
        assert!(decoder.finish().is_err());
    }
}

#[test]
fn a_flush_surfaces_what_came() {
    let events: Vec<Vec<u8>> = (0..20).map(|n| format!("data: event {n}\n\n").into_bytes()).collect();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let mut decoder = StreamDecoder::new("gzip").expect("known");
    for event in &events {
        encoder.write_all(event).expect("memory");
        encoder.flush().expect("memory");
        let wire = std::mem::take(encoder.get_mut());
        let mut plain = Vec::new();
        decoder.feed(&wire, &mut |piece| plain.extend_from_slice(piece)).expect("sound");
        assert_eq!(&plain, event);
    }
    let mut brotli_decoder = StreamDecoder::new("br").expect("known");
    for (number, wire) in BROTLI_STREAM.iter().enumerate() {
        let mut plain = Vec::new();
        brotli_decoder.feed(wire, &mut |piece| plain.extend_from_slice(piece)).expect("sound");
        let event = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"event {number}\"}}}}]}}\n\n");
        assert_eq!(String::from_utf8_lossy(&plain), if number < 3 { event } else { String::new() });
    }
    assert_eq!(brotli_decoder.finish(), Ok(()));
}

#[test]
fn compressed_brotli_is_decoded() {
    let plain = b"hello world, ".repeat(9);
    assert_eq!(decode_body("br", &BROTLI_HELLO, 1000), Ok(plain));
    // A window of 1 GiB, which only the large-window extension has, is refused before anything is allocated for it.
    let mut decoder = StreamDecoder::new("br").expect("known");
    assert_eq!(decoder.feed(&[0x11, 0x1E], &mut |_| {}), Err(CodingError::Corrupt));
}

#[test]
fn accept_encoding_is_cut() {
    let cases = [
        ("gzip, deflate", "gzip, deflate"),
        ("gzip, deflate, br, zstd", "gzip, deflate, br"),
        ("GZIP;q=0.5 , br ; q=1.0", "gzip;q=0.5, br;q=1.0"),
        ("zstd", "identity"),
        ("", "identity"),
        ("zstd;q=1, identity;q=0.5", "identity;q=0.5"),
        ("identity", "identity"),
        ("*", "gzip, deflate, br"),
        ("*;q=0.1, gzip", "gzip, deflate;q=0.1, br;q=0.1"),
        ("gzip;q=0, *", "gzip;q=0, deflate, br"),
        ("gzip, *;q=0", "gzip, *;q=0"),
        ("gzip, identity;q=0, *;q=0.000", "gzip, identity;q=0, *;q=0.000"),
        ("x-gzip", "x-gzip"),
        (",,gzip,,", "gzip"),
        ("compress, gzip;q=nonsense", "gzip;q=nonsense"),
    ];
    for (asked, sent) in cases {
        assert_eq!(decodable(asked), sent, "{asked:?}");
    }
}

proptest! {
    #[test]
    fn cuts_change_nothing(plain in proptest::collection::vec(any::<u8>(), 1..5000), size in 1usize..600) {
        for (encoding, body) in [
            ("gzip", gzip(&plain)),
            ("deflate", zlib(&plain)),
            ("deflate", raw_deflate(&plain)),
            ("br", brotli(&[&plain])),
            ("deflate, gzip", gzip(&zlib(&plain))),
        ] {
            let mut decoder = StreamDecoder::new(encoding).expect("known");
            let mut told = Vec::new();
            for piece in body.chunks(size) {
                decoder.feed(piece, &mut |bytes| told.extend_from_slice(bytes)).expect("sound");
            }
            prop_assert_eq!(decoder.finish(), Ok(()));
            prop_assert_eq!(&told, &plain);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), text in "\\PC{0,40}") {
        for encoding in ["gzip", "deflate", "br", "br, gzip", text.as_str()] {
            if let Ok(plain) = decode_body(encoding, &bytes, 10_000) {
                prop_assert!(plain.len() <= 10_000);
            }
        }
        let gzip_like = [&[0x1F, 0x8B, 8], bytes.as_slice()].concat();
        let zlib_like = [&[0x78, 0x9C], bytes.as_slice()].concat();
        let _gzip = decode_body("gzip", &gzip_like, 10_000);
        let _zlib = decode_body("deflate", &zlib_like, 10_000);
        decodable(&text);
    }
}
