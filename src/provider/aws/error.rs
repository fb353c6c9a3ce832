//! What the cloud answers when it does not do what it was asked for, as an error that says what to do. Every error of the SDK
//! goes through [`failed`]; error codes are matched, never texts.

use std::error::Error as StdError;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::operation::RequestId;
use thiserror::Error;

use crate::provider::ProviderError;

/// What the service answered.
#[derive(Debug, Error)]
#[error("{code}: {message}{}", Request(.request))]
pub struct Answer {
    code: String,
    message: String,
    request: Option<String>,
}

struct Request<'a>(&'a Option<String>);

impl fmt::Display for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(id) => write!(f, " (request {id})"),
            None => Ok(()),
        }
    }
}

/// The service's error code; none when there was no answer.
pub fn code<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Option<&str> {
    error.as_service_error()?.code()
}

/// An error of the SDK as ours. `what` begins with "failed to …"; `action` is the permission that the call needs, such as
/// `ec2:RunInstances`.
pub fn failed<E>(what: impl Into<String>, action: &str, error: SdkError<E>) -> ProviderError
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let what = ProviderError::new(what);
    let request = error.request_id().map(str::to_owned);
    if let Some(service) = error.as_service_error() {
        let meta = service.meta();
        let message = meta.message().unwrap_or("no reason was given");
        let answer = Answer {
            code: meta.code().unwrap_or("unknown error").to_owned(),
            message: shortened(message),
            request: request.or_else(|| meta.request_id().map(str::to_owned)),
        };
        return match remedy(&answer.code, message, action) {
            Some(remedy) => what.with_remedy(remedy),
            None => what,
        }
        .because(answer);
    }
    let remedy = if chain(&error).any(|cause| cause.is::<CredentialsError>()) {
        "log in (`aws sso login`, `aws configure`), or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write `profile` under [machine.aws]; then run it again"
    } else if matches!(error, SdkError::TimeoutError(_)) {
        "the service did not answer in time: look at the network and at AWS_ENDPOINT_URL, then run it again; it goes on where it ended"
    } else {
        "look at the network, at the region's name and at AWS_ENDPOINT_URL, then run it again; it goes on where it ended"
    };
    what.with_remedy(remedy).because(Cause(error.into()))
}

/// An error with all its causes in one line: the SDK's outermost ones say little ("dispatch failure").
#[derive(Debug)]
struct Cause(Box<dyn StdError + Send + Sync>);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = String::new();
        for (place, cause) in chain(self.0.as_ref()).enumerate() {
            let text = cause.to_string();
            // Many a wrapper repeats what it wraps.
            if said.contains(&text) {
                continue;
            }
            if place > 0 {
                f.write_str(": ")?;
            }
            f.write_str(&text)?;
            said.push_str(&text);
        }
        Ok(())
    }
}

impl StdError for Cause {}

fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// Without the encoded part of a refusal: kilobytes that nobody can read.
fn shortened(message: &str) -> String {
    let end = message
        .find("Encoded authorization failure message")
        .unwrap_or(message.len());
    message.get(..end).unwrap_or(message).trim().to_owned()
}

/// What can be done about an error code that stands somewhere else than in the answer to a call.
pub fn remedy_of(code: &str) -> Option<String> {
    remedy(code, "", "")
}

fn remedy(code: &str, message: &str, action: &str) -> Option<String> {
    let fixed = match code {
        "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException" => return Some(permission(message, action)),
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => {
            "the credentials have expired: log in again (`aws sso login`) or renew them, look at this computer's clock, then run it again; it goes on where it ended"
        }
        "InvalidClientTokenId" | "AuthFailure" | "UnrecognizedClientException" | "SignatureDoesNotMatch" => {
            "the credentials are not valid here: look at AWS_PROFILE and AWS_ACCESS_KEY_ID, at this computer's clock, and whether the account has this region enabled"
        }
        "MissingAuthenticationToken" | "IncompleteSignature" => {
            "log in (`aws sso login`, `aws configure`) or set AWS_PROFILE, then run it again"
        }
        "OptInRequired" | "UnauthorizedRegion" => {
            "enable the service or region for this account in the console, or write another region"
        }
        "PendingVerification" | "Blocked" => "the account is held by AWS: see the mail from AWS or open a support case",
        "InsufficientInstanceCapacity" | "InsufficientHostCapacity" | "InsufficientCapacity" => {
            "none of the zones has such a machine now: try again in some minutes, or write another size or region"
        }
        "SpotMaxPriceTooLow" | "MaxSpotInstanceCountExceeded" => {
            "write `spot = false` under [machine.aws], or try again later"
        }
        "VcpuLimitExceeded" | "InstanceLimitExceeded" => {
            "the quota `Running On-Demand … instances` (Service Quotas, Amazon EC2) is used up: raise it, or destroy what is not needed (`provision gc --provider aws` lists what is ours)"
        }
        "AddressLimitExceeded" => {
            "the quota `EC2-VPC Elastic IPs` (Service Quotas, Amazon EC2; 5 per region at first) is used up: raise it, release what is not needed, or write `address = \"ephemeral\"`"
        }
        "VolumeLimitExceeded" | "MaxIOPSLimitExceeded" => {
            "the quota `Storage for General Purpose SSD (gp3) volumes` (Service Quotas, Amazon EBS) is used up: raise it, or remove volumes that are not needed"
        }
        "SecurityGroupLimitExceeded" | "SecurityGroupsPerInstanceLimitExceeded" => {
            "the quota `VPC security groups per Region` (Service Quotas, Amazon VPC) is used up: raise it, or remove groups that are not needed"
        }
        "RulesPerSecurityGroupLimitExceeded" => {
            "the quota `Inbound or outbound rules per security group` (Service Quotas, Amazon VPC) is used up: raise it, or write fewer networks in ssh_from"
        }
        "TagLimitExceeded" => "a resource has at most 50 tags: write fewer under [machine.aws.tags]",
        "InvalidAMIID.NotFound" | "InvalidAMIID.Malformed" | "InvalidAMIID.Unavailable" => {
            "write an image of this region that may be used: an alias such as \"debian-13\", or `ami-…`"
        }
        "InvalidInstanceType" => "write a size that the region has, such as \"t3.small\"",
        "Unsupported" | "UnsupportedOperation" | "UnsupportedHostConfiguration" => {
            "this combination of size, image and zone is not to be had: write another size, or another subnet"
        }
        "InvalidParameterCombination" => "write another size, or an image for the size's architecture",
        "VPCIdNotSpecified" | "DefaultVpcDoesNotExist" | "MissingInput" => NO_VPC,
        "InvalidSubnetID.NotFound" | "InvalidSubnet" => {
            "write a `subnet` of this region and account under [machine.aws], or none for the default VPC"
        }
        "InvalidVpcID.NotFound" => {
            "write a `vpc` of this region and account under [machine.aws], or none for the default VPC"
        }
        "InsufficientFreeAddressesInSubnet" => "the subnet has no free address left: write another one",
        "InvalidKey.Format" => "AWS takes RSA and ED25519 keys only: use another SSH key",
        "InvalidUserData.Malformed" => "this is a mistake of provision's: please report it",
        "IncorrectInstanceState" | "IncorrectState" | "InvalidState" => {
            "it is being changed by somebody else: wait until it is done, then run it again"
        }
        "OperationNotPermitted" => {
            "termination or stop protection is on: take it off in the console (Actions, Instance settings), then run it again"
        }
        "DependencyViolation" => {
            "something of somebody else's still uses it: find it in the console, then run it again"
        }
        "KMSKeyNotAccessibleFault" | "InvalidKmsKey.InvalidState" | "KmsKeyNotAccessible" | "KMSDisabledException" => {
            "the KMS key must exist in this region, be enabled, and may be used by these credentials"
        }
        "InvalidIamInstanceProfileArn.Malformed" | "InvalidIamInstanceProfile.NotFound" | "InvalidParameterValue"
            if message.contains("iamInstanceProfile") || code.contains("Iam") =>
        {
            "write the name of an instance profile (not of its role) that exists in this account"
        }
        "RequestLimitExceeded" | "Throttling" | "ThrottlingException" | "EC2ThrottledException" => {
            "AWS slows this account down, also after several attempts: run it again in some minutes; it goes on where it ended"
        }
        "InternalError" | "InternalFailure" | "ServerInternal" | "ServiceUnavailable" | "Unavailable" => {
            "AWS has trouble itself, also after several attempts: run it again later; it goes on where it ended"
        }
        other if other.ends_with("LimitExceeded") => {
            "raise the quota in the console (Service Quotas), then run it again"
        }
        _ => return None,
    };
    Some(fixed.to_owned())
}

/// What to write when there is no network to be in.
pub const NO_VPC: &str = "write `subnet = \"subnet-…\"` (or `vpc = \"vpc-…\"`) under [machine.aws], or make a default VPC: `aws ec2 create-default-vpc`";

/// The permission that is missing and the statement that gives it. A refusal names both itself, mostly; `RunInstances` needs
/// permissions on several resources.
fn permission(message: &str, action: &str) -> String {
    let word_after = |mark: &str| {
        let start = message.find(mark)? + mark.len();
        let word = message.get(start..)?.split_whitespace().next()?;
        Some(word.trim_end_matches(['.', ',']).to_owned())
    };
    let action = word_after("is not authorized to perform: ").unwrap_or_else(|| action.to_owned());
    let resource = word_after("on resource: ").unwrap_or_else(|| "*".to_owned());
    let denied = if message.contains("explicit deny") {
        " (an explicit deny stands against it: ask who wrote it)"
    } else {
        ""
    };
    format!(
        "these credentials lack {action}{denied}; add to their policy: \
         {{\"Effect\": \"Allow\", \"Action\": \"{action}\", \"Resource\": \"{resource}\"}}"
    )
}
