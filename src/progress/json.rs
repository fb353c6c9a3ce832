//! Events for programs: one JSON object a line.

use std::fmt;
use std::io::Write;

use crate::apply::event::Event;

/// Writes events as JSON lines.
pub struct Json {
    writer: Box<dyn Write + Send>,
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Json")
    }
}

impl Json {
    /// To a writer.
    pub fn new(writer: Box<dyn Write + Send>) -> Self {
        Self { writer }
    }

    /// Shows one event.
    pub fn handle(&mut self, event: &Event) {
        if let Ok(mut line) = serde_json::to_vec(event) {
            line.push(b'\n');
            // In one write, so that lines of several writers do not mix.
            let _ = self.writer.write_all(&line).and_then(|()| self.writer.flush());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::plain::tests::{Shared, a_run};

    #[test]
    fn every_event_is_one_line() {
        let shared = Shared::default();
        let mut json = Json::new(Box::new(shared.clone()));
        for (_, event) in a_run() {
            json.handle(&event);
        }
        insta::assert_snapshot!(shared.text(), @"");
    }
}
