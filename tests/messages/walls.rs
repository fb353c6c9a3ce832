//! Ways past the walls of a container, wherever they are written, and what the environment file allows of them.

use crate::project::{DEMO, Project, told};

fn with(compose: &str, allow: &str) -> Project {
    let project = Project::new(&format!("{DEMO}{allow}"));
    project.write("web/compose.yaml", compose);
    project
}

/// Two services with a port, a socket and every power.
const WIDE: &str = "services:
  web:
    image: web:1
    ports: [\"8883:8883\", \"127.0.0.1:9000:9000/udp\"]
  agent:
    image: web:1
    privileged: true
    network_mode: host
    volumes: [\"/var/run/docker.sock:/var/run/docker.sock\"]
";

told! {
    every_port_syntax: with(
        "x-p: &p { ports: [\"7001:7001\"] }\nservices:\n  web:\n    <<: *p\n    image: web:1\n  db:\n    image: web:1\n    profiles: [debug]\n    ports:\n      - 7002\n      - ${PORT:-7003}:80\n      - 7004-7005:80-81\n      - \"[::1]:7006:80\"\n      - target: 80\n        published: 7007\n        host_ip: 10.0.0.1\n",
        "",
    ), ["validate", "demo"];
    every_power: with(
        "services:\n  web:\n    image: web:1\n    pid: host\n    cap_add: [SYS_ADMIN]\n    devices: [/dev/sda]\n    volumes:\n      - ${SOCKET:-/run/docker.sock}:/s:ro\n      - ../../../..:/host\n      - { type: bind, source: /var/run, target: /r }\n      - sock:/sock\n  agent:\n    image: web:1\n    privileged: ${ROOT:-true}\n    network_mode: host\nvolumes:\n  sock: { driver_opts: { type: none, o: bind, device: /run } }\n",
        "",
    ), ["validate", "demo"];
    holes_in_other_files: {
        let project = with(
            "include: [more/jobs.yaml]\nservices:\n  web:\n    image: web:1\n    extends: { file: more/base.yaml, service: base }\n",
            "",
        );
        project.write("web/more/base.yaml", "services:\n  base:\n    image: web:1\n    ports:\n      - \"${WEB_PORT:-8080}:80\"\n");
        project.write("web/more/jobs.yaml", "services:\n  job:\n    image: web:1\n    privileged: true\n");
        project
    }, ["validate", "demo"];
    files_outside_of_the_folder: with(
        "include: [../shared.yaml]\nservices:\n  web:\n    image: web:1\n    extends: { file: /srv/base.yaml, service: base }\n",
        "",
    ), ["validate", "demo"];
    allowed_with_a_reason: with(
        WIDE,
        "\n[stacks.web.allow]\nweb = { ports = [\"8883:8883\", \"127.0.0.1:9000:9000/udp\"], reason = \"devices speak MQTT\" }\nagent = { may = [\"docker-socket\", \"privileged\", \"host-network\"], reason = \"it runs the builds\" }\n",
    ), ["validate", "demo"];
    allowed_to_somebody_else: with(
        WIDE,
        "\n[stacks.web.allow]\nagnet = { may = [\"privileged\"], reason = \"x\" }\nagent = { ports = [\"8883:8883\"], may = [\"docker-socket\", \"host-network\", \"privileged\"], reason = \"it runs the builds\" }\n",
    ), ["validate", "demo"];
    allowed_and_not_needed: with(
        "services:\n  web:\n    image: web:1\n    ports: [\"8883:1883\"]\n",
        "\n[stacks.web.allow]\nweb = { ports = [\"8883:8883\"], may = [\"docker-socket\"], reason = \"devices\" }\n",
    ), ["validate", "demo"];
    allowances_that_are_none: with(
        "services:\n  web:\n    image: web:1\n  db:\n    image: web:1\n",
        "\n[stacks.web.allow]\nweb = { ports = [\"443:443\", \"8883\", \"x\", \"9:9/sctp\"], reason = \" \" }\ndb = { reason = \"x\" }\n",
    ), ["validate", "demo"];
    allowed_twice: with(
        "services:\n  web:\n    image: web:1\n    ports: [\"8883:1\"]\n  db:\n    image: web:1\n    ports: [\"8883:2\"]\n",
        "\n[stacks.web.allow]\nweb = { ports = [\"8883:1\"], reason = \"x\" }\ndb = { ports = [\"8883:2\"], reason = \"x\" }\n",
    ), ["validate", "demo"];
    allowed_without_a_reason: with(WIDE, "\n[stacks.web.allow]\nweb = { prots = [\"8883:8883\"], may = [\"all\"] }\n"), ["validate", "demo"];
}
