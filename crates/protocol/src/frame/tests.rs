//! Frames as they are sent: whole, split, hostile, and the same bytes for ever.

use super::{Decoder, FrameError, encode_output, encode_reply, encode_request};
use crate::message::{
    Capture, Finished, Hearing, Incoming, Input, JobPlan, Piece, Reply, Request, RunCommand, Stream, VERSION,
};

fn run(command: String) -> Request {
    let capture = Capture { head: 1, tail: 2 };
    Request::Run(RunCommand {
        plan: JobPlan { job: 7, note: vec![9], capture, separate: false, hearing: Hearing::Free },
        shell: "main".into(),
        generation: 1,
        command,
        environment: Vec::new(),
        directory: None,
        input: None,
    })
}

fn finished(status: i32) -> Reply {
    Reply::Finished(Finished { status, signal: None, cwd: Some("/".into()), written: [3, 0], generation: 1 })
}

#[test]
fn frames_survive_any_split_of_the_stream() {
    let mut bytes = encode_output(Stream::Error, 1 << 40, b"a\0b").expect("fits");
    bytes.extend(encode_reply(&finished(3)).expect("fits"));
    let piece = Piece { stream: Stream::Error, offset: 1 << 40, bytes: b"a\0b".to_vec() };
    for split in 0..bytes.len() {
        let mut decoder = Decoder::default();
        let mut frames = Vec::new();
        for part in [&bytes[..split], &bytes[split..]] {
            decoder.push(part);
            while let Some(frame) = decoder.next_incoming().expect("sound frames") {
                frames.push(frame);
            }
        }
        assert_eq!(frames, [Incoming::Output(piece.clone()), Incoming::Reply(finished(3))]);
    }
}

#[test]
fn a_command_of_the_largest_size_fits() {
    let request = run("x".repeat(1 << 20));
    let mut decoder = Decoder::default();
    decoder.push(&encode_request(&request).expect("fits"));
    assert_eq!(decoder.next_request().expect("a sound frame"), Some(request));
}

#[test]
fn a_length_beyond_any_frame_is_refused_before_it_is_buffered() {
    for length in [0_u32, u32::MAX] {
        let mut decoder = Decoder::default();
        decoder.push(&length.to_le_bytes());
        assert!(matches!(decoder.next_incoming(), Err(FrameError::Length { .. })));
    }
}

#[test]
fn output_is_no_request() {
    let mut decoder = Decoder::default();
    decoder.push(&encode_output(Stream::Output, 0, b"x").expect("fits"));
    assert!(matches!(decoder.next_request(), Err(FrameError::Kind { kind: 1 })));
}

#[test]
fn a_piece_without_its_head_or_of_no_stream_is_refused() {
    for frame in [&[2, 0, 0, 0, 1, 0][..], &[10, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0]] {
        let mut decoder = Decoder::default();
        decoder.push(frame);
        assert!(matches!(decoder.next_incoming(), Err(FrameError::Piece)), "{frame:?}");
    }
}

/// The bytes of version 3, frozen: whoever changes them changes the version.
#[test]
fn the_wire_form_of_version_3_is_frozen() {
    assert_eq!(VERSION, 3);
    assert_eq!(encode_request(&Request::Describe).expect("fits"), [2, 0, 0, 0, 0, 0]);
    assert_eq!(
        encode_request(&run("ls".into())).expect("fits"),
        [21, 0, 0, 0, 0, 2, 7, 1, 9, 1, 2, 0, 1, 4, b'm', b'a', b'i', b'n', 1, 2, b'l', b's', 0, 0, 0]
    );
    assert_eq!(encode_reply(&finished(-1)).expect("fits"), [10, 0, 0, 0, 0, 3, 1, 0, 1, 1, b'/', 3, 0, 1]);
    let input = Request::Input(Input { job: 7, bytes: vec![8], close: false, wait: true });
    assert_eq!(encode_request(&input).expect("fits"), [7, 0, 0, 0, 0, 5, 7, 1, 8, 0, 1]);
    let attached = Reply::Attached { written: [3, 0] };
    assert_eq!(encode_reply(&attached).expect("fits"), [4, 0, 0, 0, 0, 12, 3, 0]);
    assert_eq!(
        encode_output(Stream::Error, 5, b"x").expect("fits"),
        [11, 0, 0, 0, 1, 1, 5, 0, 0, 0, 0, 0, 0, 0, b'x']
    );
}
