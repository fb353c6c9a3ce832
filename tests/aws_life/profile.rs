//! Credentials from where people have them: a profile that assumes a role with another profile's key.

use super::harness::{Ended, Site, Until};
use super::scenarios::alone;

/// Credentials of files in place of those of variables: the profile `base` has the key.
fn profiles(site: &mut Site, config: &str) {
    let taken = |name: &str| {
        let found = site.variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.clone()).unwrap()
    };
    let keys = format!(
        "[base]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        taken("AWS_ACCESS_KEY_ID"),
        taken("AWS_SECRET_ACCESS_KEY")
    );
    std::fs::create_dir(site.path("home/.aws")).unwrap();
    std::fs::write(site.path("home/.aws/credentials"), keys).unwrap();
    std::fs::write(site.path("home/.aws/config"), config).unwrap();
    site.variables.retain(|(name, _)| *name != "AWS_ACCESS_KEY_ID");
}

#[test]
fn a_profile_with_an_assumed_role_is_used_and_found_again() {
    alone(|cloud| {
        let mut site = Site::new(cloud);
        profiles(
            &mut site,
            "[profile base]\nregion = us-east-1\n\n\
             [profile deploy]\nrole_arn = arn:aws:iam::123456789012:role/deploy\nsource_profile = base\nregion = eu-central-1\n",
        );
        // The region is the profile's, too.
        site.edit(&[("region   = \"eu-central-1\"", "profile  = \"deploy\"")]);
        site.converge(cloud);
        let calls: Vec<String> = cloud
            .log()
            .iter()
            .map(|call| call["action"].as_str().unwrap().to_owned())
            .collect();
        assert!(calls.contains(&"AssumeRole".to_owned()), "{calls:?}");
        let state = site.state().unwrap();
        let facts = &state["resources"]["machine.instance"]["facts"];
        assert_eq!(facts["region"], "eu-central-1");
        assert_eq!(facts["profile"], "deploy");
        // The way back is found without the environment's file.
        std::fs::remove_file(site.path("environments/shop.toml")).unwrap();
        let run = site.destroy(cloud, Until::Host);
        assert_eq!(run.ended, Ended::Itself(0), "{}", run.said);
        assert!(site.state().is_none());
    });
}

#[test]
fn a_profile_that_is_not_there_and_keys_that_are_missing_are_told() {
    alone(|cloud| {
        let mut site = Site::new(cloud);
        profiles(&mut site, "[profile base]\nregion = eu-central-1\n");
        site.edit(&[(
            "size     = \"t3.small\"",
            "size     = \"t3.small\"\nprofile  = \"deplyo\"",
        )]);
        let run = site.apply(cloud, Until::Host);
        run.failed_with(&site, &["deplyo"]);
        assert!(cloud.log().is_empty(), "nothing was asked");
    });
}
