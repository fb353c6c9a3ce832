//! What people do with an account: look what is left, lose a state, name another token, say where names are served.

use serde_json::{Value, json};

use super::cloud::Cloud;
use super::harness::{Ended, Run, Site, Until};
use super::same::assert_nothing;
use super::scenarios::alone;

#[track_caller]
fn ends(cloud: &Cloud, site: &Site, args: &[&str], code: i32) -> Run {
    let run = site.run(cloud, args, Until::Host);
    assert_eq!(run.ended, Ended::Itself(code), "{args:?}: {}", run.said);
    run
}

#[track_caller]
fn says(run: &Run, words: &[&str]) {
    let said = run.said.split_whitespace().collect::<Vec<_>>().join(" ");
    for word in words {
        assert!(said.contains(word), "`{word}` is not in\n{}", run.said);
    }
}

const ALL: [&str; 7] = [
    "dns.shop.example.com",
    "machine.address",
    "machine.firewall",
    "machine.instance",
    "machine.key",
    "machine.volume",
    // What jobs did once counts as done.
    "stack.demo",
];

#[test]
fn what_is_past_its_time_is_found_and_taken_back_without_a_state() {
    alone(|cloud| {
        let site = Site::new(cloud);
        site.converge(cloud);
        let gc = ["gc", "--provider", "digitalocean"];
        std::fs::remove_dir_all(site.path(".provision")).unwrap();
        let listed = ends(cloud, &site, &gc, 0);
        says(
            &listed,
            &[
                "machine.instance",
                "machine.address 127.78.",
                "12.00 USD",
                "no state here",
            ],
        );
        let early = ends(cloud, &site, &[&gc[..], &["--expired", "--yes"]].concat(), 0);
        says(&early, &["nothing is past its time"]);
        // Its time is over: the machine may have turned itself off, and costs money all the same.
        let seen = cloud.look();
        let droplet = &seen["droplets"][0];
        let tags = droplet["tags"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tag| tag.as_str().unwrap());
        let expires = tags.clone().find(|tag| tag.contains(":expires:")).unwrap();
        let over = format!(
            "{}:expires:2026-01-01t00:00:00z",
            expires.split_once(":expires:").unwrap().0
        );
        cloud.somebody("DELETE", &format!("tags/{expires}"), &Value::Null);
        cloud.somebody("POST", "tags", &json!({"name": over}));
        let bearers = json!({"resources": [
            {"resource_id": droplet["id"].to_string(), "resource_type": "droplet"},
            {"resource_id": seen["volumes"][0]["id"], "resource_type": "volume"},
        ]});
        cloud.somebody("POST", &format!("tags/{over}/resources"), &bearers);
        cloud.somebody(
            "POST",
            &format!("droplets/{}/actions", droplet["id"]),
            &json!({"type": "power_off"}),
        );
        ends(cloud, &site, &[&gc[..], &["--expired", "--yes"]].concat(), 0);
        assert_nothing(cloud, "swept");
    });
}

#[test]
fn a_state_that_is_lost_is_written_anew_by_tag() {
    alone(|cloud| {
        let site = Site::new(cloud);
        site.converge(cloud);
        std::fs::remove_file(site.path(".provision/shop/state.json")).unwrap();
        ends(cloud, &site, &["state", "rebuild", "shop"], 0);
        let state = site.state().unwrap();
        let recorded: Vec<&String> = state["resources"].as_object().unwrap().keys().collect();
        assert_eq!(recorded, ALL);
        let plan = ends(cloud, &site, &["plan", "shop"], 0);
        assert!(
            !plan.said.contains("machine.volume") && !plan.said.contains("dns."),
            "{}",
            plan.said
        );
        ends(cloud, &site, &["destroy", "shop", "--yes"], 0);
        assert_nothing(cloud, "destroyed from a state written anew");
    });
}

#[test]
fn the_way_back_is_found_without_the_file() {
    alone(|cloud| {
        let site = Site::new(cloud);
        site.converge(cloud);
        std::fs::remove_file(site.path("environments/shop.toml")).unwrap();
        ends(cloud, &site, &["destroy", "shop", "--yes"], 0);
        assert_nothing(cloud, "destroyed without its file");
    });
}

#[test]
fn what_somebody_did_is_told_and_put_right() {
    alone(|cloud| {
        let site = Site::new(cloud);
        site.converge(cloud);
        let seen = cloud.look();
        let id = |kind: &str| seen[kind][0]["id"].as_str().unwrap().to_owned();
        let open =
            json!({"inbound_rules": [{"protocol": "tcp", "ports": "5432", "sources": {"addresses": ["0.0.0.0/0"]}}]});
        let wall = seen["firewalls"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["name"].as_str().unwrap().starts_with("provision."))
            .unwrap();
        cloud.somebody(
            "POST",
            &format!("firewalls/{}/rules", wall["id"].as_str().unwrap()),
            &open,
        );
        let droplet = seen["droplets"][0]["id"].to_string();
        cloud.somebody(
            "POST",
            &format!("droplets/{droplet}/actions"),
            &json!({"type": "enable_backups"}),
        );
        let off = json!({"type": "unassign"});
        let ip = seen["reserved_ips"][0]["ip"].as_str().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(300));
        cloud.somebody("POST", &format!("reserved_ips/{ip}/actions"), &off);
        std::thread::sleep(std::time::Duration::from_millis(300));
        let detach = json!({"type": "detach", "droplet_id": seen["droplets"][0]["id"], "region": "fra1"});
        cloud.somebody("POST", &format!("volumes/{}/actions", id("volumes")), &detach);
        // Somebody sorts things into projects.
        let elsewhere = json!({"resources": [format!("do:volume:{}", id("volumes"))]});
        let other = cloud.somebody("GET", "projects", &Value::Null)["projects"][0]["id"].clone();
        cloud.somebody(
            "POST",
            &format!("projects/{}/resources", other.as_str().unwrap()),
            &elsewhere,
        );
        let told = ends(cloud, &site, &["plan", "shop"], 0);
        let moved = "project (drift): another (machine.volume) → shop";
        says(&told, &["tcp/5432", "backups", "attached_to", moved]);
        site.converge(cloud);
        let after = cloud.look();
        assert_eq!(after["reserved_ips"][0]["droplet"], seen["droplets"][0]["id"]);
        assert_eq!(after["volumes"][0]["droplet_ids"], seen["volumes"][0]["droplet_ids"]);
        assert_eq!(after["droplets"][0]["features"], seen["droplets"][0]["features"]);
        assert_eq!(after["projects"], seen["projects"]);
        let rules = after["firewalls"].to_string();
        assert!(!rules.contains("5432"), "{rules}");
        ends(cloud, &site, &["destroy", "shop", "--yes"], 0);
        assert_nothing(cloud, "drifted");
    });
}

#[test]
fn a_context_of_doctls_has_the_token() {
    alone(|cloud| {
        let mut site = Site::new(cloud);
        site.variables.retain(|(name, _)| *name != "DIGITALOCEAN_TOKEN");
        let none = ends(cloud, &site, &["plan", "shop"], 1);
        says(
            &none,
            &[
                "failed to reach DigitalOcean: there is no token",
                "set DIGITALOCEAN_TOKEN, or log in with `doctl auth init`",
            ],
        );
        site.edit(&[("region  = \"fra1\"", "region  = \"fra1\"\ncontext = \"work\"")]);
        let none = ends(cloud, &site, &["plan", "shop"], 1);
        says(
            &none,
            &["doctl is not configured here", "doctl auth init --context work"],
        );
        std::fs::create_dir_all(site.path("home/.config/doctl")).unwrap();
        let config = format!(
            "access-token: \"\"\nauth-contexts:\n  other: dop_v1_wrong\n  work: {}\n",
            cloud.token
        );
        std::fs::write(site.path("home/.config/doctl/config.yaml"), config).unwrap();
        // A variable is another account's, maybe.
        site.variables.push(("DIGITALOCEAN_TOKEN", "dop_v1_wrong".to_owned()));
        site.converge(cloud);
        assert_eq!(
            site.state().unwrap()["resources"]["machine.instance"]["facts"]["context"],
            "work"
        );
        std::fs::remove_file(site.path("environments/shop.toml")).unwrap();
        ends(cloud, &site, &["destroy", "shop", "--yes"], 0);
        assert_nothing(cloud, "destroyed by the context that the state knows");
    });
}

#[test]
fn a_plan_says_what_it_costs_and_what_a_ttl_does_not() {
    alone(|cloud| {
        let site = Site::new(cloud);
        let plan = ends(cloud, &site, &["plan", "shop"], 0);
        says(
            &plan,
            &[
                "about 12.00 USD a month: s-1vcpu-2gb without the data volume",
                "goes on costing money",
                "provision gc --provider digitalocean",
            ],
        );
        site.edit(&[("ttl    = \"8h\"\n", "")]);
        let plan = ends(cloud, &site, &["plan", "shop"], 0);
        assert!(!plan.said.contains("goes on costing"), "{}", plan.said);
    });
}

#[test]
fn names_do_not_change_their_server_by_the_way() {
    alone(|cloud| {
        let site = Site::new(cloud);
        site.converge(cloud);
        site.edit(&[("provider = \"digitalocean\"", "provider = \"route53\"")]);
        let refused = ends(cloud, &site, &["plan", "shop"], 3);
        says(
            &refused,
            &[
                "are served by digitalocean, and its file says route53",
                "take [dns] out and apply",
            ],
        );
        site.edit(&[("[dns]\nprovider = \"route53\"\n", "")]);
        site.converge(cloud);
        let seen = cloud.look();
        let records = seen["domains"]["example.com"].as_array().unwrap();
        assert!(records.iter().all(|record| record["type"] == "NS"), "{records:#?}");
    });
}
