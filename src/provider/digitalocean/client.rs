//! The calls: one token, one host, tried again where that does no harm.
//!
//! What only reads, and what has the same effect however often it is made, is made again after a failure. What makes something
//! is not: its caller looks first whether it was made ([`super::once`]). A host that stands in an answer is never asked.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::sleep;

use super::access::{self, Access, Token};
use super::error::{CallError, Refusal};
use crate::provider::ProviderError;

/// How often the vendor may say "too fast" to one call.
const THROTTLED: u32 = 10;
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(30);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// The longest pause before another attempt.
const LONGEST: Duration = Duration::from_secs(8);
/// The longest that the vendor may make us wait. An hourly limit that is used up is told at once instead.
const PATIENCE: Duration = Duration::from_secs(90);
/// The most that a page holds (API, "Links & Pagination").
const PAGE: &str = "200";
/// A list of more pages is not one of ours.
const PAGES: u32 = 250;

/// How much a failing call is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How often a call is made before its failure counts.
    pub attempts: u32,
    /// The first pause: before another attempt, and before a look at what became of a call. Every further one is twice as long.
    pub pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            attempts: 6,
            pause: Duration::from_millis(400),
        }
    }
}

/// Something that the API gives: in an envelope of its own, or in one with others.
pub(super) trait Thing: DeserializeOwned {
    /// The name of the envelope of one.
    const ONE: &'static str;
    /// The name of the envelope of a list.
    const MANY: &'static str;
}

/// The way to the API.
#[derive(Debug, Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    patience: Patience,
}

/// One call.
struct Call {
    method: Method,
    url: Url,
    body: Option<Value>,
    /// Whether it may be made again when it is not known what became of it.
    again: bool,
}

#[derive(Deserialize, Default)]
struct Links {
    #[serde(default)]
    pages: Option<Pages>,
}

#[derive(Deserialize, Default)]
struct Pages {
    #[serde(default)]
    next: Option<String>,
}

impl Client {
    /// With what the environment has. Calls nothing.
    ///
    /// # Errors
    /// When there is no token, or the address is not one.
    pub(super) fn connect(access: &Access) -> Result<Self, ProviderError> {
        Self::new(access::endpoint()?, &access::token(access)?, Patience::default())
    }

    /// With this token at this address.
    pub(super) fn new(base: Url, token: &Token, patience: Patience) -> Result<Self, ProviderError> {
        let what = "failed to reach DigitalOcean";
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.reveal())).map_err(|_| {
            ProviderError::new(format!("{what}: the token holds letters that no token has"))
                .with_remedy("look at DIGITALOCEAN_TOKEN: it is one line, without quotes")
        })?;
        bearer.set_sensitive(true);
        let http = reqwest::Client::builder()
            .default_headers(HeaderMap::from_iter([(AUTHORIZATION, bearer)]))
            .user_agent(concat!("provision/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(ATTEMPT)
            .build()
            .map_err(|why| ProviderError::new(what).because(why))?;
        Ok(Self { http, base, patience })
    }

    /// How much a failing call is worth.
    pub(super) fn patience(&self) -> Patience {
        self.patience
    }

    /// One thing.
    pub(super) async fn get<T: Thing>(&self, path: &[&str]) -> Result<T, CallError> {
        one(self.send(self.call(Method::GET, path, &[], None)).await?)
    }

    /// One thing; None when it is not there.
    pub(super) async fn find<T: Thing>(&self, path: &[&str]) -> Result<Option<T>, CallError> {
        match self.get(path).await {
            Ok(thing) => Ok(Some(thing)),
            Err(gone) if gone.is_gone() => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// All things of a list, page by page.
    pub(super) async fn list<T: Thing>(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Vec<T>, CallError> {
        let mut found = Vec::new();
        let mut page = 1;
        loop {
            let number = page.to_string();
            let mut query = query.to_vec();
            query.push(("per_page", PAGE));
            if page > 1 {
                query.push(("page", &number));
            }
            let mut answer = self.send(self.call(Method::GET, path, &query, None)).await?;
            let links = answer.get_mut("links").map(Value::take).unwrap_or_default();
            found.extend(many::<T>(answer)?);
            // Of the address of the next page only its number counts: the token goes to no host that an answer names.
            let links: Links = serde_json::from_value(links).unwrap_or_default();
            let next = links.pages.and_then(|pages| pages.next).and_then(|next| page_of(&next));
            match next {
                Some(next) if next > page && next <= PAGES => page = next,
                _ => return Ok(found),
            }
        }
    }

    /// How many things a list has.
    pub(super) async fn count(&self, path: &[&str]) -> Result<u64, CallError> {
        let answer = self
            .send(self.call(Method::GET, path, &[("per_page", "1")], None))
            .await?;
        answer
            .pointer("/meta/total")
            .and_then(Value::as_u64)
            .ok_or_else(|| CallError::garbled("there is no meta.total in it"))
    }

    /// Makes something. Not made again when it is not known what became of it.
    pub(super) async fn make<T: Thing>(&self, path: &[&str], body: Value) -> Result<T, CallError> {
        one(self.send(self.call(Method::POST, path, &[], Some(body))).await?)
    }

    /// Makes something and gives nothing of it. Not made again when it is not known what became of it.
    pub(super) async fn post(&self, path: &[&str], body: Value) -> Result<(), CallError> {
        self.send(self.call(Method::POST, path, &[], Some(body)))
            .await
            .map(drop)
    }

    /// A POST that has the same effect however often it is made.
    pub(super) async fn put_on(&self, path: &[&str], body: Value) -> Result<(), CallError> {
        let call = self.call(Method::POST, path, &[], Some(body));
        self.send(Call { again: true, ..call }).await.map(drop)
    }

    /// The same, where the answer is a list.
    pub(super) async fn put_many<T: Thing>(&self, path: &[&str], body: Value) -> Result<Vec<T>, CallError> {
        let call = self.call(Method::POST, path, &[], Some(body));
        many(self.send(Call { again: true, ..call }).await?)
    }

    /// Replaces something.
    pub(super) async fn put<T: Thing>(&self, path: &[&str], body: Value) -> Result<T, CallError> {
        one(self.send(self.call(Method::PUT, path, &[], Some(body))).await?)
    }

    /// Changes something.
    pub(super) async fn patch<T: Thing>(&self, path: &[&str], body: Value) -> Result<T, CallError> {
        one(self.send(self.call(Method::PATCH, path, &[], Some(body))).await?)
    }

    /// Takes something away; nothing happens when it is gone.
    pub(super) async fn delete(&self, path: &[&str], body: Option<Value>) -> Result<(), CallError> {
        match self.send(self.call(Method::DELETE, path, &[], body)).await {
            Ok(_) => Ok(()),
            Err(gone) if gone.is_gone() => Ok(()),
            Err(other) => Err(other),
        }
    }

    fn call(&self, method: Method, path: &[&str], query: &[(&str, &str)], body: Option<Value>) -> Call {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v2").extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let again = method != Method::POST;
        Call {
            method,
            url,
            body,
            again,
        }
    }

    async fn send(&self, call: Call) -> Result<Value, CallError> {
        let mut pause = self.patience.pause;
        let (mut failed, mut throttled) = (0, 0);
        loop {
            let error = match self.attempt(&call).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let wait = match &error {
                // It was not done, whatever it is.
                CallError::Throttled { wait, .. } => {
                    throttled += 1;
                    if throttled > THROTTLED || *wait > PATIENCE {
                        return Err(error);
                    }
                    *wait
                }
                CallError::Unsent(_) => pause,
                unclear if unclear.is_unclear() && call.again => pause,
                _ => return Err(error),
            };
            if !matches!(error, CallError::Throttled { .. }) {
                failed += 1;
                if failed >= self.patience.attempts {
                    return Err(error);
                }
                pause = (pause * 2).min(LONGEST);
            }
            sleep(wait).await;
        }
    }

    async fn attempt(&self, call: &Call) -> Result<Value, CallError> {
        let mut request = self.http.request(call.method.clone(), call.url.clone());
        if let Some(body) = &call.body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let answer = request.send().await.map_err(CallError::line)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let text = answer.text().await.map_err(CallError::line)?;
        if status.is_success() {
            if text.trim().is_empty() {
                return Ok(Value::Null);
            }
            return serde_json::from_str(&text).map_err(|why| CallError::garbled(&format!("{why}: {}", start(&text))));
        }
        let refusal = Refusal::read(status.as_u16(), &text, header(&headers, "x-request-id"));
        Err(match status {
            StatusCode::TOO_MANY_REQUESTS => CallError::Throttled {
                wait: wait(&headers),
                refusal,
            },
            _ => CallError::Refused(refusal),
        })
    }
}

fn one<T: Thing>(mut answer: Value) -> Result<T, CallError> {
    let inner = answer.get_mut(T::ONE).map(Value::take);
    let inner = inner.ok_or_else(|| CallError::garbled(&format!("there is no `{}` in it", T::ONE)))?;
    serde_json::from_value(inner).map_err(|why| CallError::garbled(&format!("{}: {why}", T::ONE)))
}

fn many<T: Thing>(mut answer: Value) -> Result<Vec<T>, CallError> {
    let inner = answer.get_mut(T::MANY).map(Value::take);
    let inner = inner.ok_or_else(|| CallError::garbled(&format!("there is no `{}` in it", T::MANY)))?;
    if inner.is_null() {
        return Ok(Vec::new());
    }
    serde_json::from_value(inner).map_err(|why| CallError::garbled(&format!("{}: {why}", T::MANY)))
}

/// The number of the page that an address is of.
fn page_of(address: &str) -> Option<u32> {
    let url: Url = address.parse().ok()?;
    let page = url.query_pairs().find(|(name, _)| name == "page")?;
    page.1.parse().ok()
}

/// How long the vendor wants us to wait: after a burst it says so; an hour that is used up ends when the oldest call of it
/// does (API, "Rate Limit").
fn wait(headers: &HeaderMap) -> Duration {
    let number = |name: &str| header(headers, name).and_then(|text| text.trim().parse::<u64>().ok());
    let seconds = number(RETRY_AFTER.as_str()).or_else(|| {
        let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default();
        number("ratelimit-reset").map(|reset| reset.saturating_sub(now))
    });
    Duration::from_secs(seconds.unwrap_or(5).max(1))
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// The beginning of a text that is not what it should be.
pub(super) fn start(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        let base = "http://127.0.0.1:1/proxy/".parse().unwrap();
        Client::new(base, &Token::new("dop_v1_x"), Patience::default()).unwrap()
    }

    #[test]
    fn what_stands_in_a_path_is_one_part_of_it() {
        let call = client().call(Method::GET, &["tags", "a/b?c"], &[("name", "x&y")], None);
        assert_eq!(
            call.url.as_str(),
            "http://127.0.0.1:1/proxy/v2/tags/a%2Fb%3Fc?name=x%26y"
        );
        assert!(!format!("{:?}", client()).contains("dop_v1"));
    }

    #[test]
    fn only_the_number_of_the_next_page_counts() {
        assert_eq!(
            page_of("https://evil.example.com/v2/droplets?per_page=200&page=3"),
            Some(3)
        );
        assert_eq!(page_of("https://api.digitalocean.com/v2/droplets"), None);
        assert_eq!(page_of("next"), None);
    }

    #[test]
    fn the_vendor_says_how_long_to_wait() {
        let headers = |pairs: &[(&'static str, String)]| {
            let pair = |(name, value): &(&'static str, String)| {
                (
                    reqwest::header::HeaderName::from_static(name),
                    HeaderValue::try_from(value).unwrap(),
                )
            };
            pairs.iter().map(pair).collect::<HeaderMap>()
        };
        let now = jiff::Timestamp::now().as_second();
        let both = [
            ("retry-after", "7".to_owned()),
            ("ratelimit-reset", (now + 900).to_string()),
        ];
        assert_eq!(wait(&headers(&both)).as_secs(), 7);
        let hour = wait(&headers(&[("ratelimit-reset", (now + 900).to_string())])).as_secs();
        assert!((890..=900).contains(&hour), "{hour}");
        assert_eq!(
            wait(&headers(&[("ratelimit-reset", (now - 5).to_string())])).as_secs(),
            1
        );
        assert_eq!(wait(&HeaderMap::new()).as_secs(), 5);
    }
}
