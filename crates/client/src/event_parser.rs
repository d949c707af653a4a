//! Server-Sent Events out of a byte stream that may be split anywhere (WHATWG HTML, "Interpreting an event stream").

/// The most bytes of an event that has not ended yet. The daemon's are far smaller; more is no event stream.
const MAX_EVENT_BYTES: usize = 16 << 20;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawEvent {
    /// Its name; `message` where the stream gives none.
    pub(crate) name: String,
    /// Its data lines, joined by line feeds.
    pub(crate) data: String,
}

/// The peer sends an event without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream has more than {MAX_EVENT_BYTES} bytes")]
pub(crate) struct EventTooLarge;

/// Collects bytes until an event is whole.
#[derive(Debug, Default)]
pub(crate) struct EventParser {
    line: Vec<u8>,
    name: String,
    data: String,
    has_data: bool,
    after_carriage_return: bool,
    past_first_line: bool,
}

impl EventParser {
    /// Takes the next bytes and returns the events that they complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<RawEvent>, EventTooLarge> {
        let mut events = Vec::new();
        for &byte in bytes {
            match byte {
                // The second half of CR LF, wherever the two were split.
                b'\n' if self.after_carriage_return => self.after_carriage_return = false,
                b'\n' | b'\r' => {
                    self.after_carriage_return = byte == b'\r';
                    events.extend(self.end_line());
                }
                _ => {
                    self.after_carriage_return = false;
                    self.line.push(byte);
                }
            }
        }
        if self.line.len() + self.data.len() > MAX_EVENT_BYTES { Err(EventTooLarge) } else { Ok(events) }
    }

    fn end_line(&mut self) -> Option<RawEvent> {
        let line = std::mem::take(&mut self.line);
        // Whole lines only, so that a character split across reads is whole here.
        let line = String::from_utf8_lossy(&line);
        let line = if self.past_first_line { &*line } else { line.strip_prefix('\u{feff}').unwrap_or(&line) };
        self.past_first_line = true;
        if line.is_empty() {
            return self.end_event();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                if self.has_data {
                    self.data.push('\n');
                }
                self.data.push_str(value);
                self.has_data = true;
            }
            // A comment has the empty field name; `id`, `retry` and unknown fields mean nothing here.
            _ => {}
        }
        None
    }

    fn end_event(&mut self) -> Option<RawEvent> {
        let name = std::mem::take(&mut self.name);
        let data = std::mem::take(&mut self.data);
        let name = if name.is_empty() { "message".to_owned() } else { name };
        std::mem::take(&mut self.has_data).then_some(RawEvent { name, data })
    }
}

#[cfg(test)]
mod tests {
    use super::{EventParser, EventTooLarge, RawEvent};

    const STREAM: &str = ": hello\n\nevent: chunk\ndata: {\"chunk\":\"h\u{e9}\u{1f980}\"}\n\n:\n\nevent:done\r\n\
                          data:{}\r\n\r\nid: 7\nretry: 5\nnonsense\ndata: a\ndata:  b\ndata\n\n";

    fn event(name: &str, data: &str) -> RawEvent {
        RawEvent { name: name.to_owned(), data: data.to_owned() }
    }

    fn expected() -> Vec<RawEvent> {
        vec![
            event("chunk", "{\"chunk\":\"h\u{e9}\u{1f980}\"}"),
            event("done", "{}"),
            event("message", "a\n b\n"),
        ]
    }

    #[test]
    fn events_are_the_same_however_the_reads_split_them() {
        for size in 1..=STREAM.len() {
            let mut parser = EventParser::default();
            let reads = STREAM.as_bytes().chunks(size);
            let events: Vec<RawEvent> = reads.flat_map(|read| parser.push(read).expect("small")).collect();
            assert_eq!(events, expected(), "reads of {size} bytes");
        }
    }

    #[test]
    fn comments_and_events_without_data_are_nothing() {
        assert_eq!(EventParser::default().push(b": heartbeat\n\nevent: chunk\n\n\n\n"), Ok(vec![]));
    }

    #[test]
    fn an_unfinished_event_is_held_back() {
        let mut parser = EventParser::default();
        assert_eq!(parser.push(b"data: x\n"), Ok(vec![]));
        assert_eq!(parser.push(b"\n"), Ok(vec![event("message", "x")]));
    }

    #[test]
    fn carriage_returns_alone_end_lines_and_a_byte_order_mark_is_skipped() {
        let events = EventParser::default().push("\u{feff}event: e\rdata: x\r\r".as_bytes());
        assert_eq!(events, Ok(vec![event("e", "x")]));
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let mut parser = EventParser::default();
        let result = (0..20).try_for_each(|_| parser.push(&vec![b'x'; 1 << 20]).map(drop));
        assert_eq!(result, Err(EventTooLarge));
    }
}
