//! Drawn references: whatever is typed either is none, with a reason of bounded length, or names one registry, one path and one
//! manifest, and says the same again when it is written out.
//!
//! `SANDKASTEN_IMAGE_SECONDS=600` draws for that long, of a new seed; `SANDKASTEN_IMAGE_SEED=N` repeats one: `make test-images`.

use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::{Reference, RegistryOptions};

const CASES: u64 = 20_000;
/// What references are made of, and what they must not be.
const PIECES: [&str; 36] = [
    "a",
    "z9",
    "A",
    "-",
    "_",
    "__",
    "___",
    ".",
    "..",
    "/",
    "//",
    ":",
    "::",
    "@",
    "://",
    "[",
    "]",
    "[::1]",
    "localhost",
    "docker.io",
    "index.docker.io",
    "library",
    "latest",
    "5000",
    "65536",
    "0",
    "%2f",
    "?x",
    "#",
    "\\",
    "\0",
    "\n",
    " ",
    "é",
    "sha256:",
    "0f",
];

fn draw(random: &mut Rng) -> String {
    let mut text: String = (0..random.usize(0..12)).map(|_| PIECES[random.usize(..PIECES.len())]).collect();
    match random.u8(..12) {
        0 => text.push_str(&format!("@sha256:{}", "0f".repeat(32))),
        1 => text.push_str(&"a".repeat(random.usize(..400))),
        2 => text.insert_str(0, "registry.example/"),
        3 => text.insert_str(0, "user:password@registry.example/"),
        _ => {}
    }
    text
}

#[test]
fn drawn_references_are_refused_with_a_reason_or_name_one_place() {
    let variable = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seconds = variable("SANDKASTEN_IMAGE_SECONDS").map(Duration::from_secs);
    let first = variable("SANDKASTEN_IMAGE_SEED");
    let begun = Instant::now();
    let mut seed = first.unwrap_or_else(|| if seconds.is_some() { fastrand::u64(..) } else { 1 });
    let (mut taken, mut refused) = (0_u64, 0_u64);
    while first.is_none_or(|first| first == seed)
        && seconds.map_or(taken + refused < CASES, |seconds| begun.elapsed() < seconds)
    {
        let text = draw(&mut Rng::with_seed(seed));
        match text.parse::<Reference>() {
            Ok(reference) => {
                look(&text, &reference, seed);
                taken += 1;
            }
            Err(error) => {
                assert!(error.to_string().len() < 3_000, "seed {seed}: {text:?}");
                refused += 1;
            }
        }
        seed = seed.wrapping_add(1);
    }
    println!("{taken} references, {refused} refused");
    assert!(first.is_some() || (taken > 0 && refused > 0), "{taken} references, {refused} refused");
}

fn look(text: &str, reference: &Reference, seed: u64) {
    let shown = reference.to_string();
    let again = shown.parse::<Reference>().map(|again| (again.to_string(), again.manifest()));
    assert_eq!(again, Ok((shown.clone(), reference.manifest())), "seed {seed}: {text:?} as {shown:?}");
    assert!(
        !shown.contains(char::is_whitespace) && !shown.contains(char::is_control),
        "seed {seed}: {shown:?}"
    );
    let climbs = reference.path().split('/').any(|part| matches!(part, "" | "." | ".."));
    assert!(!climbs && !shown.contains("password"), "seed {seed}: {shown:?}");
    assert!(!reference.short_name().contains('/'), "seed {seed}: {shown:?}");
    // A client of HTTP takes its time to be made.
    if !seed.is_multiple_of(64) {
        return;
    }
    // What is asked for is on the host that answers for the registry, and below its path.
    // A number that is no address is refused here.
    let Ok(repository) = crate::repository::Repository::new(reference, RegistryOptions::default()) else {
        return;
    };
    let url = repository.transport.url("manifests/1");
    assert_eq!(url.path(), format!("/v2/{}/manifests/1", reference.path()), "seed {seed}: {url}");
    assert!(
        url.username().is_empty() && url.query().is_none() && url.fragment().is_none(),
        "seed {seed}: {url}"
    );
    let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(0));
    let address = format!("{host}:{port}");
    let expected = reference.address();
    // Addresses may be written shorter than they are.
    let is_number = expected.starts_with(|first: char| first.is_ascii_digit());
    let same = address == expected || address == format!("{expected}:443");
    assert!(same || is_number, "seed {seed}: {url} for {expected}");
}
