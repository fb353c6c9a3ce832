//! What a plan costs a month, where prices can be had.

use std::time::Duration;

use crate::names::Address;
use crate::plan::{Action, Change, Plan};
use crate::provider::{Costs, InstanceSpec, Money, Provider};

/// How long prices are waited for: a plan without them is better than none.
const PATIENCE: Duration = Duration::from_secs(3);

/// Adds a line to the notes of a plan that makes, replaces or resizes the machine or its data volume. Says nothing when there
/// are no prices.
pub async fn tell_of(plan: &mut Plan, provider: &Provider) {
    let Some(spec) = priced(plan) else { return };
    if let Ok(Some(costs)) = tokio::time::timeout(PATIENCE, provider.costs(spec)).await
        && let Some(line) = line(&costs)
    {
        plan.notes.push(line);
    }
}

/// The machine whose price changes with this plan.
fn priced(plan: &Plan) -> Option<&InstanceSpec> {
    plan.steps.iter().find_map(|step| match (&step.action, &step.change) {
        (Action::CreateInstance { spec, .. } | Action::ReplaceInstance { spec, .. }, _) => Some(spec),
        (Action::ResizeInstance { spec }, Change::Update { differences })
            if differences
                .iter()
                .any(|d| ["size", "disk_gib"].contains(&d.subject.as_str())) =>
        {
            Some(spec)
        }
        (Action::EnsurePart { spec }, Change::Create { .. }) if costly(&step.address) => Some(spec),
        (Action::EnsurePart { spec }, Change::Update { differences })
            if costly(&step.address) && differences.iter().any(|d| d.subject == "size_gib") =>
        {
            Some(spec)
        }
        _ => None,
    })
}

fn costly(address: &Address) -> bool {
    matches!(address, Address::MachineVolume | Address::MachineAddress)
}

fn line(costs: &Costs) -> Option<String> {
    if costs.is_empty() {
        return None;
    }
    let sum = costs.iter().fold(0_u64, |sum, (_, money)| sum.saturating_add(money.0));
    let plain = |money: &Money| money.to_string().replace(" USD", "");
    let items: Vec<String> = costs
        .iter()
        .map(|(what, money)| format!("{what} {}", plain(money)))
        .collect();
    Some(format!("about {} a month: {}", Money(sum), items.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Lab, Run};

    #[test]
    fn a_line_names_sum_and_items() {
        let costs = vec![
            ("t3.small".to_owned(), Money(1_898_000)),
            ("root disk 20 GiB".to_owned(), Money(190_400)),
            ("public IPv4".to_owned(), Money(365_000)),
        ];
        assert_eq!(
            line(&costs).unwrap(),
            "about 24.53 USD a month: t3.small 18.98, root disk 20 GiB 1.90, public IPv4 3.65"
        );
        assert_eq!(line(&Costs::new()), None);
    }

    #[test]
    fn only_what_changes_the_bill_is_priced() {
        let lab = Lab::aws();
        assert!(priced(&Run::new().plan(&lab)).is_some());
        let run = Run::settled(&lab);
        assert!(priced(&run.plan(&lab)).is_none());
        for (old, new) in [
            ("t3.small", "t3.large"),
            ("volume_gib = 5", "volume_gib = 8"),
            ("debian-13", "debian-12"),
        ] {
            let lab = Lab::aws();
            lab.change(old, new);
            assert!(priced(&run.plan(&lab)).is_some(), "{new}");
        }
        let lab = Lab::aws();
        lab.change("[routes]", "[routes]\n\"/api/*\" = \"web:8000\"");
        assert!(priced(&run.plan(&lab)).is_none());
    }
}
