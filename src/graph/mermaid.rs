//! The picture as a Mermaid flowchart, which pull requests and wikis draw.

use std::fmt::Write as _;

use super::{Edge, Kind, Picture, Service, Stack};

/// Writes the flowchart.
pub fn mermaid(picture: &Picture) -> String {
    let Picture {
        environment,
        machine,
        network,
        edge,
        stacks,
        needs,
    } = picture;
    let mut out = String::from("flowchart LR\n");
    let _ = writeln!(out, "  internet((internet))");
    let _ = writeln!(
        out,
        "  subgraph machine[\"machine of {}: {}\"]",
        text(environment),
        text(machine)
    );
    let _ = writeln!(out, "    sshd[\"sshd<br/>22, keys only\"]");
    if let Some(edge) = edge {
        let _ = writeln!(out, "    edge[\"edge: {}<br/>80, 443, 443/udp\"]", text(&edge.image));
    }
    let _ = writeln!(out, "    subgraph network[\"network {}, private\"]", text(network));
    for (at, stack) in stacks.iter().enumerate() {
        self::stack(&mut out, at, stack);
    }
    out.push_str("    end\n  end\n");
    lines(&mut out, edge.as_ref(), stacks);
    for (stack, service) in picture.open() {
        let _ = writeln!(out, "  internet --> s{stack}_{service}");
    }
    for (from, to) in needs {
        let _ = writeln!(out, "  s{from} -.->|needs| s{to}");
    }
    out.push_str(
        "  classDef public fill:#ffe3d3,stroke:#bc4c00,color:#1f2328\n  \
         classDef private fill:#ddf4ff,stroke:#0969da,color:#1f2328\n  \
         classDef job fill:#ffffff,stroke:#59636e,color:#1f2328,stroke-dasharray:4 3\n  \
         classDef volume fill:#dafbe1,stroke:#1a7f37,color:#1f2328\n",
    );
    let public = if edge.is_some() {
        "internet,sshd,edge"
    } else {
        "internet,sshd"
    };
    let _ = writeln!(out, "  class {public} public");
    out
}

fn stack(out: &mut String, at: usize, stack: &Stack) {
    let _ = writeln!(out, "      subgraph s{at}[\"{}\"]", text(&stack.name));
    for (place, service) in stack.services.iter().enumerate() {
        let class = match service.kind {
            _ if service.public => "public",
            Kind::Runs(_) => "private",
            Kind::Job(_) => "job",
        };
        let words: Vec<String> = std::iter::once(text(&service.name))
            .chain(about(service).iter().map(|line| text(line)))
            .collect();
        let _ = writeln!(out, "        s{at}_{place}[\"{}\"]:::{class}", words.join("<br/>"));
    }
    for (place, volume) in stack.volumes.iter().enumerate() {
        let _ = writeln!(out, "        v{at}_{place}[(\"{}\")]:::volume", text(volume));
    }
    out.push_str("      end\n");
}

/// What is told of a service below its name.
pub(super) fn about(service: &Service) -> Vec<String> {
    let mut lines = vec![match service.kind {
        Kind::Runs(1) | Kind::Job(_) => service.image.clone(),
        Kind::Runs(count) => format!("{} × {count}", service.image),
    }];
    if let Kind::Job(when) = service.kind {
        lines.push(when.to_owned());
    }
    if !service.networks.is_empty() {
        let networks: Vec<&str> = service.networks.iter().map(String::as_str).collect();
        let also = if service.shared { "also" } else { "only" };
        lines.push(format!("{also} in network {}", networks.join(", ")));
    }
    lines.extend(service.allowed.iter().cloned());
    lines
}

fn lines(out: &mut String, edge: Option<&Edge>, stacks: &[Stack]) {
    out.push_str("  internet --> sshd\n");
    if let Some(edge) = edge {
        out.push_str("  internet --> edge\n");
        for route in &edge.routes {
            if let Some((stack, service)) = route.target {
                let port = route.to.rsplit(':').next().unwrap_or_default();
                let guard = route.guard.as_ref().map(|guard| format!("<br/>{}", text(guard)));
                let _ = writeln!(
                    out,
                    "  edge -->|\"{} to :{}{}\"| s{stack}_{service}",
                    text(&route.from),
                    text(port),
                    guard.unwrap_or_default()
                );
            }
        }
    }
    for (at, stack) in stacks.iter().enumerate() {
        for (place, service) in stack.services.iter().enumerate() {
            for (other, _) in stack
                .services
                .iter()
                .enumerate()
                .filter(|(_, other)| service.after.contains(&other.name))
            {
                let _ = writeln!(out, "  s{at}_{place} -.-> s{at}_{other}");
            }
            for (volume, _) in stack
                .volumes
                .iter()
                .enumerate()
                .filter(|(_, name)| service.volumes.contains(*name))
            {
                let _ = writeln!(out, "  s{at}_{place} --- v{at}_{volume}");
            }
        }
    }
}

/// A text inside quotes. Whatever could mean something to Mermaid, Markdown or HTML is written by its number.
fn text(words: &str) -> String {
    let mut out = String::new();
    for character in words.chars() {
        match character {
            ' ' | '.' | ',' | ':' | '/' | '-' | '\'' => out.push(character),
            '×' | '…' => out.push(character),
            other if other.is_alphanumeric() => out.push(other),
            other if other.is_control() => out.push(' '),
            other => {
                let _ = write!(out, "#{};", u32::from(other));
            }
        }
    }
    out
}
