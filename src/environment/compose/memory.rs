//! Amounts of memory as Compose takes them, and where a service says what it may take, and how often it runs.

use super::super::yaml::Node;

/// Where a service writes its limit, with the key's path: `deploy` wins over the older key.
pub(super) fn limit(service: &Node) -> Option<(&'static str, &Node)> {
    let new = below(service, &["deploy", "resources", "limits", "memory"]);
    let new = new.map(|node| ("deploy.resources.limits.memory", node));
    new.or_else(|| Some(("mem_limit", below(service, &["mem_limit"])?)))
}

/// `deploy.replicas`, or `scale`, when it is a number.
pub(super) fn replicas(service: &Node) -> Option<u32> {
    let written = below(service, &["deploy", "replicas"]).or_else(|| below(service, &["scale"]));
    written?.text()?.parse().ok()
}

fn below<'n>(node: &'n Node, keys: &[&str]) -> Option<&'n Node> {
    keys.iter()
        .try_fold(node, |node, key| node.get(key).map(|(_, value)| value))
}

/// The bytes of `512m`, `1.5G`, `1gib`, `1073741824`; none for anything else, and for `0`, which is no limit.
///
/// The units are those of Docker's own reader: powers of 1024, a trailing `b` or `ib` changes nothing.
pub fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let power = match unit.trim() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        _ => return None,
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let factor = 1024_u64.pow(power);
    let mut bytes = whole.parse::<u64>().ok()?.checked_mul(factor)?;
    if !part.is_empty() {
        // Six digits behind the point are more than anybody writes.
        let digits = &part[..part.len().min(6)];
        bytes += digits.parse::<u64>().ok()?.checked_mul(factor)? / 10_u64.pow(digits.len().try_into().ok()?);
    }
    (bytes > 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_docker_reads_them() {
        let mib = 1024 * 1024;
        for (text, expected) in [
            ("512m", Some(512 * mib)),
            ("512MB", Some(512 * mib)),
            ("1g", Some(1024 * mib)),
            ("1.5GiB", Some(1536 * mib)),
            ("1048576", Some(mib)),
            ("64k", Some(65536)),
            ("0", None),
            ("", None),
            ("m", None),
            ("-1", None),
            ("1x", None),
            ("99999999999999t", None),
        ] {
            assert_eq!(bytes(text), expected, "{text:?}");
        }
    }
}
