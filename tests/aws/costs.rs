use provision::provider::aws::Aws;
use serde_json::json;

use crate::parts::{Double, shape, spec, spec_of};

#[tokio::test]
async fn a_month_is_told_item_by_item_or_not_at_all() {
    let Some(double) = Double::start() else { return };
    let costs = double.aws.costs(&spec()).await.unwrap();
    let lines: Vec<String> = costs.iter().map(|(item, money)| format!("{item}: {money}")).collect();
    assert_eq!(
        lines,
        [
            "t3.small on demand: 17.52 USD",
            "10 GiB root disk: 0.95 USD",
            "20 GiB data volume: 1.90 USD",
            "public IPv4 address: 3.65 USD",
        ]
    );
    assert_eq!(double.calls().await, ["GetProducts", "GetProducts", "GetProducts"]);

    let of = async |change: fn(&mut provision::provider::AwsShape)| {
        let mut shape = shape();
        change(&mut shape);
        double.aws.costs(&spec_of(shape)).await
    };
    assert_eq!(of(|shape| shape.spot = true).await, None);
    assert_eq!(of(|shape| shape.size = "x9.unknown".into()).await, None);
    for fault in ["refuse:AccessDeniedException:no", "reset", "error-500"] {
        double
            .faults(json!([{"service": "pricing", "nth": "every", "do": fault}]))
            .await;
        assert_eq!(double.aws.costs(&spec()).await, None, "{fault}");
    }
    // No answer at all: it is not waited for.
    double
        .faults(json!([{"service": "pricing", "nth": "every", "do": "hold-before"}]))
        .await;
    let start = std::time::Instant::now();
    assert_eq!(double.aws.costs(&spec()).await, None);
    assert!(start.elapsed().as_secs() < 5);

    // A region that the list does not know.
    let config = double
        .config
        .to_builder()
        .region(aws_config::Region::new("eu-north-1"))
        .build();
    double.reset().await;
    assert_eq!(Aws::with_config(&config, None).unwrap().costs(&spec()).await, None);
}
