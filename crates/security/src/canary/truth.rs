//! The truth of results: a command cannot say how it, or the next one, ended.

use super::attacks::judged;
use super::{Canary, CanaryError, PROGRAM};
use crate::Finding;

const GROUP: &str = "results";
/// With what the forging command ends in truth.
pub(super) const TRUTH: i32 = 7;

impl Canary<'_> {
    /// Has a command write to everything it can write to, as if it were the runner, and looks whether that is believed.
    pub(super) async fn forge_results(&self) -> Result<Vec<Finding>, CanaryError> {
        let forged = self.exec(format!("/workspace/{PROGRAM} forge")).await?;
        let next = self.exec("echo told; (exit 5)".to_owned()).await?;
        self.exec("exit() { :; }; true() { return 3; }; return() { :; }; PROMPT_COMMAND=false".to_owned())
            .await?;
        let renamed = self.exec(format!("/workspace/{PROGRAM} forge > /dev/null")).await?;
        let key = self.config.api_key.as_ref().map(|key| key.expose().to_owned());
        let environment = self
            .exec("set; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2> /dev/null; true".to_owned())
            .await?;
        let leaked = key.is_some_and(|key| !key.is_empty() && environment.1.contains(&key));
        let wrong =
            |(status, output): &(i32, String)| format!("it was told to have ended with {status}: {output:?}");
        Ok(vec![
            judged(
                GROUP,
                "forge the end of a command",
                (forged.0 != TRUTH).then(|| wrong(&forged)),
                "it was told as it was",
            ),
            judged(
                GROUP,
                "forge the end of the next command",
                ((next.0, next.1.as_str()) != (5, "told\n")).then(|| wrong(&next)),
                "it was told as it was",
            ),
            judged(
                GROUP,
                "redefine the words of the shell",
                (renamed.0 != TRUTH).then(|| wrong(&renamed)),
                "it was told as it was",
            ),
            judged(
                GROUP,
                "find the key of the API",
                leaked.then(|| "a process of the sandbox was given it".to_owned()),
                "it is in no variable and no argument",
            ),
        ])
    }
}
