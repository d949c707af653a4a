//! `image build --debian`: a Debian, or what derives from it, as mmdebstrap makes it.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::process::{Child, ChildStdout, Command, Stdio};

use clap::Args;
use sandkasten_image::{
    ImageName, ImageStore, ImportError, ImportOptions, ImportReport, ImportSource, UnpackError,
};

use super::import;
use crate::cli_error::{CliError, Exit};
use crate::human;
use crate::progress_line::ProgressLine;

/// The program that does the work.
const MMDEBSTRAP: &str = "mmdebstrap";

/// The options of `image build` about a Debian.
#[derive(Debug, Args)]
pub(crate) struct DebianArguments {
    /// Make a Debian of this release by mmdebstrap, in place of a Dockerfile: bookworm, stable
    #[arg(long, value_name = "RELEASE", value_parser = release, conflicts_with_all = ["file", "values", "target", "no_cache", "context"])]
    pub(super) debian: Option<String>,

    /// Packages to have beside the essential ones, with commas between: python3,git
    #[arg(long, value_name = "PACKAGES", value_parser = packages, requires = "debian")]
    include: Option<String>,

    /// Where packages come from: a URL, or a line of sources.list; may be given several times [default: mmdebstrap's, Debian's own]
    #[arg(long, value_name = "MIRROR", value_parser = mirror, requires = "debian")]
    mirror: Vec<String>,

    /// An option for apt, such as 'Acquire::Check-Valid-Until "false"' for a mirror that is not brought up to date any more; may
    /// be given several times
    #[arg(long, value_name = "OPTION", requires = "debian")]
    apt_option: Vec<String>,
}

impl DebianArguments {
    /// Makes the root file system and imports it as it comes.
    ///
    /// # Errors
    /// Nothing has changed then.
    pub(super) fn build(
        &self,
        store: &ImageStore,
        name: Option<&ImageName>,
        release: &str,
    ) -> Result<ImportReport, CliError> {
        let usual = format!("debian:{release}");
        let parsed = usual.parse().map_err(|error| CliError {
            exit: Exit::Usage,
            ..CliError::ours(
                format!("cannot call an image {usual}"),
                &error,
                "choose a name for it with --name",
            )
        });
        let name = &name.cloned().map_or(parsed, Ok)?;
        let what = || format!("cannot make Debian {release} as image {name}");
        let mut command = Command::new(MMDEBSTRAP);
        command.args(["--variant=minbase", "--format=tar"]);
        command.args(self.include.iter().map(|packages| format!("--include={packages}")));
        command.args(self.apt_option.iter().map(|option| format!("--aptopt={option}")));
        command.arg(release).arg("-").args(&self.mirror);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| unstartable(what(), &error))?;
        let Some(archive) = child.stdout.take() else {
            return Err(CliError::ours(
                what(),
                &io::Error::other("it has no output"),
                "this is a bug: please report it",
            ));
        };
        let source = ImportSource::Stream(Box::new(Made { archive: Some(archive), child: Some(child) }));
        let options = ImportOptions::default();
        let mut progress = ProgressLine::new();
        let imported = store.import(name, source, &options, &mut |now| {
            let entries = human::grouped(now.entries);
            progress.show(|| format!("importing: {entries} entries, {}", human::bytes(now.archive_bytes)));
            ControlFlow::Continue(())
        });
        drop(progress);
        imported.map_err(|error| {
            let (hint, exit) = advice(&error);
            CliError { exit, ..CliError::ours(what(), &error, hint) }
        })
    }
}

/// What mmdebstrap writes. It ends well only if mmdebstrap does: an archive may look whole although what made it has failed.
struct Made {
    /// None at the end alone.
    archive: Option<ChildStdout>,
    /// None when it has been waited for.
    child: Option<Child>,
}

impl Read for Made {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(archive) = &mut self.archive else { return Ok(0) };
        let read = archive.read(buffer)?;
        if read == 0
            && !buffer.is_empty()
            && let Some(mut child) = self.child.take()
        {
            let status = child.wait()?;
            if !status.success() {
                return Err(io::Error::other(format!("{MMDEBSTRAP} failed: {status}")));
            }
        }
        Ok(read)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        drop(self.archive.take());
        if let Some(mut child) = self.child.take() {
            // Nobody reads what it writes any more, lest it wait for that. It removes what it has made so far when it is asked to end.
            if let Some(pid) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
                rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
            }
            drop(child.wait());
        }
    }
}

fn unstartable(what: String, error: &io::Error) -> CliError {
    if error.kind() == io::ErrorKind::NotFound {
        return CliError {
            what,
            why: format!("{MMDEBSTRAP} is not installed"),
            hint: format!(
                "install it (apt-get install {MMDEBSTRAP}), or pull an image: sandkasten image pull debian"
            ),
            exit: Exit::Usage,
        };
    }
    CliError::ours(what, error, "run mmdebstrap by hand to see what it lacks")
}

const fn advice(error: &ImportError) -> (&'static str, Exit) {
    match error {
        ImportError::Unpack {
            source: UnpackError::ReadArchive { .. } | UnpackError::Truncated { .. } | UnpackError::Empty,
        } => (
            "see what mmdebstrap has said; the release and the packages may not exist; nothing was changed",
            Exit::Refused,
        ),
        error => import::advice(error),
    }
}

/// A word that is no option.
fn word(text: &str, allowed: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || allowed.bytes().any(|other| other == byte);
    if text.starts_with('-') || text.is_empty() || !text.bytes().all(is_plain) {
        return Err(format!("expected letters, digits and any of {allowed}, no hyphen first"));
    }
    Ok(text.to_owned())
}

fn release(text: &str) -> Result<String, String> {
    word(text, "-._")
}

fn packages(text: &str) -> Result<String, String> {
    word(text, ",+-.:=~_/?")
}

fn mirror(text: &str) -> Result<String, String> {
    if text.starts_with('-') || text.is_empty() || text.contains(char::is_control) {
        return Err("expected a URL or a line of sources.list".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{mirror, packages, release};

    #[test]
    fn nothing_becomes_an_option_of_mmdebstrap() {
        for bad in ["", "--setup-hook=x", "-v", "a b", "a;b", "$(x)", "a\n"] {
            assert!(release(bad).is_err() && packages(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "--hook-dir=/x", "-", "a\nb"] {
            assert!(mirror(bad).is_err(), "{bad:?}");
        }
        assert!(release("bookworm").is_ok() && release("bookworm-backports").is_ok());
        assert!(packages("python3,git,libc6:amd64,g++").is_ok());
        assert!(mirror("deb [trusted=yes] file:/srv/mirror bookworm main").is_ok());
    }
}
