//! A runner that has been taken over, on the other end of the socket.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream as BlockingStream};
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::net::SendFlags;
use sandkasten_isolation::descriptor_message;
use sandkasten_protocol::{
    Finished, Incoming, JobState, Reply, Request, Stream, VERSION, encode_output, encode_reply,
};
use tokio::net::UnixStream;

use super::{Description, Link, LinkError, describe_within};

/// Short, so that what waits for it is a short test.
const PATIENCE: Duration = Duration::from_millis(300);
/// A bound on hangs; nothing is measured with it.
const AT_ONCE: Duration = Duration::from_secs(10);

/// A runner that does with its first connection what a test wants.
struct HostileRunner {
    directory: tempfile::TempDir,
    thread: JoinHandle<()>,
}

impl HostileRunner {
    fn new(behave: impl FnOnce(BlockingStream) + Send + 'static) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(directory.path().join("s")).expect("bound");
        let thread = std::thread::spawn(move || {
            let (stream, _) = listener.accept().expect("a connection");
            behave(stream);
        });
        Self { directory, thread }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("s")
    }

    /// What the daemon makes of it, and after how long.
    fn described(self) -> (Result<Description, LinkError>, Duration) {
        self.described_within(PATIENCE)
    }

    fn described_within(self, patience: Duration) -> (Result<Description, LinkError>, Duration) {
        let started = Instant::now();
        let described = describe_within(&self.socket(), patience);
        let took = started.elapsed();
        self.thread.join().expect("the runner behaved as it was told");
        (described, took)
    }
}

/// Runs a runner that sends these bytes and no more.
fn describe_bytes(bytes: Vec<u8>) -> LinkError {
    let runner = HostileRunner::new(move |mut stream| {
        // A daemon whose request finds the socket closed would not hear the answer.
        assert_ne!(stream.read(&mut [0; 64]).expect("a request"), 0);
        // The daemon may hang up before the end.
        stream.write_all(&bytes).ok();
    });
    // What was sent is judged when it comes, however late a busy machine lets it come.
    let (described, took) = runner.described_within(AT_ONCE);
    assert!(took < AT_ONCE, "{took:?}");
    described.expect_err("no sound description")
}

fn description(cwd: &str) -> Vec<u8> {
    let reply = Reply::Description { version: VERSION, cwd: cwd.to_owned(), jobs: Vec::new() };
    encode_reply(&reply).expect("it fits")
}

#[test]
fn a_sound_description_is_taken() {
    let runner = HostileRunner::new(|stream| {
        let root = stream.as_fd();
        descriptor_message::send(root, &description("/a\nb"), &[root], SendFlags::empty()).expect("sent");
    });
    assert_eq!(runner.described().0.expect("a description").cwd, "/a\nb");
}

#[test]
fn a_runner_that_says_nothing_or_byte_after_byte_is_given_up_in_time() {
    let silent = HostileRunner::new(|mut stream| {
        stream.read_to_end(&mut Vec::new()).ok();
    });
    let slow = HostileRunner::new(|mut stream| {
        for byte in encode_output(Stream::Output, 0, &[0; 1 << 20]).expect("it fits") {
            std::thread::sleep(PATIENCE / 20);
            if stream.write_all(&[byte]).is_err() {
                return;
            }
        }
    });
    for runner in [silent, slow] {
        let (described, took) = runner.described();
        assert!(matches!(described, Err(LinkError::Silent)), "{described:?}");
        assert!(took >= PATIENCE && took < AT_ONCE, "{took:?}");
    }
}

#[test]
fn a_runner_that_accepts_no_connection_is_given_up_in_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("s");
    let listener = UnixListener::bind(&socket).expect("bound");
    // As many as the queue takes; the kernel refuses the next without waiting, as these do not block.
    let mut queued = Vec::new();
    loop {
        let stream = rustix::net::socket_with(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::STREAM,
            rustix::net::SocketFlags::NONBLOCK,
            None,
        );
        let stream = stream.expect("a socket");
        let address = rustix::net::SocketAddrUnix::new(&socket).expect("an address");
        if rustix::net::connect(&stream, &address).is_err() {
            break;
        }
        queued.push(stream);
    }
    let started = Instant::now();
    let described = describe_within(&socket, PATIENCE);
    assert!(matches!(described, Err(LinkError::Silent)), "{described:?}");
    assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
    drop(listener);
}

#[test]
fn descriptors_beyond_the_one_are_refused_and_not_kept() {
    let (kept, sent) = std::io::pipe().expect("a pipe");
    for count in [2, 250] {
        let sent = sent.try_clone().expect("a copy");
        let runner = HostileRunner::new(move |stream| {
            let many = vec![sent.as_fd(); count];
            // One byte of a large frame a message: without a bound there would be room for millions.
            for byte in encode_output(Stream::Output, 0, &[0; 4_000]).expect("it fits") {
                if descriptor_message::send(stream.as_fd(), &[byte], &many, SendFlags::empty()).is_err() {
                    return;
                }
            }
        });
        let (described, took) = runner.described();
        assert!(matches!(described, Err(LinkError::Socket { .. })), "{described:?}");
        assert!(took < AT_ONCE, "{took:?}");
    }
    drop(sent);
    assert_eq!(std::io::read_to_string(kept).expect("no writer is left"), "");
}

#[test]
fn a_description_without_descriptors_or_of_another_version_is_refused() {
    assert!(matches!(describe_bytes(description("/")), LinkError::Version { version: VERSION }));
    let other = Reply::Description { version: VERSION + 1, cwd: "no directory".to_owned(), jobs: Vec::new() };
    let error = describe_bytes(encode_reply(&other).expect("it fits"));
    assert!(matches!(error, LinkError::Version { version } if version == VERSION + 1));
    for reply in [Reply::Busy, Reply::NoSuchJob, Reply::ShellChanged] {
        assert!(matches!(describe_bytes(encode_reply(&reply).expect("it fits")), LinkError::Unexpected));
    }
    assert!(matches!(
        describe_bytes(encode_output(Stream::Output, 0, b"/").expect("it fits")),
        LinkError::Unexpected
    ));
}

#[test]
fn an_answer_longer_than_any_is_refused_before_its_end() {
    assert!(matches!(
        describe_bytes(encode_output(Stream::Output, 0, &[0; (2 << 20) + 9_000]).expect("it fits")),
        LinkError::Endless
    ));
}

#[test]
fn what_cannot_be_a_directory_is_none() {
    for cwd in ["", "relative", "/a\0b", &format!("/{}", "a".repeat(3 * 4096))] {
        assert!(matches!(describe_bytes(description(cwd)), LinkError::Directory), "{cwd:.20}");
        let finished = Some(Finished { cwd: Some(cwd.to_owned()), ..Finished::default() });
        let jobs = vec![JobState { job: 1, note: Vec::new(), finished }];
        let lie = Reply::Description { version: VERSION, cwd: "/".to_owned(), jobs };
        assert!(matches!(describe_bytes(encode_reply(&lie).expect("it fits")), LinkError::Directory));
    }
}

#[test]
fn the_reason_of_a_failure_is_cut_and_carries_no_control_characters() {
    let reason = format!("\x1b]0;owned\x07\n{{\"level\":\"info\"}}\r{}", "x".repeat(50_000));
    let error = describe_bytes(encode_reply(&Reply::Failed { reason }).expect("it fits"));
    assert!(matches!(error, LinkError::Refused { .. }), "{error:?}");
    let text = error.to_string();
    assert!(!text.contains(char::is_control) && text.len() < 5_000, "{text:.100}");
}

#[test]
fn random_and_damaged_answers_are_refused_without_a_panic_or_a_hang() {
    let mut random = fastrand::Rng::with_seed(4);
    for _ in 0..300 {
        let mut bytes = description("/workspace");
        match random.u8(..3) {
            0 => bytes = (0..random.usize(..2_000)).map(|_| random.u8(..)).collect(),
            1 => bytes.truncate(random.usize(..bytes.len())),
            _ => {
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            }
        }
        describe_bytes(bytes);
    }
}

/// Hears everything that a runner sends on a connection of a command, up to the refusal or the end.
async fn hear(bytes: Vec<u8>) -> (Vec<Incoming>, LinkError) {
    let (ours, mut theirs) = UnixStream::pair().expect("a pair");
    let sender = tokio::spawn(async move { tokio::io::AsyncWriteExt::write_all(&mut theirs, &bytes).await });
    let mut link = Link::over(ours);
    let mut frames = Vec::new();
    let error = loop {
        match link.next().await {
            Ok(frame) => frames.push(frame),
            Err(error) => break error,
        }
    };
    drop(link);
    sender.await.expect("the sender ends").ok();
    (frames, error)
}

#[tokio::test]
async fn a_link_hands_on_sound_frames_and_refuses_the_first_other() {
    let finished = |cwd: &str| Reply::Finished(Finished { cwd: Some(cwd.to_owned()), ..Finished::default() });
    let sound = encode_reply(&finished("/")).expect("it fits");
    let (frames, error) = hear([sound.clone(), sound.clone()].concat()).await;
    assert_eq!(frames.len(), 2);
    assert!(matches!(error, LinkError::Closed));
    for cwd in ["", "x", &"/".repeat(1 << 20)] {
        let lie = encode_reply(&finished(cwd)).expect("it fits");
        let (frames, error) = hear([sound.clone(), lie].concat()).await;
        assert_eq!(frames.len(), 1);
        assert!(matches!(error, LinkError::Directory), "{error}");
    }
}

#[tokio::test]
async fn random_frames_on_a_link_are_refused_without_a_panic_or_a_hang() {
    let mut random = fastrand::Rng::with_seed(5);
    for _ in 0..2_000 {
        let mut bytes = Vec::new();
        for _ in 0..random.usize(..5) {
            bytes.extend(
                encode_output(Stream::Error, random.u64(..), &vec![7; random.usize(..500)]).expect("it fits"),
            );
        }
        for _ in 0..random.usize(..3) {
            if !bytes.is_empty() {
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            }
        }
        let tail: Vec<u8> = (0..random.usize(..50)).map(|_| random.u8(..)).collect();
        bytes.extend(tail);
        tokio::time::timeout(AT_ONCE, hear(bytes)).await.expect("no hang");
    }
}

#[tokio::test]
async fn a_runner_that_reads_nothing_holds_a_command_up_only_as_long_as_its_caller_waits() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("s");
    let _listener = UnixListener::bind(&socket).expect("bound");
    let command = sandkasten_protocol::RunCommand { command: "x".repeat(1 << 20), ..Default::default() };
    let request = Request::Run(command);
    let opening = Link::open(&socket, &request);
    assert!(tokio::time::timeout(PATIENCE, opening).await.is_err(), "a mebibyte fits no socket's buffer");
}
