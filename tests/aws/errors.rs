//! What a person reads when the cloud refuses.

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use provision::provider::aws::Aws;
use serde_json::json;

use crate::double::{Double, config, make, owner, quiet, shaped, spec, told};

/// Without the request's number, which is another one each time.
fn steady(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        lines.push(line.split(" (request ").next().unwrap_or(line).to_owned());
    }
    lines.join("\n")
}

/// Which of several looks fails first is chance.
fn after_first_line(text: &str) -> String {
    steady(text.split_once('\n').unwrap().1)
}

/// The end of a chain of credentials that has none.
#[derive(Debug)]
struct Nobody;

impl ProvideCredentials for Nobody {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let nothing = "no providers in chain provided credentials";
        future::ProvideCredentials::ready(Err(CredentialsError::not_loaded(nothing)))
    }
}

/// What is told when making a machine is refused with this code.
async fn refused(double: &Double, action: &str, code: &str, message: &str) -> String {
    let rule = format!("refuse:{code}:{message}");
    double
        .faults(json!([{"action": action, "nth": "every", "do": rule}]))
        .await;
    let error = make(&double.aws(), &owner(1), &spec(), &quiet).await.unwrap_err();
    double.reset().await;
    steady(&told(&error))
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let Some(double) = Double::start() else { return };
    let denied = "You are not authorized to perform this operation. User: arn:aws:iam::123456789012:user/ci is not authorized to perform: ec2:RunInstances on resource: arn:aws:ec2:eu-central-1:123456789012:instance/* because no identity-based policy allows the ec2:RunInstances action. Encoded authorization failure message: 3vmB9fXm";
    insta::assert_snapshot!(refused(&double, "RunInstances", "UnauthorizedOperation", denied).await, @r#"
    failed to make machine.instance
      because UnauthorizedOperation: You are not authorized to perform this operation. User: arn:aws:iam::123456789012:user/ci is not authorized to perform: ec2:RunInstances on resource: arn:aws:ec2:eu-central-1:123456789012:instance/* because no identity-based policy allows the ec2:RunInstances action.
      hint: these credentials lack ec2:RunInstances; add to their policy: {"Effect": "Allow", "Action": "ec2:RunInstances", "Resource": "arn:aws:ec2:eu-central-1:123456789012:instance/*"}
    "#);
    insta::assert_snapshot!(refused(&double, "RunInstances", "VcpuLimitExceeded", "You have requested more vCPU capacity than your current vCPU limit").await, @r#"
    failed to make machine.instance
      because VcpuLimitExceeded: You have requested more vCPU capacity than your current vCPU limit
      hint: the quota `Running On-Demand … instances` (Service Quotas, Amazon EC2) is used up: raise it, or destroy what is not needed (`provision gc --provider aws` lists what is ours)
    "#);
    insta::assert_snapshot!(refused(&double, "RunInstances", "OptInRequired", "You are not subscribed to this service").await, @r#"
    failed to make machine.instance
      because OptInRequired: You are not subscribed to this service
      hint: enable the service or region for this account in the console, or write another region
    "#);
    insta::assert_snapshot!(refused(&double, "RunInstances", "InvalidParameterValue", "Value (nothing) for parameter iamInstanceProfile.name is invalid").await, @r#"
    failed to make machine.instance
      because InvalidParameterValue: Value (nothing) for parameter iamInstanceProfile.name is invalid
      hint: write the name of an instance profile (not of its role) that exists in this account
    "#);
    insta::assert_snapshot!(refused(&double, "RunInstances", "SomethingNew", "a code that nobody knows").await, @r#"
    failed to make machine.instance
      because SomethingNew: a code that nobody knows
    "#);
    insta::assert_snapshot!(refused(&double, "*", "RequestLimitExceeded", "Request limit exceeded.").await, @r#"
    failed to look for the key pair
      because RequestLimitExceeded: Request limit exceeded.
      hint: AWS slows this account down, also after several attempts: run it again in some minutes; it goes on where it ended
    "#);
    insta::assert_snapshot!(refused(&double, "*", "AuthFailure", "AWS was not able to validate the provided access credentials").await, @r#"
    failed to look for the key pair
      because AuthFailure: AWS was not able to validate the provided access credentials
      hint: the credentials are not valid here: look at AWS_PROFILE and AWS_ACCESS_KEY_ID, at this computer's clock, and whether the account has this region enabled
    "#);
}

#[tokio::test]
async fn an_account_without_a_default_network_says_what_to_write() {
    let Some(double) = Double::start() else { return };
    double.account(json!({"default_vpc": false})).await;
    let error = make(&double.aws(), &owner(2), &spec(), &quiet).await.unwrap_err();
    let told = told(&error);
    assert!(told.contains("default VPC") && told.contains("subnet"), "{told}");
}

#[tokio::test]
async fn what_is_asked_for_and_cannot_be_is_told_before_anything_is_made() {
    let Some(double) = Double::start() else { return };
    let aws = double.aws();
    let mut all = Vec::new();
    for spec in [
        shaped(|shape| shape.size = "t3.gigantic".into()),
        shaped(|shape| shape.image = "ami-0123456789abcdef0".into()),
        shaped(|shape| shape.subnet = Some("subnet-0123456789abcdef0".into())),
        shaped(|shape| {
            shape.size = "m5.large".into();
            shape.cpu_credits = Some(provision::provider::CpuCredits::Unlimited);
        }),
        provision::provider::InstanceSpec {
            disk_gib: Some(2),
            ..spec()
        },
    ] {
        let owner = owner(3);
        aws.ensure(&owner, &provision::names::Address::MachineKey, &spec, &quiet)
            .await
            .unwrap();
        let good = shaped(|_| {});
        aws.ensure(&owner, &provision::names::Address::MachineFirewall, &good, &quiet)
            .await
            .unwrap();
        all.push(steady(&told(&aws.create(&owner, &spec, 1, &quiet).await.unwrap_err())));
    }
    insta::assert_snapshot!(all.join("\n"), @r#"
    failed to use the size t3.gigantic: eu-central-1 has none such
      hint: write a `size` that the region has, such as "t3.small" or "t4g.small"
    failed to find the image ami-0123456789abcdef0 for x86_64 in eu-central-1
      hint: write an image of this region as `image = "ami-…"`; publishers do not serve every region
    failed to place machine.instance: there is no subnet subnet-0123456789abcdef0
      hint: write a `subnet` of this region and account under [machine.aws], or none for the default VPC
    failed to make machine.instance: m5.large has no CPU credits
      hint: leave `cpu_credits` out, or write a burstable size, such as "t3.small"
    failed to make machine.instance: its disk has 2 GiB and the image debian-13-amd64-20251021-2545 needs 8
      hint: write `disk_gib = 8` or more
    "#);
    assert_eq!(double.look()["instances"], json!([]));
}

#[tokio::test]
async fn expired_credentials_say_so() {
    let Some(double) = Double::start() else { return };
    double.account(json!({"expired": true})).await;
    let error = double.aws().observe(&owner(4)).await.unwrap_err();
    insta::assert_snapshot!(after_first_line(&told(&error)), @r#"
    because RequestExpired: Request has expired.
    hint: the credentials have expired: log in again (`aws sso login`) or renew them, look at this computer's clock, then run it again; it goes on where it ended
    "#);
}

#[tokio::test]
async fn a_missing_permission_is_named_with_the_statement_that_gives_it() {
    let Some(double) = Double::start_with(&["--authorize"]) else {
        return;
    };
    let statement = json!({"Effect": "Allow", "NotAction": "ec2:DescribeVolumes", "Resource": "*"});
    double
        .policy(json!({"Version": "2012-10-17", "Statement": [statement]}))
        .await;
    let error = double.aws().observe(&owner(5)).await.unwrap_err();
    insta::assert_snapshot!(after_first_line(&told(&error)), @r#"
    because UnauthorizedOperation: You are not authorized to perform this operation. User: arn:aws:iam::123456789012:user/provision-test is not authorized to perform: ec2:DescribeVolumes on resource: * because no identity-based policy allows the ec2:DescribeVolumes action.
    hint: these credentials lack ec2:DescribeVolumes; add to their policy: {"Effect": "Allow", "Action": "ec2:DescribeVolumes", "Resource": "*"}
    "#);
}

#[tokio::test]
async fn without_credentials_or_network_the_remedy_is_another_one() {
    let nowhere = config("http://127.0.0.1:9");
    let provider = aws_sdk_ec2::config::SharedCredentialsProvider::new(Nobody);
    let nobody = nowhere.to_builder().credentials_provider(provider).build();
    let error = Aws::with_config(&nobody, None)
        .unwrap()
        .observe(&owner(6))
        .await
        .unwrap_err();
    let without = told(&error);
    assert!(without.contains("aws sso login"), "{without}");
    let credentials = aws_sdk_ec2::config::Credentials::new("AKIA", "secret", None, None, "test");
    let credentials = aws_sdk_ec2::config::SharedCredentialsProvider::new(credentials);
    let nowhere = nowhere.into_builder().credentials_provider(credentials).build();
    let error = Aws::with_config(&nowhere, None)
        .unwrap()
        .observe(&owner(6))
        .await
        .unwrap_err();
    let unreachable = told(&error);
    assert!(unreachable.contains("look at the network"), "{unreachable}");
    assert!(
        unreachable.to_lowercase().contains("connection refused"),
        "{unreachable}"
    );
}
