//! What the tests of single parts share: an owner, a specification, an instance that somebody made.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::{Filter, InstanceType, ResourceType, Tag, TagSpecification};
use provision::names::Address;
use provision::note::Note;
use provision::provider::{AwsShape, InstanceSpec, Owner, Shape, SshFrom};

use provision::provider::aws::Aws;
use serde_json::Value;

use crate::double;

pub const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJlcEZWP5rye9oVXnDyyUEIgHHXKiwCxKVaOIIxrJ1Ry demo@home";

/// A double with a client of each side.
pub struct Double {
    double: double::Double,
    pub config: aws_config::SdkConfig,
    pub aws: Aws,
    /// Somebody else, who works past the provider.
    pub somebody: aws_sdk_ec2::Client,
    pub somebody_in_dns: aws_sdk_route53::Client,
}

impl Double {
    pub fn start() -> Option<Self> {
        let double = double::Double::start()?;
        Some(Self {
            config: double.config(),
            aws: double.aws(),
            somebody: double.somebody(),
            somebody_in_dns: double.somebody_in_dns(),
            double,
        })
    }

    pub async fn faults(&self, rules: Value) {
        self.double.faults(rules).await;
    }

    pub async fn account(&self, switches: Value) {
        self.double.account(switches).await;
    }

    pub async fn reset(&self) {
        self.double.reset().await;
    }

    pub async fn calls(&self) -> Vec<String> {
        self.double.calls().await
    }

    /// The things of one kind, as seen by boto3.
    pub fn all(&self, kind: &str) -> Vec<Value> {
        self.double.look()[kind].as_array().unwrap().clone()
    }

    /// The only thing of its kind.
    pub fn only(&self, kind: &str) -> Value {
        let mut all = self.all(kind);
        assert_eq!(all.len(), 1, "{kind}: {all:#?}");
        all.remove(0)
    }

    /// The hosted zones with their records, as seen by boto3.
    pub fn zones(&self) -> Vec<Value> {
        self.double.look_everywhere()["zones"].as_array().unwrap().clone()
    }
}

pub fn say(_: Note) {}

pub fn owner() -> Owner {
    Owner {
        environment: "demo".parse().unwrap(),
        lineage: "0123456789abcdef0123456789abcdef".parse().unwrap(),
        ids: BTreeMap::new(),
        expires: Some("2036-01-01T00:00:00Z".parse().unwrap()),
    }
}

/// Another environment's.
pub fn stranger() -> Owner {
    Owner {
        environment: "other".parse().unwrap(),
        lineage: "ffffffffffffffffffffffffffffffff".parse().unwrap(),
        ids: BTreeMap::new(),
        expires: Some("2036-01-01T00:00:00Z".parse().unwrap()),
    }
}

pub fn recorded(address: Address, id: &str) -> Owner {
    Owner {
        ids: BTreeMap::from([(address, id.to_owned())]),
        ..owner()
    }
}

pub fn shape() -> AwsShape {
    AwsShape {
        region: None,
        size: "t3.small".into(),
        image: "debian-13".into(),
        static_address: true,
        subnet: None,
        vpc: None,
        instance_profile: None,
        spot: false,
        ipv6: false,
        cpu_credits: None,
        kms_key: None,
        public_key: KEY.into(),
        ssh_from: SshFrom {
            operator: false,
            networks: BTreeSet::from(["203.0.113.0/24".to_owned()]),
            ..SshFrom::default()
        },
        tags: BTreeMap::from([("team".to_owned(), "shop".to_owned())]),
    }
}

pub fn spec_of(shape: AwsShape) -> InstanceSpec {
    InstanceSpec {
        shape: Shape::Aws(shape),
        disk_gib: 10,
        volume_gib: Some(20),
        user_data: "#cloud-config\n".into(),
        ttl_seconds: Some(3600),
        dns: None,
    }
}

pub fn spec() -> InstanceSpec {
    spec_of(shape())
}

/// An instance with these tags, made past the provider; its identifier and zone.
pub async fn instance(double: &Double, tags: &[(&str, &str)]) -> (String, String) {
    let images = double
        .somebody
        .describe_images()
        .owners("136693071363")
        .filters(Filter::builder().name("architecture").values("x86_64").build())
        .send()
        .await
        .unwrap();
    let image = images.images().first().unwrap().image_id().unwrap().to_owned();
    let tags = tags
        .iter()
        .map(|(key, value)| Tag::builder().key(*key).value(*value).build());
    let made = double
        .somebody
        .run_instances()
        .image_id(image)
        .instance_type(InstanceType::T3Small)
        .min_count(1)
        .max_count(1)
        .tag_specifications(
            TagSpecification::builder()
                .resource_type(ResourceType::Instance)
                .set_tags(Some(tags.collect()))
                .build(),
        )
        .send()
        .await
        .unwrap();
    let instance = made.instances().first().unwrap();
    let zone = instance.placement().unwrap().availability_zone().unwrap();
    (instance.instance_id().unwrap().to_owned(), zone.to_owned())
}

/// The owner's machine.
pub async fn machine(double: &Double, owner: &Owner) -> (String, String) {
    let tags = [
        ("provision:lineage", owner.lineage.as_str()),
        ("provision:address", "machine.instance"),
        ("provision:environment", owner.environment.as_str()),
    ];
    instance(double, &tags).await
}

/// Tags as somebody in the console sets them.
pub async fn tag(double: &Double, id: &str, key: &str, value: &str) {
    let tag = Tag::builder().key(key).value(value).build();
    double
        .somebody
        .create_tags()
        .resources(id)
        .tags(tag)
        .send()
        .await
        .unwrap();
}

pub async fn untag(double: &Double, id: &str, key: &str) {
    let tag = Tag::builder().key(key).build();
    double
        .somebody
        .delete_tags()
        .resources(id)
        .tags(tag)
        .send()
        .await
        .unwrap();
}

/// The tags that everything of ours has.
pub fn has_our_tags(seen: &Value, address: &str) {
    let tag = |key: &str| seen["tags"][key].as_str().unwrap_or_default().to_owned();
    assert_eq!(tag("provision:environment"), "demo", "{seen:#}");
    assert_eq!(tag("provision:lineage"), owner().lineage.as_str());
    assert_eq!(tag("provision:address"), address);
    assert_eq!(tag("provision:version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(tag("Name"), "demo-01234567");
    assert_eq!(tag("team"), "shop");
    assert!(tag("provision:expires").ends_with('Z'), "{seen:#}");
}
