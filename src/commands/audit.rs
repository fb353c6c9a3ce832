//! `provision audit`: whether the machine is private, seen from outside and from inside. Changes nothing.

use std::net::IpAddr;
use std::path::Path;

use comfy_table::{ContentArrangement, Table, presets};
use ipnet::IpNet;
use serde::Serialize;

use super::Failure;
use super::applied::Applied;
use super::caller::{admitted, caller};
use super::clouds::provider;
use super::project::{hang_up, look, owner};
use super::shown::{Shown, waiting};
use super::stop::{stop_on_signal, until_stopped};
use super::terminal::{print, tell};
use crate::apply::Stopping;
use crate::audit::{self, Allowed, Finding, Rule, Severity, in_order, inside, line, outside, violations};
use crate::cli;
use crate::desired::Desired;
use crate::names::{Endpoint, hex};
use crate::note::Say;
use crate::observe::outside::{self as ports, Outside};
use crate::remote::Session;
use crate::remote::audit::Walls;

/// The exit code when the environment is not private.
const NOT_PRIVATE: u8 = 5;

/// Everything that an audit tells.
#[derive(Serialize)]
struct Report {
    environment: String,
    /// Whether nothing is violated.
    private: bool,
    findings: Vec<Told>,
    /// What was asked from outside.
    outside: Vec<Outside>,
}

/// A finding, and what to do.
#[derive(Serialize)]
struct Told {
    #[serde(flatten)]
    finding: Finding,
    remedy: &'static str,
}

/// Looks from both sides and prints what it found.
pub async fn run(directory: &Path, operator: Option<&IpNet>, args: &cli::Audit) -> Result<(), Failure> {
    let Applied {
        project,
        sources,
        state,
        keyring,
        desired,
    } = Applied::open(directory, &args.environment)?;
    let provider = provider(&sources.environment, &state).await?;
    let caller = caller(&desired.instance.spec, operator).await?;
    let seen = async {
        let (observed, session) = look(&provider, &state, &desired, caller.as_ref(), &keyring, &waiting).await?;
        let (Some(endpoint), Some(session)) = (observed.endpoint(), session) else {
            return Err(Failure::input(
                format!("the machine of `{}` does not run, or was never set up", project.name),
                format!("run `provision apply {}` first", project.name),
            ));
        };
        let six = observed
            .instance
            .as_ref()
            .and_then(|instance| instance.ipv6)
            .map(IpAddr::V6);
        let addresses: Vec<IpAddr> = std::iter::once(endpoint.address).chain(six).collect();
        let within = host(&session, &desired, &endpoint, true, &waiting);
        let (within, without) = tokio::join!(within, all_ports(&addresses, &endpoint));
        hang_up(Some(session)).await;
        let mut findings = within?;
        let allowed = Allowed::of(&desired, &endpoint, "");
        findings.extend(without.iter().flat_map(|seen| outside(seen, &allowed)));
        Ok((in_order(findings), without))
    };
    let stop = stop_on_signal();
    let work = until_stopped(&stop, seen);
    let (findings, without) = admitted(&provider, &owner(&state), caller.as_ref(), work).await?;
    let bad = violations(&findings);
    if args.json {
        let told = |finding: Finding| Told {
            remedy: finding.rule.remedy(),
            finding,
        };
        let report = Report {
            environment: project.name.to_string(),
            private: bad == 0,
            findings: findings.into_iter().map(told).collect(),
            outside: without,
        };
        let text =
            serde_json::to_string_pretty(&report).map_err(|why| Failure::other("failed to write the audit", why))?;
        print(&format!("{text}\n"))?;
    } else {
        print(&shown(project.name.as_str(), &findings, &without))?;
    }
    match bad {
        0 => Ok(()),
        _ => Err(Failure::Exit(NOT_PRIVATE)),
    }
}

/// What the host shows, judged: one command.
async fn host(
    session: &Session,
    desired: &Desired,
    endpoint: &Endpoint,
    updates: bool,
    say: Say<'_>,
) -> Result<Vec<Finding>, Failure> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt)
        .map_err(|why| Failure::other("failed to make up a salt", std::io::Error::other(why.to_string())))?;
    let salt = hex(&salt);
    let output = session.run_ok(&Walls::command(&salt, updates), say).await?;
    let walls = Walls::parse(&output.stdout).map_err(|why| Failure::other("failed to read what the host says", why))?;
    Ok(inside(&walls, &Allowed::of(desired, endpoint, &salt)))
}

async fn all_ports(addresses: &[IpAddr], endpoint: &Endpoint) -> Vec<Outside> {
    let mut seen = Vec::new();
    for address in addresses {
        tell(&format!("asking every port of {address}"));
        seen.push(ports::look(*address, ports::ALL, endpoint.https).await);
    }
    seen
}

/// After an apply, over its connection: one line, which never fails the apply. What listens outside is for the whole audit to see.
pub async fn in_short(
    session: Option<&Session>,
    desired: &Desired,
    endpoint: Option<&Endpoint>,
    shown: &Shown,
    stop: &Stopping,
) {
    let (Some(session), Some(endpoint)) = (session, endpoint) else {
        return;
    };
    match until_stopped(stop, host(session, desired, endpoint, false, &|_| {})).await {
        Ok(findings) => shown.audit(&line(&findings), violations(&findings) > 0),
        Err(failure) => {
            if let Some(why) = failure.explain() {
                shown.audit(&format!("audit: not done: {}", why.what), false);
            }
        }
    }
}

fn shown(environment: &str, findings: &[Finding], outside: &[Outside]) -> String {
    let mut out = String::new();
    for seen in outside {
        let open: Vec<String> = seen.open.difference(&seen.own).map(ToString::to_string).collect();
        let open = if open.is_empty() {
            "none".to_owned()
        } else {
            open.join(", ")
        };
        out.push_str(&format!(
            "outside: {} of {} TCP ports of {} answer: {open}; HTTP/3 {}\n",
            seen.open.len() - seen.own.len(),
            seen.asked,
            seen.address,
            if seen.http3 { "answers" } else { "does not answer" },
        ));
    }
    if !findings.is_empty() {
        let mut table = Table::new();
        table
            .load_preset(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header(["", "rule", "where", "what"]);
        for Finding {
            severity,
            rule,
            subject,
            what,
        } in findings
        {
            let mark = match severity {
                Severity::Violation => "VIOLATION",
                Severity::Note => "note",
                Severity::Allowed => "allowed",
            };
            table.add_row([mark, rule.name(), subject, what]);
        }
        let table: String = table.lines().map(|line| format!("{}\n", line.trim_end())).collect();
        out.push_str(&format!("\n{table}\n"));
        for rule in Rule::ALL.into_iter().filter(|rule| {
            let told = |finding: &Finding| finding.rule == *rule && finding.severity != Severity::Allowed;
            findings.iter().any(told)
        }) {
            out.push_str(&format!("{rule}: {}\n", rule.remedy()));
        }
        out.push('\n');
    }
    let bad = violations(findings);
    let notes = count(audit::count(findings, Severity::Note), "note");
    let notes = match audit::count(findings, Severity::Allowed) {
        0 => notes,
        more => format!("{notes}, {more} allowed"),
    };
    out.push_str(&match bad {
        0 => format!("{environment} is private: no violation, {notes}\n"),
        bad => format!("{environment} is NOT PRIVATE: {}, {notes}\n", count(bad, "violation")),
    });
    out
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_a_table_with_remedies() {
        let finding = |rule: Rule, subject: &str, what: &str| Finding {
            severity: rule.severity(),
            rule,
            subject: subject.to_owned(),
            what: what.to_owned(),
        };
        let findings = in_order(vec![
            finding(Rule::Root, "shop/db", "starts as root"),
            finding(Rule::Published, "shop/db", "port 5432 of 0.0.0.0 leads to its 5432/tcp"),
        ]);
        let seen = Outside {
            address: "203.0.113.7".parse().unwrap(),
            asked: 65_535,
            open: [22, 80, 443].into(),
            own: [].into(),
            unknown: None,
            http3: true,
            millis: 1,
        };
        insta::assert_snapshot!(shown("prod", &findings, std::slice::from_ref(&seen)), @r"
        outside: 3 of 65535 TCP ports of 203.0.113.7 answer: 22, 80, 443; HTTP/3 answers

                    rule            where    what
         VIOLATION  published-port  shop/db  port 5432 of 0.0.0.0 leads to its 5432/tcp
         note       root            shop/db  starts as root

        published-port: remove the container, or its `ports`, and add a route: only the edge is public
        root: set `user:`, where the image allows it; many images start as root and then leave it

        prod is NOT PRIVATE: 1 violation, 1 note
        ");
        insta::assert_snapshot!(shown("prod", &[], &[seen]), @r"
        outside: 3 of 65535 TCP ports of 203.0.113.7 answer: 22, 80, 443; HTTP/3 answers
        prod is private: no violation, 0 notes
        ");
    }
}
