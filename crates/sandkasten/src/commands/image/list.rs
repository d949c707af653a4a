//! `image list`: the images that are present.

use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use sandkasten_daemon::config::Config;
use sandkasten_daemon::{describe_broken_image, describe_image};
use sandkasten_image::{ImageListing, ImageStore};

use crate::arguments::ListingArguments;
use crate::cli_error::CliError;
use crate::output::Colour;
use crate::table::{self, Align};
use crate::{human, output};

/// Digits of a digest that a listing shows, `sha256:` included.
const SHORT_DIGEST: usize = 19;

/// Arguments of `image list`.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct ListArguments {
    #[command(flatten)]
    listing: ListingArguments,
}

/// Lists the images, the damaged ones included.
pub(super) fn run(
    store: &ImageStore,
    arguments: ListArguments,
    config: &Config,
) -> Result<ExitCode, CliError> {
    let listing =
        store.list().map_err(|error| CliError::ours("cannot list the images", &error, "check data_dir"))?;
    if arguments.listing.json {
        let usable = listing.images.iter().map(|image| describe_image(config, image));
        let broken =
            listing.broken.iter().map(|image| describe_broken_image(config, &image.name, &image.reason));
        output::print_json(&usable.chain(broken).collect::<Vec<_>>())?;
    } else if arguments.listing.quiet {
        output::print_names(listing.images.iter().map(|image| image.name.as_str()))?;
    } else {
        output::print(&render(&listing, Timestamp::now(), output::stdout_colour()))?;
    }
    Ok(output::done())
}

fn render(listing: &ImageListing, now: Timestamp, colour: Colour) -> String {
    let header =
        [("NAME", Align::Left), ("SIZE", Align::Right), ("AGE", Align::Right), ("DIGEST", Align::Left)];
    let mut rows = Vec::new();
    for image in &listing.images {
        let age = u64::try_from(now.as_second() - image.created_at.as_second()).unwrap_or(0);
        let size =
            if image.binds.is_empty() { human::bytes(image.size_bytes) } else { "of the host".to_owned() };
        let digest = image.digest.chars().take(SHORT_DIGEST).collect();
        rows.push(vec![image.name.to_string(), size, human::seconds(age), digest]);
    }
    for image in &listing.broken {
        rows.push(vec![image.name.clone(), "broken".to_owned(), String::new(), image.reason.clone()]);
    }
    table::render(&header, &rows, colour)
}
