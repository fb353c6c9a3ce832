//! What a plan costs a month, by the double's price list.

use std::time::{Duration, Instant};

use serde_json::json;

use super::cloud::Cloud;
use super::harness::{Ended, Run, Site, Until};
use super::scenarios::alone;

/// t3.small 0.0240 an hour, gp3 0.0952 a GiB and month, an address 0.0050 an hour; a month of 730 hours.
const NOTE: &str = "about 23.26 USD a month: t3.small on demand 17.52, 12 GiB root disk 1.14, 10 GiB data volume 0.95, \
     public IPv4 address 3.65";

fn plan(cloud: &Cloud, site: &Site) -> Run {
    let run = site.run(cloud, &["plan", "shop"], Until::Host);
    assert_eq!(run.ended, Ended::Itself(0), "{}", run.said);
    assert!(run.said.contains("machine.instance"), "{}", run.said);
    run
}

#[test]
fn a_plan_says_what_it_costs_when_that_is_known_and_never_waits_long_for_it() {
    alone(|cloud| {
        let site = Site::new(cloud);
        let usual = Instant::now();
        let run = plan(cloud, &site);
        let usual = usual.elapsed();
        assert!(run.said.contains(NOTE), "{}", run.said);

        for what in [
            "refuse:AccessDeniedException:not for you",
            "error-500",
            "hold-before",
            "lose",
        ] {
            cloud.reset();
            cloud.faults(&json!([{"service": "pricing", "nth": "every", "do": what}]));
            let begun = Instant::now();
            let run = plan(cloud, &site);
            let longer = begun.elapsed().saturating_sub(usual);
            assert!(!run.said.contains("USD"), "{what}: {}", run.said);
            assert!(!run.said.contains("ricing"), "{what}: {}", run.said);
            assert!(longer < Duration::from_millis(4500), "{what}: {longer:?}");
        }
        cloud.reset();

        // What capacity costs that is left over is another number every few minutes: none is told.
        site.edit(&[("t3.small\"", "t3.small\"\nspot     = true")]);
        let run = plan(cloud, &site);
        assert!(!run.said.contains("USD"), "{}", run.said);
        assert!(cloud.log().iter().all(|call| call["service"] != "pricing"));
    });
}

#[test]
fn a_change_is_priced_and_nothing_to_do_is_not() {
    alone(|cloud| {
        let site = Site::new(cloud);
        site.converge(cloud);
        let run = site.run(cloud, &["plan", "shop"], Until::Host);
        assert!(!run.said.contains("USD"), "{}", run.said);
        site.edit(&[("t3.small", "t3.medium")]);
        let run = plan(cloud, &site);
        assert!(
            run.said.contains("about 40.78 USD a month: t3.medium on demand 35.04"),
            "{}",
            run.said
        );
    });
}
