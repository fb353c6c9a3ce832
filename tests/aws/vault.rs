//! Secrets that lie in Systems Manager and Secrets Manager.

use aws_sdk_ssm::types::ParameterType;
use provision::provider::ProviderError;
use provision::provider::aws::vault::{Vault, Wanted, fetch_with};
use provision::secret::Secret;
use serde_json::json;

use crate::double::{Double, REGION, told};

fn wanted(vault: Vault, name: &str) -> Wanted {
    Wanted {
        vault,
        name: name.to_owned(),
        region: Some(REGION.to_owned()),
        profile: None,
    }
}

async fn ask(double: &Double, wanted: Vec<Wanted>) -> Vec<Result<Secret, ProviderError>> {
    fetch_with(wanted, |_| Some(double.config())).await
}

async fn refused(double: &Double, vault: Vault, name: &str) -> String {
    let mut answers = ask(double, vec![wanted(vault, name)]).await;
    told(&answers.remove(0).unwrap_err())
}

/// What somebody has put there.
async fn fill(double: &Double) {
    let config = double.somebodys_config();
    let parameters = aws_sdk_ssm::Client::new(&config);
    for (name, kind, value) in [
        ("/shop/stripe", ParameterType::SecureString, "canary-stripe"),
        ("plain", ParameterType::String, "canary-plain"),
    ] {
        parameters
            .put_parameter()
            .name(name)
            .r#type(kind)
            .value(value)
            .send()
            .await
            .unwrap();
    }
    let secrets = aws_sdk_secretsmanager::Client::new(&config);
    let object = json!({"user": "shop", "password": "canary-mail"}).to_string();
    secrets
        .create_secret()
        .name("shop/mail")
        .secret_string(object)
        .send()
        .await
        .unwrap();
    let bytes = aws_sdk_secretsmanager::primitives::Blob::new(*b"canary-bytes");
    secrets
        .create_secret()
        .name("shop/bytes")
        .secret_binary(bytes)
        .send()
        .await
        .unwrap();
}

#[tokio::test]
async fn values_come_in_the_order_of_the_questions_and_each_is_asked_once() {
    let Some(double) = Double::start() else { return };
    fill(&double).await;
    let asked = vec![
        wanted(Vault::SecretsManager, "shop/mail#password"),
        wanted(Vault::Ssm, "/shop/stripe"),
        wanted(Vault::SecretsManager, "shop/mail"),
        wanted(Vault::Ssm, "plain"),
        wanted(Vault::SecretsManager, "shop/mail#user"),
    ];
    let answers = ask(&double, asked).await;
    let values: Vec<String> = answers
        .into_iter()
        .map(|value| value.unwrap().expose().to_owned())
        .collect();
    let object = "{\"password\":\"canary-mail\",\"user\":\"shop\"}";
    assert_eq!(values, ["canary-mail", "canary-stripe", object, "canary-plain", "shop"]);
}

#[tokio::test]
async fn what_cannot_be_had_says_what_to_do_and_quotes_no_secret() {
    let Some(double) = Double::start_with(&["--authorize"]) else {
        return;
    };
    fill(&double).await;
    let mut all = Vec::new();
    for (vault, name, words) in [
        (Vault::Ssm, "/shop/strip", "aws ssm put-parameter"),
        (Vault::SecretsManager, "shop/mial", "aws secretsmanager create-secret"),
        (Vault::SecretsManager, "shop/mail#passwort", "it has: password, user"),
        (Vault::SecretsManager, "shop/bytes", "--secret-string"),
    ] {
        let text = refused(&double, vault, name).await;
        assert!(text.contains(words), "{words} in {text}");
        assert!(text.contains(name.split('#').next().unwrap()), "{text}");
        all.push(text);
    }
    let nothing = json!({"Effect": "Allow", "Action": "sts:GetCallerIdentity", "Resource": "*"});
    double
        .policy(json!({"Version": "2012-10-17", "Statement": nothing}))
        .await;
    for (vault, name, action) in [
        (Vault::Ssm, "/shop/stripe", "ssm:GetParameter"),
        (Vault::SecretsManager, "shop/mail", "secretsmanager:GetSecretValue"),
    ] {
        let text = refused(&double, vault, name).await;
        assert!(text.contains(&format!("\"Action\": \"{action}\"")), "{text}");
        all.push(text);
    }
    let all = all.join("\n");
    for value in ["canary", "mail\"}"] {
        assert!(!all.contains(value), "{all}");
    }
}

#[tokio::test]
async fn one_that_is_missing_keeps_no_other_from_its_answer() {
    let Some(double) = Double::start() else { return };
    fill(&double).await;
    let answers = ask(
        &double,
        vec![wanted(Vault::Ssm, "nowhere"), wanted(Vault::Ssm, "plain")],
    )
    .await;
    assert!(answers[0].is_err());
    assert_eq!(answers[1].as_ref().unwrap().expose(), "canary-plain");
}

#[tokio::test]
async fn without_a_region_nobody_is_asked() {
    let answers = fetch_with(vec![wanted(Vault::Ssm, "x")], |_| None).await;
    let text = told(answers[0].as_ref().unwrap_err());
    assert!(
        text.contains("no region is known") && text.contains("AWS_REGION"),
        "{text}"
    );
}
