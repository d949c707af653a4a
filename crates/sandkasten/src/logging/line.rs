//! An event as one line of printable text, whatever its values hold, and with all causes of its errors.
//!
//! The library's own formats let line breaks through on terminals and some control characters through in JSON, and print an
//! error without its causes.

use std::error::Error;
use std::fmt;

use jiff::Timestamp;
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::printable::{escaped, escaped_in_json};
use crate::cli_error::with_causes;
use crate::output::{Colour, paint};

/// The two forms of the log.
#[derive(Debug, Clone, Copy)]
pub(super) enum LineFormat {
    /// For people.
    Text(Colour),
    /// For programs: an object with `timestamp`, `level`, `message`, the event's own fields, and `target`.
    Json,
}

impl<S, N> FormatEvent<S, N> for LineFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let line = match self {
            Self::Text(colour) => fields.text(Timestamp::now(), *metadata.level(), *colour),
            Self::Json => fields.json(Timestamp::now(), *metadata.level(), metadata.target()),
        };
        writeln!(writer, "{line}")
    }
}

/// What an event says.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    /// Without the message, in the order of the source.
    others: Vec<(&'static str, Value)>,
}

impl Fields {
    fn text(&self, at: Timestamp, level: Level, colour: Colour) -> String {
        let painted = paint(level_colour(level), &format!("{level:>5}"), colour);
        let mut line =
            format!("{} {painted} {}", paint("2", &format!("{at:.6}"), colour), escaped(&self.message));
        for (name, value) in &self.others {
            let value = match value {
                // A text of one word needs no quotes to be told from what follows.
                Value::String(text) if !text.is_empty() && !text.contains([' ', '"']) => text.clone(),
                other => other.to_string(),
            };
            line.push_str(&format!(" {}={}", paint("3", name, colour), escaped(&value)));
        }
        line
    }

    fn json(&self, at: Timestamp, level: Level, target: &str) -> String {
        let [at, level] = [format!("{at:.6}"), level.to_string()].map(Value::String);
        let message = Value::String(self.message.clone());
        let target = Value::String(target.to_owned());
        let mut pairs = vec![("timestamp", &at), ("level", &level), ("message", &message)];
        pairs.extend(self.others.iter().map(|(name, value)| (*name, value)));
        pairs.push(("target", &target));
        let pairs: Vec<String> =
            pairs.into_iter().map(|(name, value)| format!("{}:{value}", Value::from(name))).collect();
        escaped_in_json(&format!("{{{}}}", pairs.join(",")))
    }

    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            // What the log library's bridge says about its own source.
            (name, _) if name.starts_with("log.") => {}
            (name, value) => self.others.push((name.trim_start_matches("r#"), value)),
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.add(field, with_causes(value).into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}").into());
    }
}

const fn level_colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "31",
        Level::WARN => "33",
        Level::INFO => "32",
        Level::DEBUG => "34",
        Level::TRACE => "35",
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use serde_json::Value;
    use tracing_subscriber::fmt::MakeWriter;

    use super::LineFormat;
    use crate::output::Colour;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("unpoisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Sink {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("failed to open {path}")]
    struct OpenError {
        path: &'static str,
        source: io::Error,
    }

    const HOSTILE: &str =
        "a b\x1b]0;title\x07\r\n2026-01-01T00:00:00.000000Z ERROR forged\0\u{9b}31m\u{202e}";

    /// Logs one event with hostile values of every kind, and returns the one line of it.
    fn line(format: LineFormat) -> String {
        let sink = Sink::default();
        let subscriber = tracing_subscriber::fmt().with_writer(sink.clone()).event_format(format).finish();
        tracing::subscriber::with_default(subscriber, || {
            let error = OpenError { path: HOSTILE, source: io::Error::other(HOSTILE) };
            let error: &dyn std::error::Error = &error;
            tracing::error!(text = HOSTILE, shown = %HOSTILE, debug = ?HOSTILE, error, count = 3, sure = true, "said: {HOSTILE}");
        });
        let bytes = sink.0.lock().expect("unpoisoned").clone();
        let text = String::from_utf8(bytes).expect("UTF-8");
        let line = text.strip_suffix('\n').expect("a line end");
        assert!(!line.contains(|c: char| c.is_control() || c == '\u{202e}'), "{line:?}");
        line.to_owned()
    }

    #[test]
    fn a_line_of_json_is_one_printable_line_with_every_value_whole() {
        let entry: Value = serde_json::from_str(&line(LineFormat::Json)).expect("JSON");
        assert_eq!(entry["message"], format!("said: {HOSTILE}"));
        assert_eq!((&entry["text"], &entry["shown"]), (&HOSTILE.into(), &HOSTILE.into()));
        assert_eq!(
            (&entry["count"], &entry["sure"], &entry["level"]),
            (&3.into(), &true.into(), &"ERROR".into())
        );
        assert_eq!(entry["target"], "sandkasten::logging::line::tests");
        assert!(
            entry["timestamp"].as_str().is_some_and(|at| at.len() == "2026-01-01T00:00:00.000000Z".len())
        );
    }

    #[test]
    fn a_line_for_people_is_one_printable_line() {
        let line = line(LineFormat::Text(Colour::Off));
        assert!(line.contains(" ERROR said: a b\\u{1b}]0;title\\u{7}\\r\\n2026"), "{line}");
        assert!(line.contains(" count=3 sure=true"), "{line}");
    }

    #[test]
    fn an_error_is_logged_with_its_causes() {
        let sink = Sink::default();
        let subscriber =
            tracing_subscriber::fmt().with_writer(sink.clone()).event_format(LineFormat::Json).finish();
        tracing::subscriber::with_default(subscriber, || {
            let error = OpenError { path: "/x", source: io::Error::other("no space") };
            tracing::warn!(error = &error as &dyn std::error::Error, "it stays");
        });
        let bytes = sink.0.lock().expect("unpoisoned").clone();
        let entry: Value = serde_json::from_slice(&bytes).expect("JSON");
        assert_eq!(entry["error"], "failed to open /x: no space");
    }
}
