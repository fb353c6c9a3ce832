//! Events for programs: one JSON object a line.

use std::fmt;
use std::io::{self, Write};

use super::stream::{Line, Told};

/// Writes lines until one cannot be written.
pub struct Json {
    writer: Box<dyn Write + Send>,
    lost: Option<io::Error>,
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Json")
    }
}

impl Json {
    /// To a writer.
    pub fn new(writer: Box<dyn Write + Send>) -> Self {
        Self { writer, lost: None }
    }

    /// To standard output, which belongs to these lines alone.
    pub fn stdout() -> Self {
        Self::new(Box::new(io::stdout()))
    }

    /// Writes one line. After a failure nothing more is written: a reader never finds a gap, only an end.
    pub fn tell(&mut self, told: Told) {
        self.write(&Line::now(told));
    }

    fn write(&mut self, line: &Line) {
        if self.lost.is_some() {
            return;
        }
        let written = serde_json::to_vec(line).map_err(io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            // In one write, so that lines of several writers do not mix.
            self.writer.write_all(&line)?;
            self.writer.flush()
        });
        self.lost = written.err();
    }

    /// Why lines are not written any more.
    pub fn lost(&self) -> Option<&io::Error> {
        self.lost.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::progress::plain::tests::{Shared, a_run};

    #[test]
    fn every_event_is_one_line() {
        let shared = Shared::default();
        let mut json = Json::new(Box::new(shared.clone()));
        for (millis, event) in a_run() {
            json.write(&Line {
                at: jiff::Timestamp::from_millisecond(i64::try_from(millis).unwrap()).unwrap(),
                told: (&event).into(),
            });
        }
        insta::assert_snapshot!(shared.text(), @r#"
        {"at":"1970-01-01T00:00:00.000Z","event":"started","steps":[{"address":"machine.instance","title":"create"},{"address":"stack.app","title":"deploy"},{"address":"edge.caddy","title":"deploy"}]}
        {"at":"1970-01-01T00:00:00.010Z","event":"step_started","address":"machine.instance","title":"create"}
        {"at":"1970-01-01T00:00:00.200Z","event":"waiting","address":"machine.instance","reason":"sshd at 127.77.0.1:22 (port 22 closed: connection refused)"}
        {"at":"1970-01-01T00:00:00.900Z","event":"waiting","address":"machine.instance","reason":"sshd at 127.77.0.1:22 (port 22 closed: connection refused)"}
        {"at":"1970-01-01T00:00:01.000Z","event":"warning","address":"machine.instance","message":"no KVM here:\nthe machine runs under emulation"}
        {"at":"1970-01-01T00:00:10.300Z","event":"waiting","address":"machine.instance","reason":"sshd at 127.77.0.1:22 (port 22 closed: connection refused)"}
        {"at":"1970-01-01T00:00:10.400Z","event":"waiting","address":"machine.instance","reason":"sshd at 127.77.0.1:22 (port 22 open, no ssh banner yet)"}
        {"at":"1970-01-01T00:00:42.100Z","event":"step_finished","address":"machine.instance","millis":42090}
        {"at":"1970-01-01T00:00:42.100Z","event":"step_started","address":"stack.app","title":"deploy"}
        {"at":"1970-01-01T00:00:42.200Z","event":"bytes","address":"stack.app","done":1048576,"total":104857600}
        {"at":"1970-01-01T00:00:50.000Z","event":"bytes","address":"stack.app","done":52428800,"total":104857600}
        {"at":"1970-01-01T00:00:52.200Z","event":"bytes","address":"stack.app","done":78643200,"total":104857600}
        {"at":"1970-01-01T00:01:00.000Z","event":"line","address":"stack.app","line":"\u001b[33mContainer app-web-1  Unhealthy\u001b[0m"}
        {"at":"1970-01-01T00:01:01.000Z","event":"step_failed","address":"stack.app","message":"service `web` is unhealthy"}
        {"at":"1970-01-01T00:01:01.000Z","event":"finished","done":1,"left":2,"millis":61000}
        "#);
    }

    #[test]
    fn a_line_reads_back_as_what_was_told() {
        for (_, event) in a_run() {
            let told = Told::from(&event);
            let mut line = serde_json::to_value(Line::now(told.clone())).unwrap();
            let at = line.as_object_mut().unwrap().remove("at").unwrap();
            assert!(at.as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
            assert_eq!(serde_json::from_value::<Told>(line).unwrap(), told);
        }
        let unknown = serde_json::json!({"event": "note", "message": "x", "colour": "red"});
        assert!(serde_json::from_value::<Told>(unknown).is_err());
    }

    #[test]
    fn what_cannot_be_written_is_remembered_and_nothing_follows() {
        /// Full after the first line.
        struct Full(Shared, usize);
        impl Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.1 += 1;
                match self.1 {
                    2 => Err(io::ErrorKind::StorageFull.into()),
                    _ => self.0.write(bytes),
                }
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let shared = Shared::default();
        let mut json = Json::new(Box::new(Full(shared.clone(), 0)));
        for (_, event) in a_run() {
            json.tell((&event).into());
        }
        assert_eq!(json.lost().unwrap().kind(), io::ErrorKind::StorageFull);
        assert_eq!(shared.text().lines().count(), 1);
    }

    /// The words of the schema: every event, with the time.
    #[test]
    fn the_schema_knows_every_event() {
        let schema = crate::progress::stream::schema();
        assert_eq!(schema["required"], serde_json::json!(["at"]), "{schema:#}");
        let variants = schema["oneOf"].as_array().unwrap();
        let name = |variant: &Value| variant["properties"]["event"]["const"].as_str().unwrap().to_owned();
        let names: Vec<String> = variants.iter().map(name).collect();
        insta::assert_snapshot!(names.join(" "), @"version drift planned note refused started step_started waiting bytes line warning step_finished step_failed finished summary");
    }
}
