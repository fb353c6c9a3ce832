//! Where a machine is put: subnets in the order in which they are tried.

use aws_sdk_ec2::types::Subnet;

use crate::names::Address;
use crate::provider::aws::{Aws, error, tags};
use crate::provider::{AwsShape, Owner, ProviderError};

/// A subnet that a machine can be in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The subnet.
    pub subnet: String,
    /// Its availability zone.
    pub zone: String,
    /// Its VPC.
    pub vpc: String,
    /// Whether a machine in it gets a public address.
    pub public: bool,
}

/// Where the machine may be, best first: in the zone of its data volume if it has one, since a volume never leaves its zone.
///
/// # Errors
/// When there is no such place; the error says what to write.
pub async fn places(aws: &Aws, owner: &Owner, shape: &AwsShape) -> Result<Vec<Place>, ProviderError> {
    let (volume, subnets) = futures_util::future::try_join(volume_zone(aws, owner), subnets(aws, shape)).await?;
    choose(shape, volume.as_deref(), &subnets)
}

fn choose(shape: &AwsShape, volume_zone: Option<&str>, subnets: &[Subnet]) -> Result<Vec<Place>, ProviderError> {
    let what = "failed to place machine.instance";
    let mut places: Vec<(Place, bool)> = subnets.iter().filter_map(place).collect();
    places.sort_by(|(one, _), (other, _)| (&one.zone, &one.subnet).cmp(&(&other.zone, &other.subnet)));
    if places.is_empty() {
        return Err(match (&shape.subnet, &shape.vpc) {
            (Some(subnet), _) => ProviderError::new(format!("{what}: there is no subnet {subnet}")).with_remedy(
                "write a `subnet` of this region and account under [machine.aws], or none for the default VPC",
            ),
            (None, Some(vpc)) => ProviderError::new(format!("{what}: {vpc} has no subnet that gives public addresses"))
                .with_remedy("write `subnet = \"subnet-…\"` under [machine.aws]"),
            (None, None) => ProviderError::new(format!("{what}: this account has no default VPC in this region"))
                .with_remedy(error::NO_VPC),
        });
    }
    if shape.ipv6 {
        places.retain(|(_, ipv6)| *ipv6);
        if places.is_empty() {
            return Err(
                ProviderError::new(format!("{what}: no subnet there has an IPv6 block")).with_remedy(
                    "give the VPC and its subnet an IPv6 block, write another `subnet`, or leave `ipv6` out",
                ),
            );
        }
    }
    if let Some(zone) = volume_zone {
        places.retain(|(place, _)| place.zone == zone);
        if places.is_empty() {
            return Err(ProviderError::new(format!(
                "{what}: its data volume is in {zone}, and no subnet that may be used is"
            ))
            .with_remedy(format!("write a `subnet` in {zone} under [machine.aws]")));
        }
    }
    Ok(places.into_iter().map(|(place, _)| place).collect())
}

fn place(subnet: &Subnet) -> Option<(Place, bool)> {
    let place = Place {
        subnet: subnet.subnet_id()?.to_owned(),
        zone: subnet.availability_zone()?.to_owned(),
        vpc: subnet.vpc_id()?.to_owned(),
        public: subnet.map_public_ip_on_launch().unwrap_or(false),
    };
    Some((place, !subnet.ipv6_cidr_block_association_set().is_empty()))
}

async fn subnets(aws: &Aws, shape: &AwsShape) -> Result<Vec<Subnet>, ProviderError> {
    let request = aws.ec2.describe_subnets();
    let request = match (&shape.subnet, &shape.vpc) {
        (Some(subnet), _) => request.filters(tags::filter("subnet-id", [subnet])),
        (None, Some(vpc)) => request
            .filters(tags::filter("vpc-id", [vpc]))
            .filters(tags::filter("map-public-ip-on-launch", ["true"])),
        (None, None) => request.filters(tags::filter("default-for-az", ["true"])),
    };
    let output = request
        .send()
        .await
        .map_err(|why| error::failed("failed to look for subnets", "ec2:DescribeSubnets", why))?;
    Ok(output.subnets.unwrap_or_default())
}

/// The zone of the data volume, when there is one already.
async fn volume_zone(aws: &Aws, owner: &Owner) -> Result<Option<String>, ProviderError> {
    let look = async |filters| {
        let request = aws.ec2.describe_volumes().set_filters(Some(filters));
        let failed = |why| error::failed("failed to look for the data volume", "ec2:DescribeVolumes", why);
        let volumes = request.send().await.map_err(failed)?.volumes.unwrap_or_default();
        Ok::<_, ProviderError>(volumes.into_iter().find_map(|volume| volume.availability_zone))
    };
    match (
        look(tags::at(owner, &Address::MachineVolume)).await?,
        owner.ids.get(&Address::MachineVolume),
    ) {
        (None, Some(id)) => look(vec![tags::filter("volume-id", [id])]).await,
        (zone, _) => Ok(zone),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(id: &str, zone: &str) -> Subnet {
        let subnet = Subnet::builder().subnet_id(id).availability_zone(zone).vpc_id("vpc-1");
        subnet.map_public_ip_on_launch(true).build()
    }

    fn refusal(shape: &AwsShape, zone: Option<&str>, subnets: &[Subnet]) -> String {
        let error = choose(shape, zone, subnets).unwrap_err();
        let what = error.to_string();
        format!("{what}\n{}", error.remedy.unwrap_or_default())
    }

    #[test]
    fn zones_are_tried_in_their_order() {
        let places = choose(
            &AwsShape::small(),
            None,
            &[subnet("subnet-2", "eu-1b"), subnet("subnet-1", "eu-1a")],
        )
        .unwrap();
        let zones: Vec<&str> = places.iter().map(|place| place.zone.as_str()).collect();
        assert_eq!(zones, ["eu-1a", "eu-1b"]);
    }

    #[test]
    fn a_data_volume_binds_the_machine_to_its_zone() {
        let subnets = [subnet("subnet-1", "eu-1a"), subnet("subnet-2", "eu-1b")];
        let places = choose(&AwsShape::small(), Some("eu-1b"), &subnets).unwrap();
        assert_eq!(
            places.iter().map(|place| place.subnet.as_str()).collect::<Vec<_>>(),
            ["subnet-2"]
        );
        insta::assert_snapshot!(refusal(&AwsShape::small(), Some("eu-1c"), &subnets), @r#"
        failed to place machine.instance: its data volume is in eu-1c, and no subnet that may be used is
        write a `subnet` in eu-1c under [machine.aws]
        "#);
    }

    #[test]
    fn a_place_that_is_not_there_says_what_to_write() {
        insta::assert_snapshot!(refusal(&AwsShape::small(), None, &[]), @r#"
        failed to place machine.instance: this account has no default VPC in this region
        write `subnet = "subnet-…"` (or `vpc = "vpc-…"`) under [machine.aws], or make a default VPC: `aws ec2 create-default-vpc`
        "#);
        let vpc = AwsShape {
            vpc: Some("vpc-9".into()),
            ..AwsShape::small()
        };
        insta::assert_snapshot!(refusal(&vpc, None, &[]), @r#"
        failed to place machine.instance: vpc-9 has no subnet that gives public addresses
        write `subnet = "subnet-…"` under [machine.aws]
        "#);
        let ipv6 = AwsShape {
            ipv6: true,
            ..AwsShape::small()
        };
        insta::assert_snapshot!(refusal(&ipv6, None, &[subnet("subnet-1", "eu-1a")]), @r#"
        failed to place machine.instance: no subnet there has an IPv6 block
        give the VPC and its subnet an IPv6 block, write another `subnet`, or leave `ipv6` out
        "#);
    }
}
