//! What a Droplet costs a month, as the list of sizes says. No price stands in this program, and for volumes, backups and
//! addresses the API tells none.

use std::time::Duration;

use super::DigitalOcean;
use super::error::CallError;
use super::wire::Size;
use crate::provider::{Costs, InstanceSpec, Money, Shape};

/// Prices are only worth a moment.
const WITHIN: Duration = Duration::from_secs(3);

/// See [`crate::provider::Provider::costs`].
pub(super) async fn costs(cloud: &DigitalOcean, spec: &InstanceSpec) -> Option<Costs> {
    let Shape::DigitalOcean(shape) = &spec.shape else {
        return None;
    };
    let listed = async {
        let sizes: Result<Vec<Size>, CallError> = cloud.client.list(&["sizes"], &[]).await;
        sizes.ok()
    };
    let sizes = tokio::time::timeout(WITHIN, listed).await.ok()??;
    let size = sizes.into_iter().find(|size| size.slug == shape.size)?;
    let beside: Vec<&str> = [
        ("the data volume", spec.volume_gib.is_some()),
        ("backups", shape.backups),
    ]
    .into_iter()
    .filter_map(|(what, wanted)| wanted.then_some(what))
    .collect();
    let name = match beside.is_empty() {
        true => size.slug.clone(),
        false => format!(
            "{} without {}, of which the API tells no price,",
            size.slug,
            beside.join(" and ")
        ),
    };
    Some(vec![(name, money(size.price_monthly?)?)])
}

/// A price of the API, which is a number of dollars that floats: to a thousandth of a cent.
pub(super) fn money(dollars: f64) -> Option<Money> {
    let text = format!("{dollars:.5}");
    let digits: String = text.chars().filter(|letter| *letter != '.').collect();
    digits.parse().ok().map(Money)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_that_floats_is_counted_exactly() {
        assert_eq!(money(12.0), Some(Money(1_200_000)));
        assert_eq!(money(0.007_439_999_841_153_62), Some(Money(744)));
        assert_eq!(money(f64::NAN), None);
        assert_eq!(money(-1.0), None);
        assert_eq!(money(12.0).unwrap().to_string(), "12.00 USD");
    }
}
