//! What goes over the wire, overheard: the library that signs and sends keeps codes and causes of errors to itself, and the service's
//! clock.

use std::error::Error;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};

/// How far the service's clock is ahead of ours, in milliseconds.
#[derive(Debug, Clone, Default)]
pub struct Clock(Arc<AtomicI64>);

impl Clock {
    /// 0 before anything was heard.
    pub fn ahead(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// `Date` has whole seconds, cut off: the middle of the second is the best guess.
    fn hear(&self, date: &str) {
        if let Ok(there) = rfc2822::DateTimeParser::new().parse_timestamp(date) {
            let ahead = there.as_millisecond() + 500 - Timestamp::now().as_millisecond();
            // Less than what the guess is worth is no difference.
            let ahead = if ahead.abs() <= 1_500 { 0 } else { ahead };
            self.0.store(ahead, Ordering::Relaxed);
        }
    }
}

/// How the last request ended.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    /// The HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// The service's code, such as `NoSuchBucket`.
    pub code: Option<String>,
    /// The service's words.
    pub message: Option<String>,
    /// The region that the service names in place of the one that was used.
    pub region: Option<String>,
    /// Why there was no answer, with all causes.
    pub silence: Option<String>,
}

/// The last request of a connection; there is one at a time.
#[derive(Debug, Clone, Default)]
pub struct Wire {
    heard: Arc<Mutex<Heard>>,
    clock: Clock,
}

impl Wire {
    pub fn new(clock: Clock) -> Self {
        Self {
            heard: Arc::default(),
            clock,
        }
    }

    /// How the request that was just made ended; forgotten with this call.
    pub fn heard(&self) -> Heard {
        std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn hear(&self, heard: Heard) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = heard;
    }
}

impl HttpConnector for Wire {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Tapped {
            client: ReqwestConnector::default().connect(options)?,
            wire: self.clone(),
        }))
    }
}

#[derive(Debug)]
struct Tapped {
    client: HttpClient,
    wire: Wire,
}

#[async_trait]
impl HttpService for Tapped {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.wire.hear(Heard::default());
        let silent = |why: &HttpError| {
            self.wire.hear(Heard {
                silence: why.source().map(causes),
                ..Heard::default()
            });
        };
        let response = self.client.execute(request).await.inspect_err(silent)?;
        let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        if let Some(date) = header("date") {
            self.wire.clock.hear(&date);
        }
        let status = response.status();
        let region = header("x-amz-bucket-region");
        if status.is_success() {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let body = body.bytes().await.inspect_err(silent)?;
        let text = String::from_utf8_lossy(&body);
        self.wire.hear(Heard {
            status: Some(status.as_u16()),
            code: element(&text, "Code"),
            message: element(&text, "Message"),
            region: region.or_else(|| element(&text, "Region")),
            ..Heard::default()
        });
        Ok(HttpResponse::from_parts(parts, body.into()))
    }
}

/// The text of an element of an error document, which is flat.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let text = text.trim();
    (!text.is_empty()).then(|| {
        ["&lt;<", "&gt;>", "&quot;\"", "&apos;'", "&amp;&"]
            .iter()
            .filter_map(|pair| pair.split_once(';'))
            .fold(text.to_owned(), |text, (entity, character)| {
                text.replace(&format!("{entity};"), character)
            })
    })
}

/// An error with all its causes in one line, without those that repeat.
pub fn causes(error: &(dyn Error + 'static)) -> String {
    let mut said = String::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        if !said.contains(&text) {
            if !said.is_empty() {
                said.push_str(": ");
            }
            said.push_str(&text);
        }
        next = cause.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_clock_is_heard() {
        let clock = Clock::default();
        clock.hear("no date");
        assert_eq!(clock.ahead(), 0);
        let there = Timestamp::now() + jiff::SignedDuration::from_hours(1);
        clock.hear(&there.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
        let ahead = clock.ahead();
        assert!((3_598_000..=3_602_000).contains(&ahead), "{ahead}");
        clock.hear(&Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
        assert_eq!(clock.ahead(), 0);
    }

    #[test]
    fn an_error_document_is_read() {
        let xml = "<?xml version=\"1.0\"?>\n<Error>\n <Code>NoSuchBucket</Code><Message>a &lt;b&gt; &amp;amp; </Message></Error>";
        assert_eq!(element(xml, "Code").as_deref(), Some("NoSuchBucket"));
        assert_eq!(element(xml, "Message").as_deref(), Some("a <b> &amp;"));
        assert_eq!(element(xml, "Region"), None);
    }
}
