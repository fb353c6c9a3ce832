//! Problems as a terminal or a pipe shows them.

use std::fmt;
use std::ops::Range;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode,
    SourceSpan, SpanContents,
};

use super::{Problem, Source};

/// Longer lines (minified text, a pasted key) are told by their place alone.
const MAX_EXCERPT_LINE: usize = 400;

/// One report after the other; see [`super::Problems::render`].
pub(super) fn text(problems: &[Problem], color: bool, width: usize) -> String {
    let theme = if color { GraphicalTheme::unicode() } else { ascii() };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(width.clamp(40, 160))
        .with_context_lines(1)
        .with_links(false)
        .without_syntax_highlighting();
    let mut report = String::new();
    for problem in problems {
        let mut one = String::new();
        // Writing to a String only fails when a span lies outside the text; the plain line still helps then.
        if !fits_an_excerpt(problem) || handler.render_report(&mut one, &Shown::new(problem)).is_err() {
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
    report
}

fn ascii() -> GraphicalTheme {
    let mut theme = GraphicalTheme::none();
    theme.characters.error = "error:".to_owned();
    theme
}

/// Whether the lines around it are of a length that people write.
fn fits_an_excerpt(problem: &Problem) -> bool {
    let Some(place) = problem.place() else { return true };
    let (before, after) = place.source.text.split_at(place.span.start);
    let length = |line: Option<&str>| line.map_or(0, str::len);
    length(before.rsplit('\n').next()) + length(after.split('\n').next()) <= MAX_EXCERPT_LINE
        && before.rsplit('\n').nth(1).map_or(0, str::len) <= MAX_EXCERPT_LINE
        && after.split('\n').nth(1).map_or(0, str::len) <= MAX_EXCERPT_LINE
        && place.span.len() <= MAX_EXCERPT_LINE
}

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
