//! A mistake in a file that a person wrote: where, what, and how to mend it.
//!
//! Whoever finds one keeps looking: [`Problems`] holds all of them, in the order of the files' names and places.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

mod report;

/// Files that people write are small; a bigger one is not what its name says.
const MAX_TEXT: u64 = 1024 * 1024;

/// The text of a file, with the name that messages show for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The path as shown: relative to the project where that is possible.
    pub name: String,
    /// The whole text, byte for byte.
    pub text: Arc<str>,
}

impl Source {
    /// A text that is already in memory.
    pub fn new(name: impl Into<String>, text: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
        }
    }

    /// Reads `path`. A file that cannot be read, is over 1 MiB or not UTF-8 is a [`Problem`] without a place.
    pub fn read(path: &Path, name: &str) -> Result<Self, Problems> {
        let unreadable = |why: String| Problem::new(format!("failed to read {name}: {why}"));
        let size = std::fs::metadata(path)
            .map_err(|error| unreadable(error.to_string()))?
            .len();
        if size > MAX_TEXT {
            return Err(unreadable(format!("it has {size} bytes, more than 1 MiB"))
                .help("is this really the file that was meant?")
                .into());
        }
        let bytes = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
        Self::from_bytes(name, bytes)
    }

    /// Takes bytes that must be UTF-8.
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self, Problems> {
        String::from_utf8(bytes)
            .map(|text| Self::new(name, text))
            .map_err(|error| {
                let valid = error.utf8_error().valid_up_to();
                let line = error.as_bytes()[..valid].iter().filter(|b| **b == b'\n').count() + 1;
                Problem::new(format!("{name}:{line}: the file is not UTF-8 text"))
                    .help("save it as UTF-8")
                    .into()
            })
    }

    /// A place in this text. A range that does not fit is cut to what does.
    pub fn at(&self, span: Range<usize>) -> Place {
        let mut start = span.start.min(self.text.len());
        while !self.text.is_char_boundary(start) {
            start -= 1;
        }
        let mut end = span.end.clamp(start, self.text.len());
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        Place {
            source: self.clone(),
            span: start..end,
        }
    }

    /// Line and column of a byte offset, both counted from one, columns in characters.
    fn line_and_column(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }
}

/// A place in a file; [`says`](Place::says) makes it a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub source: Source,
    /// Bytes in its text, on character boundaries.
    pub span: Range<usize>,
}

impl Place {
    /// A problem here.
    pub fn says(&self, message: impl Into<String>) -> Problem {
        Problem {
            source: Some(self.source.clone()),
            span: self.span.clone(),
            ..Problem::new(message)
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.source.line_and_column(self.span.start);
        write!(f, "{}:{line}:{column}", self.source.name)
    }
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file it is in; without one the message names what it is about.
    pub source: Option<Source>,
    /// Bytes in the text of `source`.
    pub span: Range<usize>,
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// What stands under the marked place.
    pub label: Option<String>,
    /// The remedy.
    pub help: Option<String>,
}

impl Problem {
    /// A problem that is in no file.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            source: None,
            span: 0..0,
            message: message.into(),
            label: None,
            help: None,
        }
    }

    /// A place to complain about: `Problem::at(&source, span).says("…").help("…")`.
    pub fn at(source: &Source, span: Range<usize>) -> Place {
        source.at(span)
    }

    /// Adds the words under the marked place.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Adds the remedy.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Where it is, when it is in a file.
    pub fn place(&self) -> Option<Place> {
        self.source.as_ref().map(|source| source.at(self.span.clone()))
    }
}

/// `file:line:column: message`, on one line: for logs and JSON.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place() {
            Some(place) => write!(f, "{place}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// All mistakes that were found: at least one, sorted by file, then by place, none twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// `Err` with all of them when there are any.
    pub fn check(mut found: Vec<Problem>) -> Result<(), Self> {
        fn key(problem: &Problem) -> (Option<&str>, usize, usize, &str) {
            let file = problem.source.as_ref().map(|source| source.name.as_str());
            (file, problem.span.start, problem.span.end, &problem.message)
        }
        found.sort_by(|a, b| key(a).cmp(&key(b)));
        found.dedup();
        if found.is_empty() { Ok(()) } else { Err(Self(found)) }
    }

    /// All of them, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// All of them, to be put together with others.
    pub fn into_vec(self) -> Vec<Problem> {
        self.0
    }

    /// The report for people: per problem the message, `file:line:column` with an excerpt, and the remedy. Without
    /// colour it is plain ASCII around the quoted text, fit for a pipe. `width` is the terminal's, in columns.
    pub fn render(&self, color: bool, width: usize) -> String {
        let mut text = report::text(&self.0, color, width);
        if self.0.len() > 1 {
            text.push_str(&format!("\n{} problems found\n", self.0.len()));
        }
        text
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

/// One line a problem.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
