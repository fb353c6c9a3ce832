//! A plan as lines that programs read.

use crate::plan::{self, Outline, OutlineStep};
use crate::progress::stream::{Attribute, Change, Difference, Origin, Told};

/// The kind of a change.
pub fn kind(change: &plan::Change) -> Change {
    match change {
        plan::Change::Create { .. } => Change::Create,
        plan::Change::Update { .. } => Change::Update,
        plan::Change::Replace { .. } => Change::Replace,
        plan::Change::Delete { .. } => Change::Delete,
    }
}

/// What changed outside, its steps, notes and refusals, in this order.
pub fn lines(plan: &Outline) -> Vec<Told> {
    let mut lines = drift(&plan.drift);
    lines.extend(plan.steps.iter().map(planned));
    let notes = plan.notes.iter().cloned().chain(plan.look_again.clone());
    lines.extend(notes.map(|message| Told::Note { message }));
    lines.extend(plan.refusals.iter().map(|reason| Told::Refused {
        reason: reason.to_string(),
    }));
    lines
}

/// What changed outside.
pub fn drift(drift: &[plan::Drift]) -> Vec<Told> {
    let told = |drift: &plan::Drift| Told::Drift {
        address: drift.address.clone(),
        differences: drift.differences.iter().map(difference).collect(),
        repaired: drift.repaired,
    };
    drift.iter().map(told).collect()
}

fn planned(step: &OutlineStep) -> Told {
    let (because, shown, differences): (Option<&String>, &[_], &[_]) = match &step.change {
        plan::Change::Create { shown } | plan::Change::Delete { shown } => (None, shown, &[]),
        plan::Change::Update { differences } => (None, &[], differences),
        plan::Change::Replace { because, differences } => (Some(because), &[], differences),
    };
    Told::Planned {
        address: step.address.clone(),
        change: kind(&step.change),
        because: because.cloned(),
        shown: shown.iter().map(attribute).collect(),
        differences: differences.iter().map(difference).collect(),
    }
}

fn attribute((name, value): &(String, String)) -> Attribute {
    Attribute {
        name: name.clone(),
        value: value.clone(),
    }
}

fn difference(difference: &plan::Difference) -> Difference {
    let plan::Difference {
        subject,
        old,
        new,
        origin,
    } = difference;
    Difference {
        subject: subject.clone(),
        old: old.clone(),
        new: new.clone(),
        origin: match origin {
            plan::Origin::Files => Origin::Files,
            plan::Origin::Outside => Origin::Outside,
        },
    }
}
