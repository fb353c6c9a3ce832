//! What is seen of an environment that somebody else had their hands in, and what looking costs.

use aws_sdk_ec2::types::{HttpTokensState, InstanceCreditSpecificationRequest, Tag};
use provision::names::Address;
use provision::provider::CpuCredits;

use crate::double::{Double, make, owner, quiet, shaped, spec};

#[tokio::test]
async fn a_look_takes_six_calls() {
    let Some(double) = Double::start() else { return };
    let (aws, owner) = (double.aws(), owner(1));
    make(&aws, &owner, &spec(), &quiet).await.unwrap();
    double.reset().await;
    aws.observe(&owner).await.unwrap();
    let mut calls = double.calls().await;
    calls.sort();
    let expected = [
        "DescribeAddresses",
        "DescribeImages",
        "DescribeInstances",
        "DescribeKeyPairs",
        "DescribeSecurityGroups",
        "DescribeVolumes",
    ];
    assert_eq!(calls, expected);
}

/// Whatever somebody does, the one that knows what is settled sees the same as the one that asks for everything.
#[tokio::test]
async fn what_cannot_have_changed_is_not_asked_for() {
    let Some(double) = Double::start() else { return };
    let (aws, mut owner, somebody) = (double.aws().lean(), owner(7), double.somebody());
    let spec = shaped(|shape| {
        shape.static_address = true;
        shape.cpu_credits = Some(CpuCredits::Standard);
    });
    let made = make(&aws, &owner, &spec, &quiet).await.unwrap();
    let address = aws
        .ensure(&owner, &Address::MachineAddress, &spec, &quiet)
        .await
        .unwrap();
    let first = aws.observe(&owner).await.unwrap();
    let ids = first
        .parts
        .iter()
        .map(|(address, part)| (address.clone(), part.id.clone()));
    owner.ids = ids.chain([(Address::MachineInstance, made.id.clone())]).collect();
    let knowing = aws.clone().knowing(first.parts.clone());
    double.reset().await;
    assert_eq!(knowing.observe(&owner).await.unwrap(), first);
    let mut calls = double.calls().await;
    calls.sort();
    let expected = [
        "DescribeInstanceCreditSpecifications",
        "DescribeInstances",
        "DescribeSecurityGroups",
        "DescribeTags",
        "DescribeVolumes",
    ];
    assert_eq!(calls, expected);

    let mut before = first;
    let mut same = async |what: &str| {
        let seen = knowing.observe(&owner).await.unwrap();
        assert_eq!(seen, aws.observe(&owner).await.unwrap(), "{what}");
        assert_ne!(seen, before, "{what} is not seen");
        before = seen;
    };
    let unlimited = InstanceCreditSpecificationRequest::builder()
        .instance_id(&made.id)
        .cpu_credits("unlimited");
    let call = somebody.modify_instance_credit_specification();
    call.instance_credit_specifications(unlimited.build())
        .send()
        .await
        .unwrap();
    same("other credits").await;
    for (address, part) in &knowing.observe(&owner).await.unwrap().parts {
        let tag = Tag::builder().key("team").value(address.to_string()).build();
        somebody
            .create_tags()
            .resources(&part.id)
            .tags(tag)
            .send()
            .await
            .unwrap();
        same(&format!("a tag of {address}")).await;
    }
    let other = somebody.allocate_address().send().await.unwrap();
    let put = somebody.associate_address().instance_id(&made.id);
    let put = put
        .allocation_id(other.allocation_id().unwrap())
        .allow_reassociation(true);
    put.send().await.unwrap();
    same("another address on the machine").await;
    somebody
        .release_address()
        .allocation_id(&address.id)
        .send()
        .await
        .unwrap();
    same("no fixed address").await;
    let name = owner.machine_name();
    somebody.delete_key_pair().key_name(&name).send().await.unwrap();
    same("no key pair").await;
    aws.ensure(&owner, &Address::MachineKey, &spec, &quiet).await.unwrap();
    same("another key pair under its name").await;
    somebody
        .terminate_instances()
        .instance_ids(&made.id)
        .send()
        .await
        .unwrap();
    same("no machine").await;
}

#[tokio::test]
async fn what_somebody_changed_is_told_in_the_words_of_the_plan() {
    let Some(double) = Double::start() else { return };
    let (aws, owner, somebody) = (double.aws(), owner(2), double.somebody());
    let made = make(&aws, &owner, &spec(), &quiet).await.unwrap();
    let options = somebody.modify_instance_metadata_options().instance_id(&made.id);
    let options = options
        .http_tokens(HttpTokensState::Optional)
        .http_put_response_hop_limit(2);
    options.send().await.unwrap();
    somebody
        .modify_volume()
        .volume_id(&made.facts["root_volume"])
        .size(20)
        .send()
        .await
        .unwrap();
    let tag = Tag::builder().key("team").value("other").build();
    somebody
        .create_tags()
        .resources(&made.id)
        .tags(tag)
        .send()
        .await
        .unwrap();

    let there = aws.observe(&owner).await.unwrap().instance.unwrap().attributes;
    let asked = spec().attributes();
    let changed: Vec<String> = there
        .iter()
        .filter(|(name, value)| asked.get(*name) != Some(value))
        .map(|(name, value)| format!("{name} = {value}"))
        .collect();
    insta::assert_snapshot!(changed.join("\n"), @r"
    disk_gib = 20
    metadata = v1 allowed, 2 hops
    tags = team=other
    ");
}

#[tokio::test]
async fn a_machine_that_lost_its_tags_is_found_by_what_the_state_knows() {
    let Some(double) = Double::start() else { return };
    let (aws, mut owner, somebody) = (double.aws(), owner(3), double.somebody());
    let made = make(&aws, &owner, &spec(), &quiet).await.unwrap();
    somebody.delete_tags().resources(&made.id).send().await.unwrap();
    let untagged = somebody
        .describe_instances()
        .instance_ids(&made.id)
        .send()
        .await
        .unwrap();
    let tags = untagged.reservations()[0].instances()[0].tags().to_vec();
    let mut request = somebody.delete_tags().resources(&made.id);
    for tag in tags {
        request = request.tags(Tag::builder().key(tag.key().unwrap()).build());
    }
    request.send().await.unwrap();

    assert_eq!(aws.observe(&owner).await.unwrap().instance, None);
    owner.ids.insert(Address::MachineInstance, made.id.clone());
    let there = aws.observe(&owner).await.unwrap().instance.unwrap();
    assert_eq!(there.id, made.id);
    assert_eq!(there.attributes.get("image"), None, "the alias is not known any more");
    assert_eq!(there.attributes["tags"], "(provision:lineage is missing)");
    let right = aws.resize(&owner, &spec(), &quiet).await.unwrap();
    assert_eq!(right.attributes, spec().attributes());
    owner.ids.clear();
    assert_eq!(aws.observe(&owner).await.unwrap().instance.unwrap().id, made.id);
}

#[tokio::test]
async fn a_newer_image_is_news_and_no_difference() {
    let Some(double) = Double::start() else { return };
    let (aws, owner, somebody) = (double.aws(), owner(4), double.somebody());
    let images = somebody.describe_images().owners("136693071363").send().await.unwrap();
    let mut images: Vec<_> = images
        .images()
        .iter()
        .filter(|image| image.name().is_some_and(|name| name.starts_with("debian-13-amd64-")))
        .collect();
    images.sort_by_key(|image| image.creation_date());
    let [old, new] = images[..] else { panic!("{images:?}") };
    let pinned = shaped(|shape| shape.image = old.image_id().unwrap().to_owned());
    let made = make(&aws, &owner, &pinned, &quiet).await.unwrap();
    assert_eq!(made.attributes, pinned.attributes());
    assert_eq!(aws.observe(&owner).await.unwrap().news, Vec::<String>::new());

    // As if it had been made by its alias when that image was the newest.
    let tag = Tag::builder().key("provision:image").value("debian-13").build();
    somebody
        .create_tags()
        .resources(&made.id)
        .tags(tag)
        .send()
        .await
        .unwrap();
    let sight = aws.observe(&owner).await.unwrap();
    assert_eq!(sight.instance.unwrap().attributes, spec().attributes());
    let told = format!(
        "a newer debian-13 image is out: {} ({}); replacing machine.instance takes it",
        new.image_id().unwrap(),
        new.name().unwrap()
    );
    assert_eq!(sight.news, [told]);
}

#[tokio::test]
async fn what_belongs_to_another_life_of_the_environment_is_not_ours() {
    let Some(double) = Double::start() else { return };
    let (aws, before, now) = (double.aws(), owner(5), owner(6));
    make(&aws, &before, &spec(), &quiet).await.unwrap();
    let sight = aws.observe(&now).await.unwrap();
    assert_eq!((sight.instance, sight.parts.len()), (None, 0));
    aws.destroy(&now, &quiet).await.unwrap();
    assert!(aws.observe(&before).await.unwrap().instance.is_some());
}
