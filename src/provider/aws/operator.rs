//! Port 22 for the caller's own address, only while its command runs.
//!
//! A rule of the security group says in its description which run opened it and when. So a run that was killed leaves what
//! the next one recognises and closes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_sdk_ec2::types::{IpPermission, SecurityGroup};
use jiff::Timestamp;

use super::own::is_gone;
use super::rules::{self, OPERATOR, Rule};
use super::tags::Tags;
use super::{Aws, error, firewall};
use crate::provider::{Caller, Owner, ProviderError, runs};

/// For how long groups are as they were seen. What changed since is noticed by the calls that change them.
const FRESH: Duration = Duration::from_secs(10);
/// What a description may hold beside letters and digits (EC2, IpRange).
const ALLOWED: &str = " ._-:/()#,@[]+=&;{}!$*";

/// What this process opened, so that it need not look before it closes it. Shared by all copies of one provider.
#[derive(Debug, Clone, Default)]
pub(super) struct Opened(Arc<Mutex<Option<Open>>>);

#[derive(Debug, Clone)]
struct Open {
    run: String,
    group: String,
    /// None where the address was let in anyway.
    rule: Option<IpPermission>,
}

/// The groups that this process looked at just now, so that a caller is let in without another look. Good for one time.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Option<Look>>>);

#[derive(Debug)]
struct Look {
    at: Instant,
    owner: Owner,
    groups: Vec<SecurityGroup>,
}

impl Seen {
    /// Notes what an observation saw.
    pub(super) fn note(&self, owner: &Owner, groups: &[SecurityGroup]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Look {
            at: Instant::now(),
            owner: owner.clone(),
            groups: firewall::of(owner, groups.to_vec()),
        });
    }

    /// It has to be looked at again.
    pub(super) fn forget(&self) {
        self.take();
    }

    fn take(&self) -> Option<Look> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Opened {
    /// It has to be looked at again.
    pub(super) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn note(&self, open: Open) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(open);
    }

    fn take(&self) -> Option<Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Lets the caller in; closes what runs left open that are no more. Nothing to do without a group: it is made later.
pub(super) async fn admit(aws: &Aws, owner: &Owner, caller: &Caller) -> Result<(), ProviderError> {
    let now = Timestamp::now();
    let fresh = |look: &Look| look.at.elapsed() < FRESH && look.owner == *owner;
    let groups = match aws.seen.take().filter(fresh) {
        Some(look) => look.groups,
        None => firewall::find(aws, owner).await?,
    };
    for group in groups {
        let id = group.group_id().unwrap_or_default();
        let mut stale = Vec::new();
        let mut open = false;
        let mine = Rule::port("tcp", 22, &block(&caller.network));
        for (rule, said) in rules::flat(group.ip_permissions()) {
            let Some(opening) = said.as_deref().and_then(Opening::read) else {
                // Rules that stay and cover exactly this address need no second one, and could not have one.
                open |= rule == mine;
                continue;
            };
            if opening.run == plain(&caller.run) && rule == mine {
                open = true;
            } else if opening.is_over(&caller.run, now) {
                stale.push(rule.permission(None));
            }
        }
        firewall::close(aws, id, stale, Vec::new()).await?;
        if !firewall::lets_operator_in(&Tags::read(group.tags())) {
            continue;
        }
        let text = format!(
            "{OPERATOR}{} {}",
            plain(&caller.run),
            Timestamp::from_second(now.as_second()).unwrap_or(now)
        );
        let rule = mine.permission(Some(&text));
        let made = !open && let_in(aws, id, &rule, &caller.network).await?;
        aws.opened.note(Open {
            run: caller.run.clone(),
            group: id.to_owned(),
            rule: made.then_some(rule),
        });
        if open {
            // By an earlier call of this run, or by a rule that stays: closing has to look which.
            aws.opened.forget();
        }
    }
    Ok(())
}

/// Closes what was opened for the caller.
pub(super) async fn dismiss(aws: &Aws, owner: &Owner, caller: &Caller) -> Result<(), ProviderError> {
    if let Some(open) = aws.opened.take().filter(|open| open.run == caller.run) {
        return firewall::close(aws, &open.group, open.rule.into_iter().collect(), Vec::new()).await;
    }
    for group in firewall::find(aws, owner).await? {
        let mine = rules_of(&group, &plain(&caller.run));
        firewall::close(aws, group.group_id().unwrap_or_default(), mine, Vec::new()).await?;
    }
    Ok(())
}

fn rules_of(group: &SecurityGroup, run: &str) -> Vec<IpPermission> {
    rules::flat(group.ip_permissions())
        .into_iter()
        .filter(|(_, said)| {
            said.as_deref()
                .and_then(Opening::read)
                .is_some_and(|opening| opening.run == run)
        })
        .map(|(rule, _)| rule.permission(None))
        .collect()
}

/// Whether this call opened it; another run from the same address may have.
async fn let_in(aws: &Aws, group: &str, rule: &IpPermission, network: &str) -> Result<bool, ProviderError> {
    let request = aws.ec2.authorize_security_group_ingress().group_id(group);
    match request.ip_permissions(rule.clone()).send().await {
        Ok(_) => Ok(true),
        Err(there) if error::code(&there) == Some("InvalidPermission.Duplicate") => Ok(false),
        // Somebody destroyed it a moment ago.
        Err(gone) if error::code(&gone) != Some("InvalidPermission.NotFound") && is_gone(error::code(&gone)) => {
            Ok(false)
        }
        Err(other) => {
            let what = format!("failed to let {network} reach port 22 through the security group {group}");
            Err(error::failed(what, "ec2:AuthorizeSecurityGroupIngress", other))
        }
    }
}

/// An address as the block that it is.
fn block(network: &str) -> String {
    match (network.contains('/'), network.contains(':')) {
        (true, _) => network.to_owned(),
        (false, true) => format!("{network}/128"),
        (false, false) => format!("{network}/32"),
    }
}

/// A run's name with what a description may hold, and without spaces.
fn plain(run: &str) -> String {
    let may = |letter: char| letter.is_ascii_alphanumeric() || (letter != ' ' && ALLOWED.contains(letter));
    run.chars()
        .take(180)
        .map(|letter| if may(letter) { letter } else { '_' })
        .collect()
}

/// Which run opened a rule, and when.
#[derive(Debug, PartialEq, Eq)]
struct Opening<'a> {
    run: &'a str,
    at: Option<Timestamp>,
}

impl<'a> Opening<'a> {
    fn read(description: &'a str) -> Option<Self> {
        let (run, at) = description.strip_prefix(OPERATOR)?.rsplit_once(' ')?;
        Some(Self {
            run,
            at: at.parse().ok(),
        })
    }

    /// Whether the run is no more, as seen from the run `here`.
    fn is_over(&self, here: &str, now: Timestamp) -> bool {
        runs::is_over(self.run, self.at, &plain(here), now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_over_when_its_process_is_gone_or_an_hour_has_passed() {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        let here = format!("host:{}:1", std::process::id());
        let over = |text: &str| Opening::read(text).unwrap().is_over(&here, now);
        let living = format!("{OPERATOR}{here} 2026-01-01T11:30:00Z");
        assert!(!over(&living));
        assert!(over(&living.replace("11:30", "10:59")));
        let gone = format!("{OPERATOR}host:{}:1 2026-01-01T11:59:59Z", i32::MAX);
        assert!(over(&gone), "no process of this number");
        assert!(
            !over(&gone.replace("host:", "elsewhere:")),
            "nothing is known of another computer"
        );
        assert!(over(&living.replace("2026-01-01T11:30:00Z", "yesterday")));
        assert_eq!(Opening::read("a rule of somebody's"), None);
    }

    #[test]
    fn what_a_description_may_not_hold_is_replaced() {
        assert_eq!(plain("häus x:1:2"), "h_us_x:1:2");
        assert_eq!(block("203.0.113.7"), "203.0.113.7/32");
        assert_eq!(block("2001:db8::1"), "2001:db8::1/128");
        assert_eq!(block("203.0.113.0/24"), "203.0.113.0/24");
    }
}
