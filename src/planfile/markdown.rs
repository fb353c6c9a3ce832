//! A plan as a comment of a pull request.

use super::PlanFile;

/// The most characters that GitHub takes for one comment.
pub const COMMENT_MAX: usize = 65_536;

/// The plan as Markdown.
pub fn markdown(_: &PlanFile) -> String {
    String::new()
}
