//! The configuration of an image that is built: that of the one below it, with what the Dockerfile says.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::BuildError;
use crate::digest::Digest;
use crate::image::ImageConfig;
use crate::name::ImageName;
use crate::source::documents::Platform;

/// What an image says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuiltConfig {
    /// Names and values of variables.
    pub environment: Vec<(String, String)>,
    /// The working directory; empty where there is none.
    pub directory: String,
    /// The user; empty where there is none.
    pub user: String,
    /// The program.
    pub entrypoint: Vec<String>,
    /// What comes behind it.
    pub command: Vec<String>,
    /// What it says of itself.
    pub labels: BTreeMap<String, String>,
    /// What commands in text are given to while it is built; empty where there is none.
    pub shell: Vec<String>,
    /// Ports, with their protocols.
    pub ports: BTreeSet<String>,
    /// Directories for data.
    pub volumes: BTreeSet<String>,
    /// What asks the program to end.
    pub stop_signal: Option<String>,
    /// Who made it.
    pub author: Option<String>,
}

/// One step, for those who read how an image was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HistoryStep {
    /// The instruction.
    pub(super) created_by: String,
    /// When it was carried out.
    pub(super) created_at: Timestamp,
    /// Whether it made a layer.
    pub(super) has_layer: bool,
}

/// The image that a stage begins with.
#[derive(Debug, Clone, Default)]
pub(super) struct Base {
    document: Map<String, Value>,
}

impl Base {
    pub(super) fn parse(name: &ImageName, configuration: Option<&str>) -> Result<Self, BuildError> {
        let document: Map<String, Value> = match configuration {
            Some(text) => {
                serde_json::from_str(text).map_err(|source| BuildError::Configuration { source })?
            }
            None => Map::new(),
        };
        let base = Self { document };
        let triggers = base.config("OnBuild").and_then(Value::as_array);
        if triggers.is_some_and(|triggers| !triggers.is_empty()) {
            return Err(BuildError::OnBuild { name: name.clone() });
        }
        Ok(base)
    }

    /// What it says of itself. What is not of the form that it has to be is left out, as by whoever runs it.
    pub(super) fn built_config(&self, fallback: &ImageConfig) -> BuiltConfig {
        if self.document.is_empty() {
            return BuiltConfig {
                environment: pairs(&fallback.env),
                directory: fallback.workdir.clone().unwrap_or_default(),
                user: fallback.user.clone().unwrap_or_default(),
                entrypoint: fallback.entrypoint.clone(),
                command: fallback.cmd.clone(),
                labels: fallback.labels.clone(),
                ..BuiltConfig::default()
            };
        }
        let text = |name: &str| self.config(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let texts = |name: &str| -> Vec<String> {
            let values = self.config(name).and_then(Value::as_array).into_iter().flatten();
            values.filter_map(|value| value.as_str().map(str::to_owned)).collect()
        };
        let keys = |name: &str| -> BTreeSet<String> {
            self.config(name).and_then(Value::as_object).into_iter().flat_map(Map::keys).cloned().collect()
        };
        let labels = self.config("Labels").and_then(Value::as_object).into_iter().flatten();
        BuiltConfig {
            environment: pairs(&texts("Env")),
            directory: text("WorkingDir"),
            user: text("User"),
            entrypoint: texts("Entrypoint"),
            command: texts("Cmd"),
            labels: labels
                .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
                .collect(),
            shell: texts("Shell"),
            ports: keys("ExposedPorts"),
            volumes: keys("Volumes"),
            stop_signal: Some(text("StopSignal")).filter(|signal| !signal.is_empty()),
            author: self.document.get("author").and_then(Value::as_str).map(str::to_owned),
        }
    }

    /// When it was made, where it says so.
    pub(super) fn created_at(&self) -> Timestamp {
        let said = self.document.get("created").and_then(Value::as_str);
        said.and_then(|text| text.parse().ok()).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn config(&self, name: &str) -> Option<&Value> {
        self.document.get("config")?.get(name)
    }

    /// Writes the configuration of what was built on it. It depends on nothing but what is given, so that the same build has
    /// the same digest.
    pub(super) fn document(
        &self,
        config: &BuiltConfig,
        diff_ids: &[Digest],
        history: &[HistoryStep],
    ) -> String {
        let platform = Platform::of_this_machine();
        let mut document = self.document.clone();
        let mut entries = document.get("history").and_then(Value::as_array).cloned().unwrap_or_default();
        for step in history {
            let mut entry = json!({
                "created": step.created_at.to_string(),
                "created_by": step.created_by,
            });
            if !step.has_layer
                && let Some(entry) = entry.as_object_mut()
            {
                entry.insert("empty_layer".to_owned(), true.into());
            }
            entries.push(entry);
        }
        let created = history.iter().map(|step| step.created_at).max();
        if let Some(created) = created {
            document.insert("created".to_owned(), created.to_string().into());
        }
        let mut set = |name: &str, value: Value| document.insert(name.to_owned(), value);
        set("architecture", platform.architecture.into());
        set("os", platform.os.into());
        set("rootfs", json!({"type": "layers", "diff_ids": diff_ids}));
        set("history", entries.into());
        if let Some(author) = &config.author {
            set("author", author.clone().into());
        }
        let execution = self.execution(config);
        document.insert("config".to_owned(), execution.into());
        Value::from(document).to_string()
    }

    fn execution(&self, config: &BuiltConfig) -> Map<String, Value> {
        let below = self.document.get("config").and_then(Value::as_object);
        let mut execution = below.cloned().unwrap_or_default();
        let set_of = |names: &BTreeSet<String>| -> Value {
            names.iter().map(|name| (name.clone(), json!({}))).collect::<Map<_, _>>().into()
        };
        let environment: Vec<String> =
            config.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let all: [(&str, bool, Value); 10] = [
            ("Env", environment.is_empty(), environment.into()),
            ("WorkingDir", config.directory.is_empty(), config.directory.clone().into()),
            ("User", config.user.is_empty(), config.user.clone().into()),
            ("Entrypoint", config.entrypoint.is_empty(), config.entrypoint.clone().into()),
            ("Cmd", config.command.is_empty(), config.command.clone().into()),
            ("Labels", config.labels.is_empty(), json!(config.labels)),
            ("Shell", config.shell.is_empty(), config.shell.clone().into()),
            ("ExposedPorts", config.ports.is_empty(), set_of(&config.ports)),
            ("Volumes", config.volumes.is_empty(), set_of(&config.volumes)),
            ("StopSignal", config.stop_signal.is_none(), config.stop_signal.clone().into()),
        ];
        for (name, is_empty, value) in all {
            if is_empty {
                execution.remove(name);
            } else {
                execution.insert(name.to_owned(), value);
            }
        }
        execution
    }
}

fn pairs(variables: &[String]) -> Vec<(String, String)> {
    variables
        .iter()
        .filter_map(|variable| variable.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
