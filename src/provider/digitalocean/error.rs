//! What the API answers when it does not do what it was asked for, as an error that says what to do. The status and the
//! vendor's `id` decide; its texts only where it has no other word for something.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use super::client::start;
use crate::provider::ProviderError;

/// Why a call did not give what it was made for.
#[derive(Debug, Error)]
pub(super) enum CallError {
    /// It was refused, or the service has trouble.
    #[error(transparent)]
    Refused(Refusal),
    /// Too many calls. Nothing was done.
    #[error("{refusal}")]
    Throttled {
        /// How long the vendor wants us to wait.
        wait: Duration,
        refusal: Refusal,
    },
    /// There is no connection. Nothing was done.
    #[error("{0}")]
    Unsent(String),
    /// There was no answer: what became of the call is not known.
    #[error("{0}")]
    Unanswered(String),
    /// The answer is not what the API gives: what became of the call is not known.
    #[error("the answer is not understood: {0}")]
    Garbled(String),
}

/// What the API says.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("{id}: {message}{}", Request(.request))]
pub(super) struct Refusal {
    pub status: u16,
    pub id: String,
    pub message: String,
    pub request: Option<String>,
}

struct Request<'a>(&'a Option<String>);

impl fmt::Display for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(id) => write!(f, " (request {id})"),
            None => Ok(()),
        }
    }
}

/// The body of an error, in both of its forms (tags have one of their own).
#[derive(Deserialize)]
struct Body {
    id: Option<String>,
    message: Option<String>,
    request_id: Option<String>,
    error: Option<String>,
    #[serde(default)]
    messages: Option<Value>,
}

impl Refusal {
    /// From an answer, whatever its body is: what stands in front of the API may answer itself.
    pub(super) fn read(status: u16, text: &str, request: Option<String>) -> Self {
        let Ok(body) = serde_json::from_str::<Body>(text) else {
            return Self {
                status,
                id: format!("HTTP {status}"),
                message: match text.trim() {
                    "" => "no reason was given".to_owned(),
                    _ => start(text),
                },
                request,
            };
        };
        let messages = body.messages.as_ref().and_then(Value::as_array);
        let messages = messages.map(|list| list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("; "));
        Self {
            status,
            id: body.id.unwrap_or_else(|| format!("HTTP {status}")),
            message: body
                .message
                .or(messages.filter(|text| !text.is_empty()))
                .or(body.error)
                .unwrap_or_else(|| "no reason was given".to_owned()),
            request: body.request_id.or(request),
        }
    }

    fn says(&self, words: &str) -> bool {
        self.message.to_ascii_lowercase().contains(words)
    }
}

impl CallError {
    /// An error on the way.
    pub(super) fn line(error: reqwest::Error) -> Self {
        let said = chain(&error);
        match error.is_connect() {
            true => Self::Unsent(said),
            false => Self::Unanswered(said),
        }
    }

    pub(super) fn garbled(what: &str) -> Self {
        Self::Garbled(what.to_owned())
    }

    fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) | Self::Throttled { refusal, .. } => Some(refusal),
            Self::Unsent(_) | Self::Unanswered(_) | Self::Garbled(_) => None,
        }
    }

    /// Whether the thing is not there: never was, is gone, or is too young to be seen everywhere.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.status == 404)
    }

    /// Whether it is not known what became of the call.
    pub(super) fn is_unclear(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.status >= 500,
            Self::Unanswered(_) | Self::Garbled(_) => true,
            Self::Throttled { .. } | Self::Unsent(_) => false,
        }
    }

    /// Whether something else is being done to the thing, which has to end first.
    pub(super) fn is_busy(&self) -> bool {
        let busy = |refusal: &Refusal| {
            refusal.status == 422
                && (refusal.says("pending event") || refusal.says("is currently") || refusal.says("locked"))
        };
        self.refusal()
            .is_some_and(|refusal| matches!(self, Self::Refused(_)) && busy(refusal))
    }

    /// Whether what was asked for is refused as it is, and says these words.
    pub(super) fn is_refused_as(&self, words: &str) -> bool {
        let fits = |refusal: &Refusal| matches!(refusal.status, 400 | 409 | 422) && refusal.says(words);
        self.refusal().is_some_and(fits)
    }

    /// The HTTP status of a refusal.
    pub(super) fn status(&self) -> Option<u16> {
        self.refusal().map(|refusal| refusal.status)
    }
}

/// An error of a call as ours. `what` begins with "failed to …"; `scope` is what the token must be allowed, such as
/// `droplet:create`.
pub(super) fn failed(what: impl Into<String>, scope: &str, error: CallError) -> ProviderError {
    let what = ProviderError::new(what);
    match remedy(&error, scope) {
        Some(remedy) => what.with_remedy(remedy),
        None => what,
    }
    .because(error)
}

/// A closure for `map_err`.
pub(super) fn of<'a>(what: impl Into<String> + 'a, scope: &'a str) -> impl FnOnce(CallError) -> ProviderError + 'a {
    move |error| failed(what, scope, error)
}

/// The same for errors that may come more than once.
pub(super) fn of_ref(what: impl Into<String>, scope: &str) -> impl Fn(CallError) -> ProviderError {
    let what = what.into();
    move |error| failed(what.clone(), scope, error)
}

fn remedy(error: &CallError, scope: &str) -> Option<String> {
    let refusal = match error {
        CallError::Throttled { wait, .. } if wait.as_secs() > 60 => {
            return Some(format!(
                "the token's calls of this hour are used up (5000): run it again in {} minutes; it goes on where it ended",
                wait.as_secs().div_ceil(60)
            ));
        }
        CallError::Throttled { .. } => {
            return Some("DigitalOcean slows this token down, also after several attempts: run it again in some minutes; it goes on where it ended".to_owned());
        }
        CallError::Unsent(_) | CallError::Unanswered(_) => {
            return Some(
                "look at the network and at DIGITALOCEAN_API_URL, then run it again; it goes on where it ended"
                    .to_owned(),
            );
        }
        CallError::Garbled(_) => {
            return Some("something that is not DigitalOcean may have answered: look at the network's proxy and at DIGITALOCEAN_API_URL; then run it again".to_owned());
        }
        CallError::Refused(refusal) => refusal,
    };
    let fixed = match refusal.status {
        401 => {
            "the token is not valid (any more): make one at https://cloud.digitalocean.com/account/api/tokens and set DIGITALOCEAN_TOKEN, or `doctl auth init`"
        }
        403 if scope.is_empty() => {
            "this token may not do that: give it more scopes at https://cloud.digitalocean.com/account/api/tokens"
        }
        403 => {
            return Some(format!(
                "this token lacks the scope {scope}: add it at https://cloud.digitalocean.com/account/api/tokens; docs/digitalocean.md lists all that are needed"
            ));
        }
        402 => "the account is not in order: look at its billing page in the console",
        status if status >= 500 => {
            "DigitalOcean has trouble itself, also after several attempts (https://status.digitalocean.com): run it again later; it goes on where it ended"
        }
        _ if refusal.says("droplet limit") => {
            "raise the limit in the console (Settings, Team), or destroy what is not needed (`provision gc --provider digitalocean` lists what is ours)"
        }
        _ if refusal.says("limit") => {
            "raise the limit by a support ticket, or remove what is not needed (`provision gc --provider digitalocean` lists what is ours)"
        }
        _ if refusal.says("not available in this region") || refusal.says("region is not available") => {
            "write another `size` or `region`: `doctl compute size list` and `doctl compute region list` tell what there is"
        }
        _ if refusal.says("pending event") => {
            "it is being changed by somebody else: wait until that is done, then run it again"
        }
        _ if refusal.says("invalid key identifiers") => {
            "the SSH key was removed meanwhile: apply again, it is made anew"
        }
        _ => return None,
    };
    Some(fixed.to_owned())
}

/// An error with all its causes in one line, without the address: tokens never stand in it, and the call is named already.
fn chain(error: &reqwest::Error) -> String {
    let mut said: Vec<String> = Vec::new();
    if error.is_timeout() {
        said.push("no answer in time".to_owned());
    }
    let mut cause = error.source();
    while let Some(why) = cause {
        let text = why.to_string();
        // Many a wrapper repeats what it wraps.
        if !said.iter().any(|before| before.contains(&text)) {
            said.push(text);
        }
        cause = why.source();
    }
    match said.is_empty() {
        true => "the connection broke".to_owned(),
        false => said.join(": "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_an_error_is_read() {
        let told = |status, text: &str| Refusal::read(status, text, Some("r-9".to_owned())).to_string();
        let usual =
            r#"{"id":"unprocessable_entity","message":"Size is not available in this region.","request_id":"r-1"}"#;
        assert_eq!(
            told(422, usual),
            "unprocessable_entity: Size is not available in this region. (request r-1)"
        );
        assert_eq!(
            told(404, r#"{"id":"not_found","message":"x"}"#),
            "not_found: x (request r-9)"
        );
        let tags = r#"{"error":"validation error","messages":["tag is too long","no"],"root_causes":[]}"#;
        assert_eq!(told(400, tags), "HTTP 400: tag is too long; no (request r-9)");
        assert_eq!(
            told(502, "<html>\n<h1>Bad Gateway"),
            "HTTP 502: <html> <h1>Bad Gateway (request r-9)"
        );
        assert_eq!(told(500, ""), "HTTP 500: no reason was given (request r-9)");
    }

    #[test]
    fn what_may_have_happened_is_told_apart() {
        let refused = |status, message: &str| {
            let body = format!(r#"{{"id":"x","message":"{message}"}}"#);
            CallError::Refused(Refusal::read(status, &body, None))
        };
        assert!(refused(500, "").is_unclear() && !refused(422, "").is_unclear());
        assert!(CallError::garbled("x").is_unclear() && !CallError::Unsent(String::new()).is_unclear());
        assert!(refused(422, "Droplet already has a pending event.").is_busy());
        assert!(!refused(422, "Size is not available in this region.").is_busy());
        assert!(refused(404, "").is_gone());
        let remedy = |error| {
            failed("failed to x", "droplet:create", error)
                .remedy
                .unwrap_or_default()
        };
        assert!(remedy(refused(403, "")).contains("the scope droplet:create"));
        assert!(
            remedy(refused(
                422,
                "creating this/these droplet(s) will exceed your droplet limit"
            ))
            .contains("gc --provider digitalocean")
        );
        assert!(remedy(refused(401, "")).contains("DIGITALOCEAN_TOKEN"));
    }
}
