//! How far a pull is: bars on a terminal, a line when a layer begins and ends anywhere else.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::sync::{Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use sandkasten_image::Digest;
use sandkasten_registry::FetchEvent;

use crate::{human, output};

/// As much of a digest as tells layers apart.
const SHORT_DIGEST: usize = 12;
const BAR: &str = "{prefix} {wide_bar} {bytes:>11} of {total_bytes:>11}";

/// The layers of one pull.
pub(super) struct PullProgress {
    bars: Option<MultiProgress>,
    layers: Mutex<BTreeMap<Digest, Layer>>,
}

struct Layer {
    size: u64,
    bar: Option<ProgressBar>,
}

impl PullProgress {
    /// Begins with nothing shown.
    pub(super) fn new() -> Self {
        let bars = io::stderr().is_terminal().then(MultiProgress::new);
        Self { bars, layers: Mutex::default() }
    }

    /// Shows what happened.
    pub(super) fn show(&self, event: &FetchEvent) {
        let mut layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            FetchEvent::Started { layer, size } => {
                let bar = self.bars.as_ref().map(|bars| bars.add(bar(layer, *size)));
                if bar.is_none() {
                    output::note(&format!("{}: fetching {}", short(layer), human::bytes(*size)));
                }
                layers.insert(*layer, Layer { size: *size, bar });
            }
            FetchEvent::Received { layer, bytes } => {
                if let Some(bar) = layers.get(layer).and_then(|layer| layer.bar.as_ref()) {
                    bar.set_position(*bytes);
                }
            }
            FetchEvent::Retrying { layer, why } => {
                self.say(&format!("{}: trying again: {why}", short(layer)))
            }
            FetchEvent::Waiting { layer } => {
                self.say(&format!("{}: another pull is fetching it", short(layer)));
            }
            FetchEvent::Skipped { registry, next, why } => {
                self.say(&format!("asking {next}, as {registry} does not give it: {why}"));
            }
            FetchEvent::Begun { .. } => {}
            FetchEvent::Finished { layer } => match layers.remove(layer) {
                Some(Layer { bar: Some(bar), .. }) => bar.finish(),
                found => {
                    let size = found.map_or(0, |layer| layer.size);
                    output::note(&format!("{}: fetched {}", short(layer), human::bytes(size)));
                }
            },
        }
    }

    /// Says a line, above the bars where there are some.
    fn say(&self, text: &str) {
        match &self.bars {
            // Only what the terminal does not take is an error, and there is nowhere else to say it.
            Some(bars) => drop(bars.println(text)),
            None => output::note(text),
        }
    }

    /// Takes the bars away.
    pub(super) fn clear(&self) {
        if let Some(bars) = &self.bars {
            // As above.
            drop(bars.clear());
        }
    }
}

fn bar(layer: &Digest, size: u64) -> ProgressBar {
    let bar = ProgressBar::new(size).with_prefix(short(layer));
    match ProgressStyle::with_template(BAR) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn short(layer: &Digest) -> String {
    layer.hexadecimal().chars().take(SHORT_DIGEST).collect()
}
