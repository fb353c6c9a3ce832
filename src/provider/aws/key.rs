//! `machine.key`: the public key that the image's first boot lets in, as a key pair of EC2.
//!
//! A key pair cannot be changed, only imported anew under its name. The cloud need not give back the comment of a public key,
//! so it is kept in a tag.

use std::time::Duration;

use aws_sdk_ec2::primitives::Blob;
use aws_sdk_ec2::types::{KeyPairInfo, ResourceType};
use tokio::time::sleep;

use super::own::{is_gone, is_nobody_elses, retag, shape};
use super::tags::{self, Tags};
use super::{Aws, error};
use crate::names::Address;
use crate::note::Say;
use crate::provider::{Attributes, InstanceSpec, Owner, Part, ProviderError};

/// The comment of the public key.
const COMMENT: &str = "provision:key-comment";
/// The longest value of a tag (EC2).
const TAG_VALUE: usize = 255;
/// How often it is looked at anew when somebody imports the same name at the same time.
const ATTEMPTS: u32 = 5;
/// The pause before that.
const AGAIN: Duration = Duration::from_millis(700);

/// What observation tells of a key pair.
pub(super) fn part(described: &KeyPairInfo, owner: &Owner) -> Part {
    let tags = Tags::read(described.tags());
    let mut line = described.public_key().map(material).unwrap_or_default();
    if let Some(comment) = tags.get(COMMENT) {
        line = format!("{line} {comment}");
    }
    let mut attributes = Attributes::from([("public_key".to_owned(), line)]);
    attributes.extend(tags.shown(owner).map(|tags| ("tags".to_owned(), tags)));
    Part {
        id: described.key_pair_id().unwrap_or_default().to_owned(),
        attributes,
        facts: described
            .key_name()
            .map(|name| ("name".to_owned(), name.to_owned()))
            .into_iter()
            .collect(),
    }
}

/// Imports the key, adopts the one that is there, or replaces another one under its name.
pub(super) async fn ensure(
    aws: &Aws,
    owner: &Owner,
    spec: &InstanceSpec,
    _say: Say<'_>,
) -> Result<Part, ProviderError> {
    let line = &shape(spec)?.public_key;
    let name = owner.machine_name();
    let mut wanted = Tags::of(owner, &Address::MachineKey, spec);
    let comment = comment(line);
    if !comment.is_empty() {
        wanted = wanted.with(COMMENT, comment);
    }
    let mut attempt = 0;
    loop {
        attempt += 1;
        let mut right = None;
        for there in find(aws, owner).await? {
            let same = there.key_name() == Some(&name) && there.public_key().map(material) == Some(material(line));
            if same {
                right = Some(there);
            } else {
                delete(aws, &there).await?;
            }
        }
        if let Some(there) = right {
            let id = there.key_pair_id().unwrap_or_default();
            retag(aws, id, &wanted, &Tags::read(there.tags())).await?;
            return Ok(part(&like(id, &name, line, &wanted), owner));
        }
        let import = aws
            .ec2
            .import_key_pair()
            .key_name(&name)
            .public_key_material(Blob::new(line.as_bytes()))
            .tag_specifications(wanted.specification(ResourceType::KeyPair));
        match import.send().await {
            Ok(output) => {
                let id = output.key_pair_id().unwrap_or_default();
                return Ok(part(&like(id, &name, line, &wanted), owner));
            }
            // Made by a call whose answer was lost, and not seen by tag a moment ago; or somebody else's.
            Err(taken) if error::code(&taken) == Some("InvalidKeyPair.Duplicate") && attempt < ATTEMPTS => {
                refuse_foreign(aws, owner, &name).await?;
                sleep(AGAIN).await;
            }
            Err(other) => {
                let what = format!("failed to import the key pair `{name}`");
                return Err(error::failed(what, "ec2:ImportKeyPair", other));
            }
        }
    }
}

/// Deletes it.
pub(super) async fn remove(aws: &Aws, owner: &Owner, _say: Say<'_>) -> Result<(), ProviderError> {
    for there in find(aws, owner).await? {
        delete(aws, &there).await?;
    }
    Ok(())
}

async fn find(aws: &Aws, owner: &Owner) -> Result<Vec<KeyPairInfo>, ProviderError> {
    let describe = || aws.ec2.describe_key_pairs().include_public_key(true);
    let failed = |why| error::failed("failed to look for the key pair", "ec2:DescribeKeyPairs", why);
    let by_tag = describe().set_filters(Some(tags::at(owner, &Address::MachineKey)));
    let found = by_tag.send().await.map_err(failed)?.key_pairs.unwrap_or_default();
    match owner.ids.get(&Address::MachineKey) {
        Some(id) if found.is_empty() => {
            let by_id = describe().filters(tags::filter("key-pair-id", [id.as_str()]));
            let mut found = by_id.send().await.map_err(failed)?.key_pairs.unwrap_or_default();
            found.retain(|key| is_nobody_elses(key.tags(), owner));
            Ok(found)
        }
        _ => Ok(found),
    }
}

async fn refuse_foreign(aws: &Aws, owner: &Owner, name: &str) -> Result<(), ProviderError> {
    let what = format!("failed to import the key pair `{name}`");
    let there = match aws.ec2.describe_key_pairs().key_names(name).send().await {
        Ok(output) => output.key_pairs.unwrap_or_default(),
        Err(gone) if is_gone(error::code(&gone)) => return Ok(()),
        Err(other) => return Err(error::failed(what, "ec2:DescribeKeyPairs", other)),
    };
    match there.first() {
        Some(there) if !Tags::read(there.tags()).is_of(owner) => {
            let id = there.key_pair_id().unwrap_or_default();
            Err(
                ProviderError::new(format!("{what}: {id} has this name and is not ours")).with_remedy(format!(
                    "when nobody needs it: `aws ec2 delete-key-pair --key-pair-id {id}`, then apply again"
                )),
            )
        }
        _ => Ok(()),
    }
}

async fn delete(aws: &Aws, there: &KeyPairInfo) -> Result<(), ProviderError> {
    // By its name, which is as unique as its identifier: a permission can be bound to names, and doubles know only them.
    let name = there.key_name().unwrap_or_default();
    match aws.ec2.delete_key_pair().key_name(name).send().await {
        Ok(_) => Ok(()),
        Err(gone) if is_gone(error::code(&gone)) => Ok(()),
        Err(other) => {
            let what = format!("failed to delete the key pair `{name}`");
            Err(error::failed(what, "ec2:DeleteKeyPair", other))
        }
    }
}

/// The key pair that we know to be there now.
fn like(id: &str, name: &str, line: &str, tags: &Tags) -> KeyPairInfo {
    KeyPairInfo::builder()
        .key_pair_id(id)
        .key_name(name)
        .public_key(line)
        .set_tags(Some(tags.list()))
        .build()
}

/// Kind and key, without the comment.
fn material(line: &str) -> String {
    line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

fn comment(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().skip(2).collect();
    words.join(" ").chars().take(TAG_VALUE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_as_it_was_asked_for_whatever_the_cloud_does_to_its_comment() {
        let owner = Owner {
            environment: "demo".parse().unwrap(),
            lineage: "0123456789abcdef0123456789abcdef".parse().unwrap(),
            ids: Default::default(),
            expires: None,
        };
        let tags = Tags::default()
            .with(tags::LINEAGE, owner.lineage.as_str())
            .with(COMMENT, "me at home");
        for given in [
            "ssh-ed25519 AAAA",
            "ssh-ed25519 AAAA demo-01234567",
            "ssh-ed25519 AAAA me at home\n",
        ] {
            let part = part(&like("key-1", "demo-01234567", given, &tags), &owner);
            let shown: Vec<_> = part.attributes.into_iter().collect();
            assert_eq!(
                shown,
                [("public_key".into(), "ssh-ed25519 AAAA me at home".into())],
                "{given}"
            );
        }
    }
}
