//! What is told when the vendor does not do what it was asked for: its words, its request, and what to do.

use provision::names::Address;
use provision::provider::digitalocean::{DigitalOcean, Token};
use provision::provider::{InstanceSpec, ProviderError};
use serde_json::{Value, json};

use super::double::*;

/// Without the number of the request, which is another each time.
fn plain(error: &ProviderError) -> String {
    let text = told(error);
    match text.split_once("(request ") {
        Some((before, after)) => format!("{before}(request …){}", &after[after.find(')').unwrap() + 1..]),
        None => text,
    }
}

async fn refused(double: &Double, spec: &InstanceSpec) -> String {
    let cloud = double.cloud();
    for address in [Address::MachineKey, Address::MachineFirewall] {
        cloud.ensure(&owner(1), &address, spec, &quiet).await.unwrap();
    }
    let told = plain(&cloud.create(&owner(1), spec, 1, &quiet).await.unwrap_err());
    assert_eq!(
        double.all("droplets").len(),
        double.look()["droplets"].as_array().unwrap().len()
    );
    told
}

#[tokio::test]
async fn what_is_not_to_be_had_is_told_before_it_is_asked_for() {
    let Some(double) = Double::start() else { return };
    let size = refused(&double, &shaped(|shape| shape.size = "s-1vcpu-3gb".into())).await;
    insta::assert_snapshot!(size, @r"
    failed to find the size `s-1vcpu-3gb`: DigitalOcean has none of this name
      hint: did you mean `s-1vcpu-2gb`? `doctl compute size list` tells what there is
    ");
    let elsewhere = refused(&double, &shaped(|shape| shape.size = "s-1vcpu-512mb-10gb".into())).await;
    insta::assert_snapshot!(elsewhere, @r"
    failed to make machine.instance: the size s-1vcpu-512mb-10gb is not to be had in fra1
      hint: write another `size`, or one of its regions: nyc3, ams3
    ");
    let region = refused(&double, &shaped(|shape| shape.region = "fra9".into())).await;
    insta::assert_snapshot!(region, @r"
    failed to find the region `fra9`: DigitalOcean has none of this name
      hint: there are: fra1, nyc3, ams3, sfo2
    ");
    let full = refused(&double, &shaped(|shape| shape.region = "sfo2".into())).await;
    insta::assert_snapshot!(full, @r"
    failed to make machine.instance: the region sfo2 takes no new Droplets now
      hint: write another `region`: `doctl compute region list` tells which are available
    ");
    let image = refused(&double, &shaped(|shape| shape.image = "debian-14-x64".into())).await;
    insta::assert_snapshot!(image, @r"
    failed to find the image `debian-14-x64`: DigitalOcean has none of this name
      hint: write debian-13, debian-12, ubuntu-24.04, ubuntu-22.04, a slug of `doctl compute image list-distribution`, or the number of an image of your own
    ");
    let small = refused(&double, &shaped(|shape| shape.image = "7000001".into())).await;
    insta::assert_snapshot!(small, @r"
    failed to make machine.instance: the size s-1vcpu-2gb has a disk of 50 GiB and the image 7000001 needs 60
      hint: write a larger `size`
    ");
    let large = InstanceSpec {
        user_data: "#".repeat(64 * 1024 + 1),
        ..spec()
    };
    insta::assert_snapshot!(refused(&double, &large).await, @r"
    failed to make machine.instance: its first boot needs 65537 bytes of user-data, and DigitalOcean takes 65536
      hint: shorten what the environment adds to the first boot: users, keys, packages
    ");
    double.account(&json!({"droplet_limit": 0}));
    insta::assert_snapshot!(refused(&double, &spec()).await, @r"
    failed to make machine.instance: the account may have 0 Droplets and has 0
      hint: raise the limit in the console (Settings, Team), or destroy what is not needed (`provision gc --provider digitalocean` lists what is ours)
    ");
    assert!(double.all("droplets").is_empty());
}

#[tokio::test]
async fn what_the_vendor_refuses_is_told_in_its_words() {
    let Some(double) = Double::start() else { return };
    // The limit may be reached between the look and the call, and a token may not be allowed to see it.
    double.account(&json!({"droplet_limit": 0, "missing_scopes": ["account:read"]}));
    insta::assert_snapshot!(refused(&double, &spec()).await, @r"
    failed to make machine.instance
      because unprocessable_entity: creating this/these droplet(s) will exceed your droplet limit (request …)
      hint: raise the limit in the console (Settings, Team), or destroy what is not needed (`provision gc --provider digitalocean` lists what is ours)
    ");
    double.account(&json!({"droplet_limit": 10, "missing_scopes": ["droplet:create"]}));
    insta::assert_snapshot!(refused(&double, &spec()).await, @r"
    failed to make machine.instance
      because forbidden: You are not authorized to perform this operation (request …)
      hint: this token lacks the scope droplet:create: add it at https://cloud.digitalocean.com/account/api/tokens; docs/digitalocean.md lists all that are needed
    ");
    double.account(&json!({"missing_scopes": [], "reserved_ip_limit": 0}));
    let cloud = double.cloud();
    make(&cloud, &owner(1), &spec(), &quiet).await.unwrap();
    let error = cloud
        .ensure(&owner(1), &Address::MachineAddress, &spec(), &quiet)
        .await
        .unwrap_err();
    insta::assert_snapshot!(plain(&error), @r"
    failed to reserve an address
      because unprocessable_entity: reserved ip limit exceeded (request …)
      hint: raise the limit by a support ticket, or remove what is not needed (`provision gc --provider digitalocean` lists what is ours)
    ");
    double.account(&json!({"expired": true}));
    insta::assert_snapshot!(plain(&cloud.observe(&owner(1)).await.unwrap_err()).replace("volumes", "x").replace("the firewall", "x").replace("the Droplet", "x"), @r"
    failed to look for x
      because unauthorized: Unable to authenticate you (request …)
      hint: the token is not valid (any more): make one at https://cloud.digitalocean.com/account/api/tokens and set DIGITALOCEAN_TOKEN, or `doctl auth init`
    ");
}

#[tokio::test]
async fn trouble_on_the_way_is_told() {
    let Some(double) = Double::start() else { return };
    let cloud = double.cloud();
    let told_of = |fault: Value| {
        double.faults(&json!([{"action": "firewalls_list", "nth": "every", "do": fault}]));
        let cloud = cloud.clone();
        async move { plain(&cloud.observe(&owner(1)).await.unwrap_err()) }
    };
    insta::assert_snapshot!(told_of(json!("error-500")).await, @r"
    failed to look for the firewall
      because server_error: Unexpected server-side error (request …)
      hint: DigitalOcean has trouble itself, also after several attempts (https://status.digitalocean.com): run it again later; it goes on where it ended
    ");
    insta::assert_snapshot!(told_of(json!("garble")).await, @r"
    failed to look for the firewall
      because the answer is not understood: expected value at line 1 column 1: <html><h1>It works!
      hint: something that is not DigitalOcean may have answered: look at the network's proxy and at DIGITALOCEAN_API_URL; then run it again
    ");
    let nobody = DigitalOcean::at("http://127.0.0.1:1", &Token::new("dop_v1_x"), HASTY).unwrap();
    let text = plain(&nobody.observe(&owner(1)).await.unwrap_err());
    assert!(
        text.contains("look at the network and at DIGITALOCEAN_API_URL"),
        "{text}"
    );
    assert!(!text.contains("dop_v1"), "{text}");
}
