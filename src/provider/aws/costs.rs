//! What a machine costs a month, by the public price list.
//!
//! Never a guess: an item without exactly one price leaves no total. Silent, and quick, when the prices cannot be had: many
//! have no permission for them, and nobody waits for a number that is only good to know.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_config::Region;
use aws_config::retry::RetryConfig;
use aws_sdk_pricing::Client;
use aws_sdk_pricing::types::{Filter, FilterType};
use futures_util::future::try_join3;
use serde::Deserialize;

use super::Aws;
use crate::provider::{Costs, InstanceSpec, Money, Shape};

/// Prices are only worth a moment.
pub(super) const WITHIN: Duration = Duration::from_secs(3);
/// A month, as the vendor's own calculator counts it.
const HOURS: u128 = 730;
/// The price list is served from here, for all regions.
const SERVED_FROM: &str = "us-east-1";
/// Digits behind the point that are counted of a price in US dollars; the list has ten.
const DIGITS: usize = 10;

/// The price list of one region.
pub(super) struct Prices {
    client: Client,
    region: String,
}

/// A price of one unit, in 10^-10 US dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Price(u128);

/// Why there is no price is nobody's question: it is not shown then.
pub(super) struct NoPrice;

/// See [`crate::provider::Provider::costs`].
pub(super) async fn costs(aws: &Aws, spec: &InstanceSpec) -> Option<Costs> {
    let Shape::Aws(shape) = &spec.shape else {
        return None;
    };
    // What spot capacity costs is found out every few minutes anew.
    if shape.spot {
        return None;
    }
    let prices = Prices::of(aws);
    let asked = try_join3(prices.instance(&shape.size), prices.disk(), prices.address());
    let (instance, disk, address) = tokio::time::timeout(WITHIN, asked).await.ok()?.ok()?;
    let mut costs = vec![(format!("{} on demand", shape.size), instance.hours()?)];
    if let Some(gib) = spec.disk_gib {
        costs.push((format!("{gib} GiB root disk"), disk.times(u128::from(gib))?));
    }
    if let Some(gib) = spec.volume_gib {
        costs.push((format!("{gib} GiB data volume"), disk.times(u128::from(gib))?));
    }
    costs.push(("public IPv4 address".to_owned(), address.hours()?));
    Some(costs)
}

impl Prices {
    pub(super) fn of(aws: &Aws) -> Self {
        let config = aws_sdk_pricing::config::Builder::from(aws.config.as_ref())
            .region(Region::new(SERVED_FROM))
            .retry_config(RetryConfig::standard().with_max_attempts(2))
            .build();
        Self {
            client: Client::from_conf(config),
            region: aws.region.clone(),
        }
    }

    /// An hour of an ordinary Linux instance.
    pub(super) async fn instance(&self, size: &str) -> Result<Price, NoPrice> {
        let filters = [
            ("instanceType", size),
            ("operatingSystem", "Linux"),
            ("tenancy", "Shared"),
            ("preInstalledSw", "NA"),
            ("licenseModel", "No License required"),
            ("capacitystatus", "Used"),
        ];
        self.price("AmazonEC2", &filters, "Hrs", |_| true).await
    }

    /// A GiB of gp3 for a month.
    pub(super) async fn disk(&self) -> Result<Price, NoPrice> {
        let filters = [("productFamily", "Storage"), ("volumeApiName", "gp3")];
        self.price("AmazonEC2", &filters, "GB-Mo", |_| true).await
    }

    /// An hour of a public IPv4 address that is in use.
    pub(super) async fn address(&self) -> Result<Price, NoPrice> {
        let filters = [("group", "VPCPublicIPv4Address")];
        let in_use = |usage: &str| usage.ends_with("PublicIPv4:InUseAddress");
        self.price("AmazonVPC", &filters, "Hrs", in_use).await
    }

    async fn price(
        &self,
        service: &str,
        filters: &[(&str, &str)],
        unit: &str,
        usage: impl Fn(&str) -> bool,
    ) -> Result<Price, NoPrice> {
        let filter = |(field, value): &(&str, &str)| {
            Filter::builder()
                .r#type(FilterType::TermMatch)
                .field(*field)
                .value(*value)
                .build()
        };
        let filters: Result<Vec<Filter>, _> = filters
            .iter()
            .chain(&[("regionCode", self.region.as_str())])
            .map(filter)
            .collect();
        let request = self
            .client
            .get_products()
            .service_code(service)
            .format_version("aws_v1")
            .set_filters(Some(filters.map_err(|_| NoPrice)?));
        let answer = request.send().await.map_err(|_| NoPrice)?;
        let mut prices = BTreeSet::new();
        for text in answer.price_list() {
            let product: Product = serde_json::from_str(text).map_err(|_| NoPrice)?;
            if usage(&product.product.attributes.usagetype) {
                prices.extend(product.prices(unit));
            }
        }
        // Reservations and the like stand in the list with a price of zero.
        prices.remove(&Price(0));
        let mut prices = prices.into_iter();
        match (prices.next(), prices.next(), &answer.next_token) {
            (Some(price), None, None) => Ok(price),
            _ => Err(NoPrice),
        }
    }
}

impl Price {
    fn read(text: &str) -> Option<Self> {
        let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
        let digits: String = rest.chars().chain(std::iter::repeat('0')).take(DIGITS).collect();
        format!("{whole}{digits}").parse().ok().map(Self)
    }

    /// A month of what is paid by the hour.
    pub(super) fn hours(self) -> Option<Money> {
        self.times(HOURS)
    }

    /// So many units, rounded to the next thousandth of a cent.
    pub(super) fn times(self, units: u128) -> Option<Money> {
        // 10^-10 dollars to 10^-5.
        let amount = self.0.checked_mul(units)?.checked_add(50_000)? / 100_000;
        u64::try_from(amount).ok().map(Money)
    }
}

/// One entry of the price list, as far as it is of interest.
#[derive(Debug, Deserialize)]
struct Product {
    product: Described,
    #[serde(default)]
    terms: Terms,
}

#[derive(Debug, Deserialize)]
struct Described {
    attributes: Attributes,
}

#[derive(Debug, Deserialize)]
struct Attributes {
    #[serde(default)]
    usagetype: String,
}

#[derive(Debug, Default, Deserialize)]
struct Terms {
    #[serde(default, rename = "OnDemand")]
    on_demand: BTreeMap<String, Term>,
}

#[derive(Debug, Deserialize)]
struct Term {
    #[serde(rename = "priceDimensions")]
    dimensions: BTreeMap<String, Dimension>,
}

#[derive(Debug, Deserialize)]
struct Dimension {
    unit: String,
    #[serde(rename = "pricePerUnit")]
    price: BTreeMap<String, String>,
}

impl Product {
    fn prices(&self, unit: &str) -> Vec<Price> {
        let dimensions = self.terms.on_demand.values().flat_map(|term| term.dimensions.values());
        dimensions
            .filter(|dimension| dimension.unit == unit)
            .filter_map(|dimension| Price::read(dimension.price.get("USD")?))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_counted_exactly() {
        let hour = Price::read("0.0208000000").unwrap();
        assert_eq!(hour.hours().unwrap().to_string(), "15.18 USD");
        let gib = Price::read("0.088").unwrap();
        assert_eq!(gib.times(50).unwrap(), Money(440_000));
        assert_eq!(Price::read("1").unwrap().times(1).unwrap().to_string(), "1.00 USD");
        assert_eq!(Price::read("free"), None);
    }

    #[test]
    fn an_entry_of_the_list_is_read() {
        let text = r#"{"product": {"attributes": {"usagetype": "EUC1-BoxUsage:t3.small", "x": "y"}, "sku": "S"},
            "terms": {"OnDemand": {"S.J": {"priceDimensions": {"S.J.6": {"unit": "Hrs", "pricePerUnit": {"USD": "0.0240000000"}}}}},
            "Reserved": {"a": {"priceDimensions": {}}}}, "version": "1"}"#;
        let product: Product = serde_json::from_str(text).unwrap();
        assert_eq!(product.prices("Hrs"), [Price(240_000_000)]);
        assert!(product.prices("GB-Mo").is_empty());
    }
}
