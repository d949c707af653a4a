//! Whatever bytes come, a decoder takes them apart or refuses them: it never panics, never asks for memory that did not
//! come, and never takes long.

use std::time::{Duration, Instant};

use sandkasten_protocol::{
    Decoder, Finished, FrameError, Incoming, JobState, MAX_FRAME_BYTES, Reply, Request, RunCommand, Stream,
    encode_output, encode_reply, encode_request,
};

/// What a decoder made of a stream: its frames, and whether it refused the rest.
#[derive(Debug, PartialEq)]
struct Outcome {
    frames: Vec<Incoming>,
    refused: bool,
}

/// Feeds a stream in pieces of these sizes, over and over.
fn decode(bytes: &[u8], sizes: &mut dyn FnMut() -> usize) -> Outcome {
    let mut decoder = Decoder::default();
    let (mut frames, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(sizes().clamp(1, rest.len()));
        decoder.push(piece);
        rest = later;
        loop {
            match decoder.next_incoming() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => {
                    assert!(decoder.next_incoming().is_err(), "a connection that is broken stays so");
                    return Outcome { frames, refused: true };
                }
            }
        }
    }
    Outcome { frames, refused: false }
}

fn decode_requests(bytes: &[u8]) -> usize {
    let mut decoder = Decoder::default();
    decoder.push(bytes);
    let mut count = 0;
    while let Ok(Some(_)) = decoder.next_request() {
        count += 1;
    }
    count
}

/// A stream of sound frames of every kind.
fn sound_frames(random: &mut fastrand::Rng) -> Vec<Vec<u8>> {
    let text = |random: &mut fastrand::Rng| -> String {
        (0..random.usize(..200)).map(|_| random.char(..)).collect()
    };
    (0..random.usize(1..12))
        .map(|_| match random.u8(..6) {
            0 => encode_output(
                if random.bool() { Stream::Output } else { Stream::Error },
                random.u64(..),
                &vec![random.u8(..); random.usize(..3_000)],
            ),
            1 => encode_reply(&Reply::Description {
                version: random.u16(..),
                cwd: text(random),
                jobs: vec![JobState {
                    job: random.u64(..),
                    note: vec![0; random.usize(..9)],
                    finished: None,
                }],
            }),
            2 => encode_reply(&Reply::Finished(Finished {
                status: random.i32(..),
                cwd: random.bool().then(|| text(random)),
                generation: random.u64(..),
                ..Finished::default()
            })),
            3 => encode_reply(&Reply::Failed { reason: text(random) }),
            4 => encode_reply(&Reply::Busy),
            _ => encode_request(&Request::Run(RunCommand {
                generation: random.u64(..),
                command: text(random),
                input: random.bool().then(|| vec![0; random.usize(..9)]),
                ..RunCommand::default()
            })),
        })
        .map(|frame| frame.expect("it fits"))
        .collect()
}

#[test]
fn random_bytes_are_refused_or_wait_for_more_and_nothing_else_happens() {
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..20_000 {
        let bytes: Vec<u8> = (0..random.usize(..300)).map(|_| random.u8(..)).collect();
        decode(&bytes, &mut || 64);
        decode_requests(&bytes);
    }
}

#[test]
fn random_payloads_in_sound_frames_are_decoded_or_refused() {
    let mut random = fastrand::Rng::with_seed(2);
    for _ in 0..50_000 {
        let length = random.u32(1..40);
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.push(random.u8(..3));
        // Small numbers are what postcard's variants and lengths are made of.
        bytes.extend(
            std::iter::repeat_with(|| if random.bool() { random.u8(..8) } else { random.u8(..) }).take(39),
        );
        decode(&bytes, &mut || 7);
        decode_requests(&bytes);
    }
}

#[test]
fn frames_that_are_cut_swapped_repeated_or_damaged_give_the_same_however_they_are_split() {
    let mut random = fastrand::Rng::with_seed(3);
    for round in 0..3_000 {
        let mut frames = sound_frames(&mut random);
        if random.bool() {
            random.shuffle(&mut frames);
        }
        if random.bool() {
            let again = frames[random.usize(..frames.len())].clone();
            frames.push(again);
        }
        let mut bytes = frames.concat();
        if random.bool() {
            bytes.truncate(random.usize(..bytes.len()));
        }
        for _ in 0..random.usize(..4) {
            if !bytes.is_empty() {
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            }
        }
        let whole = decode(&bytes, &mut || bytes.len());
        let single = decode(&bytes, &mut || 1);
        let mut sizes = fastrand::Rng::with_seed(round);
        assert_eq!(whole, single, "round {round}");
        assert_eq!(whole, decode(&bytes, &mut || sizes.usize(1..100)), "round {round}");
        decode_requests(&bytes);
    }
}

#[test]
fn a_text_that_claims_to_be_longer_than_its_frame_is_refused() {
    // Variant `Failed`, and a length of 2^63 in seven bits a byte.
    for claim in [&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1][..], &[0xff, 0xff, 0xff, 0x7f]] {
        let mut payload = vec![0, 10];
        payload.extend_from_slice(claim);
        let mut bytes = u32::try_from(payload.len()).expect("short").to_le_bytes().to_vec();
        bytes.extend(payload);
        let mut decoder = Decoder::default();
        decoder.push(&bytes);
        assert!(matches!(decoder.next_incoming(), Err(FrameError::Decode { .. })), "{claim:?}");
    }
}

#[test]
fn a_length_is_refused_by_its_four_bytes_alone() {
    let most = u32::try_from(MAX_FRAME_BYTES).expect("it is a length");
    for (length, refused) in [(0, true), (1, false), (most, false), (most + 1, true), (u32::MAX, true)] {
        let mut decoder = Decoder::default();
        decoder.push(&length.to_le_bytes());
        assert_eq!(decoder.next_incoming().is_err(), refused, "{length}");
    }
}

#[test]
fn many_tiny_frames_take_no_longer_than_one_of_their_size() {
    let bytes = encode_output(Stream::Output, 0, b"").expect("it fits").repeat(400_000);
    let started = Instant::now();
    let outcome = decode(&bytes, &mut || bytes.len());
    assert_eq!((outcome.frames.len(), outcome.refused), (400_000, false));
    // Moving what is left for each of them would move 400 GB.
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}
