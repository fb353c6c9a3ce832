//! What a person reads when the cloud refuses.

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
    insta::assert_snapshot!(refused(&double, "RunInstances", "UnauthorizedOperation", denied).await, @"");
    insta::assert_snapshot!(refused(&double, "RunInstances", "VcpuLimitExceeded", "You have requested more vCPU capacity than your current vCPU limit").await, @"");
    insta::assert_snapshot!(refused(&double, "RunInstances", "OptInRequired", "You are not subscribed to this service").await, @"");
    insta::assert_snapshot!(refused(&double, "RunInstances", "InvalidParameterValue", "Value (nothing) for parameter iamInstanceProfile.name is invalid").await, @"");
    insta::assert_snapshot!(refused(&double, "RunInstances", "SomethingNew", "a code that nobody knows").await, @"");
    insta::assert_snapshot!(refused(&double, "*", "RequestLimitExceeded", "Request limit exceeded.").await, @"");
    insta::assert_snapshot!(refused(&double, "*", "AuthFailure", "AWS was not able to validate the provided access credentials").await, @"");
}

#[tokio::test]
async fn an_account_without_a_default_network_says_what_to_write() {
    let Some(double) = Double::start() else { return };
    double.account(json!({"default_vpc": false})).await;
    let error = make(&double.aws(), &owner(2), &spec(), &quiet).await.unwrap_err();
    let told = told(&error);
    assert!(told.contains("no default VPC") && told.contains("subnet"), "{told}");
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
        provision::provider::InstanceSpec { disk_gib: 2, ..spec() },
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
    insta::assert_snapshot!(all.join("\n"), @"");
    assert_eq!(double.look()["instances"], json!([]));
}

#[tokio::test]
async fn expired_credentials_say_so() {
    let Some(double) = Double::start() else { return };
    double.account(json!({"expired": true})).await;
    let error = double.aws().observe(&owner(4)).await.unwrap_err();
    insta::assert_snapshot!(steady(&told(&error)), @"");
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
    insta::assert_snapshot!(steady(&told(&error)), @"");
}

#[tokio::test]
async fn without_credentials_or_network_the_remedy_is_another_one() {
    let nowhere = config("http://127.0.0.1:9");
    let error = Aws::with_config(&nowhere, None)
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
