use std::collections::BTreeSet;

use aws_sdk_ec2::types::{IpPermission, IpRange};
use provision::names::Address;
use serde_json::{Value, json};

use crate::parts::{Double, has_our_tags, machine, owner, recorded, say, shape, spec, spec_of, stranger, tag, untag};

const PUBLIC: [&str; 6] = [
    "tcp 443 0.0.0.0/0",
    "tcp 443 ::/0",
    "tcp 80 0.0.0.0/0",
    "tcp 80 ::/0",
    "udp 443 0.0.0.0/0",
    "udp 443 ::/0",
];

fn open(ssh: &[&str]) -> Value {
    let mut rules: Vec<String> = PUBLIC.iter().map(|rule| (*rule).to_owned()).collect();
    rules.extend(ssh.iter().map(|network| format!("tcp 22 {network}")));
    rules.sort();
    json!(rules)
}

fn permission(protocol: &str, from: i32, to: i32, network: &str) -> IpPermission {
    IpPermission::builder()
        .ip_protocol(protocol)
        .from_port(from)
        .to_port(to)
        .ip_ranges(IpRange::builder().cidr_ip(network).build())
        .build()
}

#[tokio::test]
async fn a_firewall_lives_as_asked_for() {
    let Some(double) = Double::start() else { return };
    let (owner, at) = (owner(), Address::MachineFirewall);
    let ensure = async |spec| double.aws.ensure(&owner, &at, &spec, &say).await;

    let made = ensure(spec()).await.unwrap();
    assert_eq!(made.attributes, spec().parts()[&at]);
    let seen = double.only("security_groups");
    assert_eq!(seen["name"], "demo-01234567");
    assert_eq!(seen["in"], open(&["203.0.113.0/24"]));
    assert_eq!(seen["out"], json!(["all all 0.0.0.0/0"]));
    has_our_tags(&seen, "machine.firewall");

    double.reset().await;
    assert_eq!(ensure(spec()).await.unwrap(), made);
    assert_eq!(
        double.calls().await,
        ["DescribeSecurityGroups", "DescribeSecurityGroups"]
    );
    assert_eq!(double.aws.observe(&owner).await.unwrap().parts[&at], made);

    // Drift: somebody opens two things and closes one.
    let somebody = &double.somebody;
    let foreign = [
        permission("tcp", 8000, 8100, "198.51.100.0/24"),
        permission("tcp", 22, 22, "0.0.0.0/0"),
    ];
    let group = somebody.authorize_security_group_ingress().group_id(&made.id);
    group.set_ip_permissions(Some(foreign.to_vec())).send().await.unwrap();
    let group = somebody.revoke_security_group_ingress().group_id(&made.id);
    group
        .ip_permissions(permission("tcp", 80, 80, "0.0.0.0/0"))
        .send()
        .await
        .unwrap();
    let seen = double.aws.observe(&owner).await.unwrap().parts.remove(&at).unwrap();
    assert_eq!(seen.attributes["tcp/8000-8100"], "198.51.100.0/24");
    assert_eq!(seen.attributes["tcp/22"], "0.0.0.0/0 203.0.113.0/24");
    assert_eq!(seen.attributes["tcp/80"], "::/0");
    double.reset().await;
    assert_eq!(ensure(spec()).await.unwrap(), made);
    // Opened first, then closed; each once.
    let changes: Vec<String> = double
        .calls()
        .await
        .into_iter()
        .filter(|call| !call.starts_with("Describe"))
        .collect();
    assert_eq!(changes, ["AuthorizeSecurityGroupIngress", "RevokeSecurityGroupIngress"]);
    assert_eq!(double.only("security_groups")["in"], open(&["203.0.113.0/24"]));

    // Drift: what may go out.
    let all = IpPermission::builder()
        .ip_protocol("-1")
        .ip_ranges(IpRange::builder().cidr_ip("0.0.0.0/0").build())
        .build();
    somebody
        .revoke_security_group_egress()
        .group_id(&made.id)
        .ip_permissions(all)
        .send()
        .await
        .unwrap();
    let group = somebody.authorize_security_group_egress().group_id(&made.id);
    group
        .ip_permissions(permission("tcp", 443, 443, "0.0.0.0/0"))
        .send()
        .await
        .unwrap();
    let seen = double.aws.observe(&owner).await.unwrap().parts.remove(&at).unwrap();
    assert_eq!(seen.attributes["egress"], "tcp/443 to 0.0.0.0/0");
    assert_eq!(ensure(spec()).await.unwrap(), made);
    assert_eq!(double.only("security_groups")["out"], json!(["all all 0.0.0.0/0"]));

    // Drift: tags, also the one that it is found by.
    tag(&double, &made.id, "team", "else").await;
    untag(&double, &made.id, "provision:lineage").await;
    let known = recorded(at.clone(), &made.id);
    assert_eq!(double.aws.ensure(&known, &at, &spec(), &say).await.unwrap(), made);
    has_our_tags(&double.only("security_groups"), "machine.firewall");

    // Change: who may reach port 22, IPv6 too.
    let mut changed = shape();
    changed.ssh_from.operator = true;
    changed.ssh_from.networks = BTreeSet::from(["198.51.100.0/24".to_owned(), "2001:db8::/48".to_owned()]);
    let changed = spec_of(changed);
    let new = ensure(changed.clone()).await.unwrap();
    assert_eq!(new.attributes, changed.parts()[&at]);
    assert_eq!(new.attributes["tcp/22"], "operator 198.51.100.0/24 2001:db8::/48");
    assert_eq!(
        double.only("security_groups")["in"],
        open(&["198.51.100.0/24", "2001:db8::/48"])
    );
    assert_eq!(double.aws.observe(&owner).await.unwrap().parts[&at], new);

    double.aws.remove(&owner, &at, &say).await.unwrap();
    assert!(double.all("security_groups").is_empty());
    double.aws.remove(&owner, &at, &say).await.unwrap();
}

#[tokio::test]
async fn a_group_waits_for_the_end_of_its_instance() {
    let Some(double) = Double::start() else { return };
    let (owner, at) = (owner(), Address::MachineFirewall);
    let made = double.aws.ensure(&owner, &at, &spec(), &say).await.unwrap();
    let (machine, _) = machine(&double, &owner).await;
    let member = double.somebody.modify_instance_attribute().instance_id(&machine);
    member.groups(&made.id).send().await.unwrap();
    let end = async {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let end = double.somebody.terminate_instances().instance_ids(&machine);
        end.send().await.unwrap();
    };
    let (removed, ()) = tokio::join!(double.aws.remove(&owner, &at, &say), end);
    removed.unwrap();
    assert!(double.all("security_groups").is_empty());
    let tries = double
        .calls()
        .await
        .iter()
        .filter(|call| *call == "DeleteSecurityGroup")
        .count();
    assert!(tries > 1, "it was in use");
}

#[tokio::test]
async fn faults_and_strangers() {
    let Some(double) = Double::start() else { return };
    let (owner, at) = (owner(), Address::MachineFirewall);
    // Lost answers, and a group that is not seen for a second.
    let faults = json!([
        {"action": "AuthorizeSecurityGroupIngress", "do": "lose"},
        {"action": "CreateSecurityGroup", "do": "hide:1"},
    ]);
    double.faults(faults).await;
    let made = double.aws.ensure(&owner, &at, &spec(), &say).await.unwrap();
    assert_eq!(made.attributes, spec().parts()[&at]);
    assert_eq!(double.only("security_groups")["in"], open(&["203.0.113.0/24"]));

    // The same name, another environment's.
    tag(&double, &made.id, "provision:lineage", stranger().lineage.as_str()).await;
    let error = double.aws.ensure(&owner, &at, &spec(), &say).await.unwrap_err();
    assert!(error.to_string().ends_with("has this name and is not ours"), "{error}");
    let known = recorded(at.clone(), &made.id);
    double.aws.remove(&known, &at, &say).await.unwrap();
    assert_eq!(double.only("security_groups")["id"], made.id.as_str());

    // A lost answer to the making itself: the name is taken, by us.
    double
        .somebody
        .delete_security_group()
        .group_id(&made.id)
        .send()
        .await
        .unwrap();
    double
        .faults(json!([{"action": "CreateSecurityGroup", "do": "lose"}]))
        .await;
    let made = double.aws.ensure(&owner, &at, &spec(), &say).await.unwrap();
    assert_eq!(double.only("security_groups")["id"], made.id.as_str());
    double.aws.remove(&owner, &at, &say).await.unwrap();

    // No default VPC.
    double.account(json!({"default_vpc": false})).await;
    let error = double.aws.ensure(&owner, &at, &spec(), &say).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to find the account's default VPC: there is none in eu-central-1"
    );
    assert!(error.remedy.unwrap().contains("subnet = "));

    // A VPC by name.
    let vpc = double
        .somebody
        .create_vpc()
        .cidr_block("10.7.0.0/16")
        .send()
        .await
        .unwrap();
    let vpc = vpc.vpc().unwrap().vpc_id().unwrap().to_owned();
    let mut named = shape();
    named.vpc = Some(vpc.clone());
    let named = spec_of(named);
    let made = double.aws.ensure(&owner, &at, &named, &say).await.unwrap();
    assert_eq!(made.attributes, named.parts()[&at]);
    assert_eq!(double.aws.observe(&owner).await.unwrap().parts[&at], made);
    assert_eq!(double.only("security_groups")["vpc"], vpc.as_str());
}
