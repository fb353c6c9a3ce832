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
        insta::assert_snapshot!(shared.text(), @r#"
        {"event":"started","steps":[{"address":"machine.instance","title":"create"},{"address":"stack.app","title":"deploy"},{"address":"edge.caddy","title":"deploy"}]}
        {"event":"step_started","address":"machine.instance","title":"create"}
        {"event":"waiting","address":"machine.instance","reason":"sshd at 127.77.0.1:22 (port 22 closed: connection refused)"}
        {"event":"waiting","address":"machine.instance","reason":"sshd at 127.77.0.1:22 (port 22 closed: connection refused)"}
        {"event":"warning","address":"machine.instance","message":"no KVM here:\nthe machine runs under emulation"}
        {"event":"waiting","address":"machine.instance","reason":"sshd at 127.77.0.1:22 (port 22 closed: connection refused)"}
        {"event":"waiting","address":"machine.instance","reason":"sshd at 127.77.0.1:22 (port 22 open, no ssh banner yet)"}
        {"event":"step_finished","address":"machine.instance","millis":42090}
        {"event":"step_started","address":"stack.app","title":"deploy"}
        {"event":"bytes","address":"stack.app","done":1048576,"total":104857600}
        {"event":"bytes","address":"stack.app","done":52428800,"total":104857600}
        {"event":"bytes","address":"stack.app","done":78643200,"total":104857600}
        {"event":"line","address":"stack.app","line":"\u001b[33mContainer app-web-1  Unhealthy\u001b[0m"}
        {"event":"step_failed","address":"stack.app","message":"service `web` is unhealthy"}
        {"event":"finished","done":1,"left":2,"millis":61000}
        "#);
    }
}
