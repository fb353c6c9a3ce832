use super::*;
use crate::names::Address;
use crate::provider::{AwsShape, InstanceSpec, Shape};

fn ssh_from(operator: bool, networks: &[&str]) -> SshFrom {
    SshFrom {
        operator,
        networks: networks.iter().map(|network| (*network).to_owned()).collect(),
        ..SshFrom::default()
    }
}

fn spec(ssh_from: SshFrom) -> InstanceSpec {
    InstanceSpec {
        shape: Shape::Aws(AwsShape {
            ssh_from,
            ..AwsShape::small()
        }),
        disk_gib: 10,
        volume_gib: None,
        user_data: String::new(),
        ttl_seconds: None,
        dns: None,
    }
}

fn described(rules: &BTreeSet<Rule>) -> Rules {
    let permissions: Vec<IpPermission> = rules.iter().map(|rule| rule.permission(None)).collect();
    flat(&permissions)
}

#[test]
fn what_was_asked_for_changes_nothing() {
    for ssh_from in [
        ssh_from(true, &[]),
        ssh_from(false, &["203.0.113.0/24"]),
        ssh_from(true, &["203.0.113.0/24", "10.0.0.0/8", "2001:db8::/32"]),
        ssh_from(false, &[]),
        SshFrom {
            open: ["tcp/8883".to_owned(), "udp/5000".to_owned()].into(),
            ..ssh_from(true, &[])
        },
    ] {
        let there = described(&ingress(&ssh_from));
        assert_eq!(there.keys().cloned().collect::<BTreeSet<_>>(), ingress(&ssh_from));
        let shown = shown(&there, &described(&egress(true)), ssh_from.operator);
        let asked = spec(ssh_from).parts().remove(&Address::MachineFirewall).unwrap();
        assert_eq!(shown, asked);
    }
}

#[test]
fn everything_that_is_not_ours_is_shown() {
    let permission = |protocol: &str, from, to| {
        IpPermission::builder()
            .ip_protocol(protocol)
            .set_from_port(from)
            .set_to_port(to)
    };
    let anywhere = || IpRange::builder().cidr_ip("0.0.0.0/0").build();
    let group = UserIdGroupPair::builder()
        .group_id("sg-1")
        .user_id("123456789012")
        .build();
    let list = PrefixListId::builder().prefix_list_id("pl-1").build();
    let caller = IpRange::builder()
        .cidr_ip("198.51.100.7/32")
        .description("provision operator host:1:2 2026-01-01T00:00:00Z")
        .build();
    let foreign = [
        permission("tcp", Some(8000), Some(8100)).ip_ranges(anywhere()).build(),
        permission("tcp", Some(22), Some(22))
            .ip_ranges(anywhere())
            .ip_ranges(caller)
            .build(),
        permission("icmp", Some(-1), Some(-1)).ip_ranges(anywhere()).build(),
        permission("icmp", Some(8), Some(-1)).ip_ranges(anywhere()).build(),
        permission("50", None, None).ip_ranges(anywhere()).build(),
        permission("-1", None, None)
            .user_id_group_pairs(group)
            .prefix_list_ids(list)
            .build(),
    ];
    let mut ingress = described(&ingress(&ssh_from(true, &[])));
    ingress.extend(flat(&foreign));
    let attributes = shown(&ingress, &Rules::new(), true);
    let lines: Vec<String> = attributes
        .iter()
        .map(|(port, from)| format!("{port}: {from}"))
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    50: 0.0.0.0/0
    all: pl-1 sg-1
    egress: nothing
    icmp: 0.0.0.0/0
    icmp/8: 0.0.0.0/0
    tcp/22: operator 0.0.0.0/0
    tcp/443: 0.0.0.0/0 ::/0
    tcp/80: 0.0.0.0/0 ::/0
    tcp/8000-8100: 0.0.0.0/0
    udp/443: 0.0.0.0/0 ::/0
    ");
}

#[test]
fn a_narrowed_way_out_is_shown() {
    let narrow = BTreeSet::from([Rule::port("tcp", 443, "0.0.0.0/0")]);
    let attributes = shown(&Rules::new(), &described(&narrow), false);
    assert_eq!(
        attributes.get("egress").map(String::as_str),
        Some("tcp/443 to 0.0.0.0/0")
    );
    for usual in [egress(false), egress(true)] {
        assert_eq!(shown(&Rules::new(), &described(&usual), false).get("egress"), None);
    }
}
