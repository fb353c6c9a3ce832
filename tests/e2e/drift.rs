//! What people do on a host by hand: all of it in one plan, repaired by one apply; or taken into the state.

use super::lab::Lab;
use super::life::the_row_is_there;

/// Everything at once.
pub fn everything_done_by_hand_is_seen_and_repaired(lab: &Lab) {
    lab.on_host(
        "set -e; sudo docker rm -f demo-web-1; sudo docker run -d --name demo-web-1 --entrypoint sleep postgres:17 infinity;
         sudo docker tag provision-demo:1 postgres:17;
         cd /opt/provision/stacks/edge; sudo docker compose --project-name edge up -d --force-recreate;
         sudo nft insert rule inet provision input tcp dport 5432 counter accept;
         sudo iptables -I DOCKER-USER 1 -p tcp --dport 5433 -j ACCEPT; sudo iptables -I FORWARD 1 -p tcp --dport 5434 -j ACCEPT;
         sudo iptables -A INPUT -p tcp --dport 5435 -j ACCEPT;
         echo ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBBBB guest | sudo tee -a /home/deploy/.ssh/authorized_keys;
         echo 'PasswordAuthentication yes' | sudo tee /etc/ssh/sshd_config.d/00-mine.conf;
         echo '# by hand' | sudo tee -a /opt/provision/stacks/postgres/compose.yaml; sudo chown deploy /opt/provision/stacks/postgres/.env",
    );
    let plan = lab.fails(2, &["plan", lab.name, "--detailed-exitcode"]);
    for told in [
        "container demo-web-1: running → gone",
        "container demo-web-1 (drift): made by somebody else under this name → stopped and renamed",
        "image postgres:17: sha256:",
        "container edge-caddy-1: ",
        ", made again\n",
        "+ tcp dport 5432 counter accept",
        "+ -A DOCKER-USER -p tcp -m tcp --dport 5433 -j ACCEPT",
        "+ -A FORWARD -p tcp -m tcp --dport 5434 -j ACCEPT",
        "+ -A INPUT -p tcp -m tcp --dport 5435 -j ACCEPT",
        "/home/deploy/.ssh/authorized_keys: as converged → edited",
        "+ passwordauthentication yes",
        "compose.yaml: as released → edited at ",
        ".env: as released → owner deploy:root",
        "image postgres:17 (drift): ",
        "compose.yaml (drift): edited on the host → as written",
        "firewall rules (drift): changed on the host → as converged",
        "sshd settings (drift): changed on the host → as converged",
    ] {
        assert!(plan.contains(told), "{told} in\n{plan}");
    }
    assert!(!plan.contains("~ edge.caddy"), "the same configuration:\n{plan}");
    // What is somebody else's stays, and is said not to hold: nobody gets in by password meanwhile unnoticed.
    lab.on_host("sudo rm /etc/ssh/sshd_config.d/00-mine.conf");
    let before = lab.on_host("sudo docker inspect --format '{{.Id}}' edge-caddy-1 postgres-postgres-1");
    let told = lab.ok(&["apply", lab.name, "--yes"]);
    assert!(told.contains("it is stopped and named demo-web-1.aside-"), "{told}");
    let after = lab.on_host("sudo docker inspect --format '{{.Id}}' edge-caddy-1 postgres-postgres-1");
    assert_eq!(before, after, "no container is made again for it");
    lab.on_host(
        "set -e; ! sudo nft list table inet provision | grep 5432; sudo iptables -S FORWARD 1 | grep -qx -- '-A FORWARD -j DOCKER-USER';
         sudo iptables -S DOCKER-USER 1 | grep -qx -- '-A DOCKER-USER -j PROVISION-DOCKER'; ! sudo grep guest /home/deploy/.ssh/authorized_keys;
         sudo iptables -D INPUT -p tcp --dport 5435 -j ACCEPT; sudo iptables -D FORWARD -p tcp --dport 5434 -j ACCEPT;
         sudo iptables -D DOCKER-USER -p tcp --dport 5433 -j ACCEPT; sudo docker rm $(sudo docker ps -aqf name=demo-web-1.aside)",
    );
    assert!(the_row_is_there(lab));
    // The rule of somebody else was recorded, and is missed now.
    let left = lab.fails(2, &["plan", lab.name, "--refresh-only", "--detailed-exitcode"]);
    assert!(
        left.contains("foreign rules") && left.contains("1 changed outside") && !left.contains("stack."),
        "{left}"
    );
    what_was_accepted_is_an_ordinary_change(lab);
}

fn what_was_accepted_is_an_ordinary_change(lab: &Lab) {
    lab.on_host("sudo docker stop demo-web-1");
    lab.fails(3, &["apply", lab.name, "--refresh-only"]);
    let taken = lab.ok(&["apply", lab.name, "--refresh-only", "--yes"]);
    assert!(taken.contains("container demo-web-1: running → exited"), "{taken}");
    lab.ok(&["plan", lab.name, "--refresh-only", "--detailed-exitcode"]);
    let plan = lab.fails(2, &["plan", lab.name, "--detailed-exitcode"]);
    assert!(
        plan.contains("service web: 0 running") && !plan.contains("drift") && !plan.contains("outside"),
        "{plan}"
    );
    lab.ok(&["apply", lab.name, "--yes"]);
    assert!(the_row_is_there(lab));
    let plan = lab.ok(&["plan", lab.name, "--detailed-exitcode"]);
    assert!(!plan.contains("outside"), "{plan}");
}
