//! Handlebars, made strict: an unknown name is an error with its place, and nothing is escaped for HTML.

use std::sync::OnceLock;

use handlebars::{
    Context, Handlebars, Helper, HelperResult, Output, RenderContext, RenderError as Failure, RenderErrorReason,
    TemplateErrorReason, no_escape,
};
use serde_json::Value;
use thiserror::Error;

use super::{Mark, Rendered, percent_encode};

/// Why a template gave no text.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("{what}")]
pub struct RenderError {
    /// What is wrong, one line.
    pub what: String,
    /// Line and column in the template, both from 1, when known.
    pub place: Option<(usize, usize)>,
    /// What to write instead.
    pub help: Option<String>,
}

/// Renders `template` with `context`.
///
/// Helpers: `{{json x}}` (a JSON string, which is also a YAML string), `{{url x}}` (percent-encoded, also for secrets).
///
/// # Errors
/// Syntax errors and names that the context does not hold.
pub fn render(template: &str, context: &Value) -> Result<Rendered, RenderError> {
    fill(&parse(template)?, context)
}

/// A template of this repository: parsed once, however often it is rendered.
#[derive(Debug)]
pub struct BuiltIn {
    text: &'static str,
    parsed: OnceLock<Result<Handlebars<'static>, RenderError>>,
}

impl BuiltIn {
    /// A template with this text.
    pub const fn new(text: &'static str) -> Self {
        Self {
            text,
            parsed: OnceLock::new(),
        }
    }

    /// As [`render`].
    ///
    /// # Errors
    /// Those of [`render`], which means that the template in this repository is broken.
    pub fn render(&self, context: &Value) -> Result<Rendered, RenderError> {
        match self.parsed.get_or_init(|| parse(self.text)) {
            Ok(registry) => fill(registry, context),
            Err(broken) => Err(broken.clone()),
        }
    }
}

fn parse(template: &str) -> Result<Handlebars<'static>, RenderError> {
    let mut registry = Handlebars::new();
    registry.set_strict_mode(true);
    registry.register_escape_fn(no_escape);
    registry.register_helper("json", Box::new(json));
    registry.register_helper("url", Box::new(url));
    registry
        .register_template_string("template", template)
        .map_err(|error| {
            let reason = match error.reason() {
                TemplateErrorReason::InvalidSyntax(_) => "this template has a syntax error".to_owned(),
                other => other.to_string(),
            };
            RenderError {
                what: reason,
                place: error.pos(),
                help: Some("a template is written {{name}}; write \\{{ for two literal braces".to_owned()),
            }
        })?;
    Ok(registry)
}

fn fill(registry: &Handlebars<'_>, context: &Value) -> Result<Rendered, RenderError> {
    registry
        .render("template", context)
        .map(Rendered::new)
        .map_err(|error| explain(&error, context))
}

fn explain(error: &Failure, context: &Value) -> RenderError {
    let place = error.line_no.zip(error.column_no);
    match error.reason() {
        RenderErrorReason::MissingVariable(Some(path)) => {
            let known = known_paths(context);
            let help = match nearest(path, &known) {
                Some(near) => format!("did you mean `{{{{{near}}}}}`?"),
                None => format!("known here: {}", first_few(&known)),
            };
            RenderError {
                what: format!("there is no `{{{{{path}}}}}`"),
                place,
                help: Some(help),
            }
        }
        other => RenderError {
            what: other.to_string(),
            place,
            help: None,
        },
    }
}

/// Every dotted name of the context, in order.
fn known_paths(context: &Value) -> Vec<String> {
    fn walk(prefix: &str, value: &Value, out: &mut Vec<String>) {
        if let Value::Object(map) = value {
            for (key, inner) in map {
                let path = if prefix.is_empty() {
                    key.clone()
                } else {
                    format!("{prefix}.{key}")
                };
                if inner.is_object() {
                    walk(&path, inner, out);
                } else {
                    out.push(path);
                }
            }
        }
    }
    let mut out = Vec::new();
    walk("", context, &mut out);
    out
}

fn nearest<'a>(given: &str, known: &'a [String]) -> Option<&'a str> {
    known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(given, name), name.as_str()))
        .filter(|(distance, name)| *distance <= 3.max(name.len() / 4))
        .min()
        .map(|(_, name)| name)
}

fn first_few(known: &[String]) -> String {
    let shown: Vec<String> = known.iter().take(12).map(|name| format!("{{{{{name}}}}}")).collect();
    match known.len() {
        0 => "nothing".to_owned(),
        n if n > 12 => format!("{}, and {} more", shown.join(", "), n - 12),
        _ => shown.join(", "),
    }
}

fn argument<'a>(helper: &'a Helper<'_>) -> Result<&'a Value, RenderErrorReason> {
    let parameter = helper
        .param(0)
        .ok_or_else(|| RenderErrorReason::ParamNotFoundForIndex("helper", 0))?;
    if parameter.is_value_missing() {
        return Err(RenderErrorReason::MissingVariable(parameter.relative_path().cloned()));
    }
    Ok(parameter.value())
}

fn json(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    let value = argument(helper)?;
    out.write(&serde_json::to_string(value).map_err(RenderErrorReason::from)?)?;
    Ok(())
}

fn url(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    let text = match argument(helper)? {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut encoded = String::with_capacity(text.len());
    Rendered::new(text).walk(|piece| match piece {
        super::Piece::Text(text) => encoded.push_str(&percent_encode(text)),
        super::Piece::Mark(Mark::Secret(name)) => encoded.push_str(&Mark::UrlSecret(name).text()),
        super::Piece::Mark(mark) => encoded.push_str(&mark.text()),
    });
    out.write(&encoded)?;
    Ok(())
}

/// `shop-db` to `SHOP_DB`: a name as an environment variable.
pub fn upper_snake(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn text_without_templates_changes_nothing() {
        assert_eq!(
            render("a <b> & 'c' ${X}\n", &json!({})).unwrap().marked(),
            "a <b> & 'c' ${X}\n"
        );
    }

    #[test]
    fn names_are_filled_in_without_escaping() {
        let context = json!({"vars": {"customer": "<acme> & \"sons\""}});
        assert_eq!(
            render("x={{vars.customer}}", &context).unwrap().marked(),
            "x=<acme> & \"sons\""
        );
        assert_eq!(
            render("{{json vars.customer}}", &context).unwrap().marked(),
            r#""<acme> & \"sons\"""#
        );
        assert_eq!(
            render("{{url vars.customer}}", &context).unwrap().marked(),
            "%3Cacme%3E%20%26%20%22sons%22"
        );
    }

    #[test]
    fn an_unknown_name_is_an_error_with_its_place_and_the_nearest_name() {
        let error = render("a\n  {{vars.custommer}}", &json!({"vars": {"customer": "x"}})).unwrap_err();
        assert_eq!(error.what, "there is no `{{vars.custommer}}`");
        assert_eq!(error.place.map(|(line, _)| line), Some(2));
        assert_eq!(error.help.as_deref(), Some("did you mean `{{vars.customer}}`?"));
    }

    #[test]
    fn a_syntax_error_has_its_place() {
        let error = render("ok\n{{#if x}}", &json!({})).unwrap_err();
        assert!(error.place.is_some(), "{error:?}");
    }

    #[test]
    fn an_encoded_secret_stays_a_mark() {
        let context = json!({"s": Mark::Secret("P".into()).text()});
        assert_eq!(
            render("{{url s}}", &context).unwrap().marked(),
            Mark::UrlSecret("P".into()).text()
        );
    }
}
