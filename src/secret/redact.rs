//! Takes the values of known secrets out of text that comes from elsewhere: output of jobs, logs of services, answers of the
//! host. Programs print their passwords when they fail, plainly or as part of a URL.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::{REDACTED, Secret};

/// The shortest text that is taken out. Shorter ones (`dev`, `1234`) stand in too many other words.
const SHORTEST: usize = 5;

/// What is taken out.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Every form of every secret, the longest first: a part of one must not hide the rest of it.
    forms: Vec<Zeroizing<String>>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} forms)", self.forms.len())
    }
}

impl Redactor {
    /// For these secrets.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut forms: Vec<Zeroizing<String>> = Vec::new();
        for secret in secrets {
            // A secret of several lines is printed line by line; the values before a rotation stand with commas between.
            let text = secret.expose();
            let parts = text.lines().chain(text.split(',')).map(str::trim);
            for part in std::iter::once(text).chain(parts).filter(|part| part.len() >= SHORTEST) {
                forms.extend(forms_of(part).map(Zeroizing::new));
            }
        }
        forms.retain(|form| form.len() >= SHORTEST);
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        Self { forms }
    }

    /// The text with `(secret)` in place of every secret.
    pub fn clean(&self, text: &str) -> String {
        let mut clean = text.to_owned();
        for form in &self.forms {
            if clean.contains(form.as_str()) {
                clean = clean.replace(form.as_str(), REDACTED);
            }
        }
        clean
    }
}

/// How a text may stand in another: plainly, percent-encoded, inside JSON, in hexadecimal digits, and in base64, where it
/// looks otherwise after 0, 1 and 2 bytes of something else.
fn forms_of(text: &str) -> impl Iterator<Item = String> {
    let json = serde_json::to_string(text).unwrap_or_default();
    let json = json.get(1..json.len().saturating_sub(1)).unwrap_or_default().to_owned();
    let percent = |upper: bool| {
        text.bytes().fold(String::new(), |mut out, byte| {
            let _ = match (byte.is_ascii_alphanumeric() || b"-._~".contains(&byte), upper) {
                (true, _) => write!(out, "{}", char::from(byte)),
                (false, true) => write!(out, "%{byte:02X}"),
                (false, false) => write!(out, "%{byte:02x}"),
            };
            out
        })
    };
    let hex = text.bytes().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    });
    let mut forms = vec![
        text.to_owned(),
        json,
        percent(true),
        percent(false),
        hex.to_uppercase(),
        hex,
    ];
    for before in 0..3_usize {
        let bytes = Zeroizing::new([vec![0; before], text.as_bytes().to_vec()].concat());
        for code in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let encoded = code.encode(&*bytes);
            // Characters that hold bits of what stands before or behind are left out.
            let begin = (before * 8).div_ceil(6);
            let end = bytes.len() * 8 / 6;
            forms.extend(encoded.get(begin..end).map(str::to_owned));
        }
    }
    forms.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;

    fn redactor(secrets: &[&str]) -> Redactor {
        let secrets: Vec<Secret> = secrets.iter().map(|text| Secret::new(*text)).collect();
        Redactor::new(&secrets)
    }

    #[test]
    fn text_without_secrets_changes_nothing() {
        assert_eq!(redactor(&["hunter2-hunter2"]).clean("all is well"), "all is well");
        assert_eq!(Redactor::default().clean("hunter2"), "hunter2");
    }

    #[test]
    fn every_form_is_taken_out() {
        let secret = "p@ss/wörd \"7\"";
        let redactor = redactor(&[secret]);
        let url = crate::render::percent_encode(secret);
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        for (form, shown) in [
            (secret.to_owned(), "(secret)"),
            (url.clone(), "(secret)"),
            (url.to_lowercase(), "(secret)"),
            (serde_json::to_string(secret).unwrap(), "\"(secret)\""),
            (hex.clone(), "(secret)"),
            (hex.to_uppercase(), "(secret)"),
        ] {
            assert_eq!(redactor.clean(&format!("a {form} b")), format!("a {shown} b"), "{form}");
        }
        for before in ["", "x", "xy", "user:"] {
            let encoded = STANDARD.encode(format!("{before}{secret}, and more"));
            let clean = redactor.clean(&encoded);
            assert!(clean.contains(REDACTED), "{encoded} -> {clean}");
            let left = clean.split(REDACTED).map(str::len).sum::<usize>();
            let whole = STANDARD.encode(format!("{before}, and more")).len();
            assert!(left <= whole + 8, "{encoded} -> {clean}");
        }
    }

    #[test]
    fn lines_and_former_values_are_known_by_themselves() {
        let redactor = redactor(&["first line\nsecond line", "old-value-1,old-value-2"]);
        assert_eq!(
            redactor.clean("1: first line\n2: second line; old-value-2"),
            "1: (secret)\n2: (secret); (secret)"
        );
    }

    #[test]
    fn a_secret_within_another_hides_nothing_of_it() {
        assert_eq!(
            redactor(&["secret-a", "secret-a-and-b"]).clean("x secret-a-and-b y"),
            "x (secret) y"
        );
    }

    #[test]
    fn short_words_stay_readable() {
        assert_eq!(redactor(&["dev"]).clean("device"), "device");
    }

    #[test]
    fn it_does_not_print_what_it_knows() {
        assert!(!format!("{:?}", redactor(&["hunter2-hunter2"])).contains("hunter"));
    }
}
