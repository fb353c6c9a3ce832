//! A mistake in a file that a person wrote: where, what, and how to mend it.
//!
//! Whoever finds one keeps looking: [`Problems`] holds all of them, in the order of the files' names and places.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode,
    SourceSpan, SpanContents,
};

/// Files that people write are small; a bigger one is not what its name says.
const MAX_TEXT: u64 = 1024 * 1024;

/// Longer lines (minified text, a pasted key) are told by their place alone.
const MAX_EXCERPT_LINE: usize = 400;

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

    /// Whether the lines around it are of a length that people write.
    fn fits_an_excerpt(&self) -> bool {
        let Some(place) = self.place() else { return true };
        let (before, after) = place.source.text.split_at(place.span.start);
        let length = |line: Option<&str>| line.map_or(0, str::len);
        length(before.rsplit('\n').next()) + length(after.split('\n').next()) <= MAX_EXCERPT_LINE
            && before.rsplit('\n').nth(1).map_or(0, str::len) <= MAX_EXCERPT_LINE
            && after.split('\n').nth(1).map_or(0, str::len) <= MAX_EXCERPT_LINE
            && place.span.len() <= MAX_EXCERPT_LINE
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
        let theme = if color { GraphicalTheme::unicode() } else { ascii() };
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(width.clamp(40, 160))
            .with_context_lines(1)
            .with_links(false)
            .without_syntax_highlighting();
        let mut report = String::new();
        for problem in &self.0 {
            let mut one = String::new();
            // Writing to a String only fails when a span lies outside the text; the plain line still helps then.
            if !problem.fits_an_excerpt() || handler.render_report(&mut one, &Shown::new(problem)).is_err() {
                let help = problem.help.as_ref().map(|help| format!("  help: {help}\n"));
                one = printable(&format!("error: {problem}\n{}", help.unwrap_or_default()));
            }
            if !report.is_empty() {
                report.push('\n');
            }
            for line in one.trim_matches('\n').lines() {
                report.push_str(line.trim_end());
                report.push('\n');
            }
        }
        if self.0.len() > 1 {
            report.push_str(&format!("\n{} problems found\n", self.0.len()));
        }
        report
    }
}

fn ascii() -> GraphicalTheme {
    let mut theme = GraphicalTheme::none();
    theme.characters.error = "error:".to_owned();
    theme
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

/// A text without the control characters that could drive a terminal. Every byte keeps its place.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            '\r' => ' ',
            c if c.is_ascii_control() => '?',
            c => c,
        })
        .collect()
}

/// A problem as miette wants it.
#[derive(Debug)]
struct Shown {
    message: String,
    label: Option<LabeledSpan>,
    help: Option<String>,
    source: Option<Excerpt>,
}

impl Shown {
    fn new(problem: &Problem) -> Self {
        let place = problem.place();
        let label = place.as_ref().map(|place| {
            let label = problem.label.as_deref().map(printable);
            LabeledSpan::new_with_span(label, visible(&place.source.text, place.span.clone()))
        });
        Self {
            message: printable(&problem.message),
            label,
            help: problem.help.as_deref().map(printable),
            source: place.map(|place| Excerpt(Source::new(&place.source.name, printable(&place.source.text)))),
        }
    }
}

/// A range that a caret can stand under: an empty one takes the character before it, or the one after.
fn visible(text: &str, span: Range<usize>) -> Range<usize> {
    if !span.is_empty() {
        return span;
    }
    let before = text[..span.start].chars().next_back().filter(|c| *c != '\n');
    let after = text[span.start..].chars().next().filter(|c| *c != '\n');
    match (after, before) {
        (Some(c), _) => span.start..span.start + c.len_utf8(),
        (None, Some(c)) => span.start - c.len_utf8()..span.start,
        (None, None) => span,
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Shown {}

impl Diagnostic for Shown {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.label.iter().cloned()))
    }
}

/// A text as miette wants it, but with the column in characters, as editors count, where miette's own counts bytes.
#[derive(Debug)]
struct Excerpt(Source);

impl SourceCode for Excerpt {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let Self(source) = self;
        let contents = source.text.read_span(span, before, after)?;
        let (_, column) = source.line_and_column(contents.span().offset());
        Ok(Box::new(MietteSpanContents::new_named(
            source.name.clone(),
            contents.data(),
            *contents.span(),
            contents.line(),
            column - 1,
            contents.line_count(),
        )))
    }
}
