//! `RunInstances`, zone by zone, on the spot market first where that is wanted.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_ec2::error::SdkError;
use aws_sdk_ec2::operation::run_instances::RunInstancesError;
use aws_sdk_ec2::types::{
    BlockDeviceMapping, CreditSpecificationRequest, EbsBlockDevice, HttpTokensState, IamInstanceProfileSpecification,
    InstanceInterruptionBehavior, InstanceMarketOptionsRequest, InstanceMetadataEndpointState,
    InstanceMetadataOptionsRequest, InstanceType, MarketType, ResourceType, ShutdownBehavior, SpotInstanceType,
    SpotMarketOptions, TagSpecification, VolumeType,
};
use tokio::time::Instant;

use super::create::TO_BE_SEEN;
use super::placement::Place;
use super::{describe, id, lives};
use crate::names::Address;
use crate::note::{Note, Say};
use crate::provider::aws::image::Image;
use crate::provider::aws::tags::{self, Tags};
use crate::provider::aws::wait::{self, Look};
use crate::provider::aws::{Aws, error};
use crate::provider::{AwsShape, CpuCredits, InstanceSpec, Owner, ProviderError};

/// A pause before a call is repeated that came too early.
const SHORT: Duration = Duration::from_secs(2);

/// All that a machine is made from.
pub struct Launch<'a> {
    pub owner: &'a Owner,
    pub spec: &'a InstanceSpec,
    pub shape: &'a AwsShape,
    pub generation: u64,
    pub user_data: String,
    pub image: Image,
    pub group: String,
    pub key: String,
    /// Machines of this owner that are gone.
    pub dead: Vec<String>,
}

/// One way to get a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Try<'a> {
    place: &'a Place,
    spot: bool,
}

/// Makes the machine in the first place that has room; gives its identifier.
///
/// # Errors
/// When no place has room, or the call is refused.
pub async fn launch(
    aws: &Aws,
    mut launch: Launch<'_>,
    places: &[Place],
    say: Say<'_>,
) -> Result<String, ProviderError> {
    let spot = launch.shape.spot;
    let markets: &[bool] = if spot { &[true, false] } else { &[false] };
    let mut tries = Vec::new();
    for spot in markets {
        tries.extend(places.iter().map(|place| Try { place, spot: *spot }));
    }
    let mut last = None;
    for (count, attempt) in tries.into_iter().enumerate() {
        if spot && count == places.len() {
            say(Note::Warning(
                "there is no spot capacity now: an ordinary machine is made, at its price".to_owned(),
            ));
        }
        match one(aws, &mut launch, attempt, count == 0, say).await? {
            Outcome::Made(id) => {
                if !attempt.place.public && !launch.shape.static_address {
                    say(Note::Warning(format!(
                        "{} gives no public address: the machine is reached at its private one only",
                        attempt.place.subnet
                    )));
                }
                return Ok(id);
            }
            Outcome::Full(why) => {
                say(Note::Line(format!(
                    "{}: no {} there now{}",
                    attempt.place.zone,
                    launch.shape.size,
                    if attempt.spot { " on the spot market" } else { "" }
                )));
                last = Some(why);
            }
        }
    }
    let failed = ProviderError::new("failed to make machine.instance: there is no place to try");
    Err(last.map_or(failed, |why| refused(*why)))
}

enum Outcome {
    Made(String),
    /// Another zone may have it.
    Full(Box<SdkError<RunInstancesError>>),
}

async fn one(
    aws: &Aws,
    launch: &mut Launch<'_>,
    attempt: Try<'_>,
    first: bool,
    say: Say<'_>,
) -> Result<Outcome, ProviderError> {
    let end = Instant::now() + TO_BE_SEEN;
    let mut mismatched = false;
    loop {
        let token = launch.token(attempt, first, mismatched);
        match launch.request(aws, attempt, &token).send().await {
            Ok(output) => {
                let Some(made) = output.instances().first() else {
                    return Err(
                        ProviderError::new("failed to make machine.instance: the answer names none")
                            .with_remedy("run it again: what was made is found by its tags"),
                    );
                };
                if lives(made) {
                    return Ok(Outcome::Made(id(made).to_owned()));
                }
                // The token is that of a machine which is gone meanwhile.
                let gone = id(made).to_owned();
                if launch.dead.contains(&gone) {
                    return Err(super::dead(made));
                }
                launch.dead.push(gone);
            }
            Err(why) => match error::code(&why) {
                Some("IdempotentParameterMismatch") if !mismatched => {
                    // An interrupted call made one with other parameters, such as an earlier end of its life; it is there
                    // in a moment, unless that call failed after all.
                    if let Some(id) = with_token(aws, &token, say).await? {
                        return Ok(Outcome::Made(id));
                    }
                    mismatched = true;
                }
                Some(code) if is_full(code, attempt.spot) => return Ok(Outcome::Full(Box::new(why))),
                // Key and firewall are a moment old.
                Some("InvalidGroup.NotFound" | "InvalidSecurityGroupID.NotFound" | "InvalidKeyPair.NotFound")
                    if Instant::now() < end =>
                {
                    say(Note::Waiting("key and firewall to be seen everywhere".to_owned()));
                    tokio::time::sleep(SHORT).await;
                }
                _ => return Err(refused(why)),
            },
        }
    }
}

/// Whether another zone, or the ordinary market, may do.
fn is_full(code: &str, spot: bool) -> bool {
    match code {
        "InsufficientInstanceCapacity" | "InsufficientHostCapacity" | "Unsupported" => true,
        "InsufficientFreeAddressesInSubnet" => true,
        "SpotMaxPriceTooLow" | "MaxSpotInstanceCountExceeded" => spot,
        _ => false,
    }
}

fn refused(why: SdkError<RunInstancesError>) -> ProviderError {
    error::failed("failed to make machine.instance", "ec2:RunInstances", why)
}

/// The machine that was made with this token, when there is one soon.
async fn with_token(aws: &Aws, token: &str, say: Say<'_>) -> Result<Option<String>, ProviderError> {
    let end = Instant::now() + TO_BE_SEEN;
    wait::until(
        "an interrupted call's machine to be seen",
        TO_BE_SEEN * 2,
        say,
        || async {
            let found = describe(aws, tags::filter("client-token", [token])).await?;
            if let Some(machine) = found.iter().find(|machine| lives(machine)) {
                return Ok(Look::Done(Some(id(machine).to_owned())));
            }
            if Instant::now() >= end || !found.is_empty() {
                return Ok(Look::Done(None));
            }
            Ok(Look::NotYet("not there".to_owned()))
        },
    )
    .await
}

impl Launch<'_> {
    /// The first attempt's token is the one that any run would make; another place or market is another call.
    fn token(&self, attempt: Try<'_>, first: bool, mismatched: bool) -> String {
        let market = if attempt.spot { "spot" } else { "on-demand" };
        let mut beside: Vec<&str> = self.dead.iter().map(String::as_str).collect();
        beside.sort_unstable();
        if !first {
            beside.extend([attempt.place.subnet.as_str(), market]);
        }
        if mismatched {
            beside.push("again");
        }
        tags::token(self.owner, &Address::MachineInstance, self.generation, &beside)
    }

    fn request(
        &self,
        aws: &Aws,
        attempt: Try<'_>,
        token: &str,
    ) -> aws_sdk_ec2::operation::run_instances::builders::RunInstancesFluentBuilder {
        let Self { spec, shape, .. } = self;
        // A spot machine cannot be stopped, and one with an end goes when it turns itself off.
        let shutdown = if attempt.spot || spec.ttl_seconds.is_some() {
            ShutdownBehavior::Terminate
        } else {
            ShutdownBehavior::Stop
        };
        let mut request = aws
            .ec2
            .run_instances()
            .client_token(token)
            .min_count(1)
            .max_count(1)
            .image_id(&self.image.id)
            .instance_type(InstanceType::from(shape.size.as_str()))
            .key_name(&self.key)
            .subnet_id(&attempt.place.subnet)
            .security_group_ids(&self.group)
            .user_data(&self.user_data)
            .metadata_options(metadata())
            .block_device_mappings(self.root_disk())
            .instance_initiated_shutdown_behavior(shutdown)
            .set_tag_specifications(Some(self.tags(attempt.spot)));
        if let Some(profile) = &shape.instance_profile {
            request = request.iam_instance_profile(instance_profile(profile));
        }
        if shape.ipv6 {
            request = request.ipv6_address_count(1);
        }
        if let Some(credits) = shape.cpu_credits {
            let credits = CreditSpecificationRequest::builder()
                .cpu_credits(credits_word(credits))
                .build();
            request = request.credit_specification(credits);
        }
        if attempt.spot {
            request = request.instance_market_options(spot());
        }
        request
    }

    fn root_disk(&self) -> BlockDeviceMapping {
        let disk = EbsBlockDevice::builder()
            .volume_type(VolumeType::Gp3)
            .set_volume_size(self.spec.disk_gib.map(|gib| i32::try_from(gib).unwrap_or(i32::MAX)))
            .encrypted(true)
            .set_kms_key_id(self.shape.kms_key.clone())
            .delete_on_termination(true)
            .build();
        BlockDeviceMapping::builder()
            .device_name(&self.image.root_device)
            .ebs(disk)
            .build()
    }

    fn tags(&self, spot: bool) -> Vec<TagSpecification> {
        let machine =
            machine_tags(self.owner, self.spec, self.shape).with(tags::GENERATION, self.generation.to_string());
        let base = Tags::of(self.owner, &Address::MachineInstance, self.spec);
        let mut all = BTreeMap::from([
            ("instance", machine.specification(ResourceType::Instance)),
            ("network-interface", base.specification(ResourceType::NetworkInterface)),
            (
                "volume",
                root_tags(self.owner, self.spec, self.shape).specification(ResourceType::Volume),
            ),
        ]);
        if spot {
            all.insert("spot", base.specification(ResourceType::SpotInstancesRequest));
        }
        all.into_values().collect()
    }
}

/// The tags of the instance itself, with what was asked for and is not shown.
pub fn machine_tags(owner: &Owner, spec: &InstanceSpec, shape: &AwsShape) -> Tags {
    let market = if shape.spot { "spot" } else { "on-demand" };
    let mut tags = Tags::of(owner, &Address::MachineInstance, spec)
        .with(tags::IMAGE, &shape.image)
        .with(tags::MARKET, market);
    if let Some(subnet) = &shape.subnet {
        tags = tags.with(tags::SUBNET, subnet);
    }
    if let Some(profile) = &shape.instance_profile {
        tags = tags.with(tags::PROFILE, profile);
    }
    if shape.ipv6 {
        tags = tags.with(tags::IPV6, "yes");
    }
    if let Some(credits) = shape.cpu_credits {
        tags = tags.with(tags::CREDITS, credits_word(credits));
    }
    tags
}

/// The tags of the root volume.
pub fn root_tags(owner: &Owner, spec: &InstanceSpec, shape: &AwsShape) -> Tags {
    let encryption = shape.kms_key.clone().unwrap_or_else(|| "default key".to_owned());
    Tags::of(owner, &Address::MachineInstance, spec)
        .with(tags::ADDRESS, tags::ROOT)
        .with(tags::ENCRYPTION, encryption)
}

/// A word of EC2's and of the plan's.
pub fn credits_word(credits: CpuCredits) -> &'static str {
    match credits {
        CpuCredits::Standard => "standard",
        CpuCredits::Unlimited => "unlimited",
    }
}

/// A profile by its name or its ARN.
pub fn instance_profile(profile: &str) -> IamInstanceProfileSpecification {
    let builder = IamInstanceProfileSpecification::builder();
    if profile.starts_with("arn:") {
        builder.arn(profile).build()
    } else {
        builder.name(profile).build()
    }
}

/// The metadata service for programs on the machine itself only: with a token, and no hop into a container.
fn metadata() -> InstanceMetadataOptionsRequest {
    InstanceMetadataOptionsRequest::builder()
        .http_endpoint(InstanceMetadataEndpointState::Enabled)
        .http_tokens(HttpTokensState::Required)
        .http_put_response_hop_limit(1)
        .build()
}

fn spot() -> InstanceMarketOptionsRequest {
    let options = SpotMarketOptions::builder()
        .spot_instance_type(SpotInstanceType::OneTime)
        .instance_interruption_behavior(InstanceInterruptionBehavior::Terminate)
        .build();
    InstanceMarketOptionsRequest::builder()
        .market_type(MarketType::Spot)
        .spot_options(options)
        .build()
}
