//! Mistakes in what was typed and written: all of them at once, exit code 3, before anything is touched.

use crate::project::{COMPOSE, DEMO, Project, told};

fn demo(more: &str) -> Project {
    Project::new(&format!("{DEMO}{more}"))
}

fn with_compose(compose: &str) -> Project {
    let project = Project::new(DEMO);
    project.write("web/compose.yaml", compose);
    project
}

told! {
    no_project: Project::empty(), ["validate", "demo"];
    no_such_environment: Project::new(DEMO), ["apply", "dmeo"];
    not_a_name: Project::new(DEMO), ["validate", "Demo!"];
    unknown_command: Project::new(DEMO), ["aply", "demo"];
    not_toml: Project::new("[machine.local\nimage = 3\n"), ["validate", "demo"];
    misspelt_key: Project::new(&DEMO.replace("image", "imgae")), ["validate", "demo"];
    misspelt_table: demo("\n[route]\n\"/x\" = \"web:1\"\n"), ["validate", "demo"];
    wrong_type: Project::new(&DEMO.replace("image = \"base.qcow2\"", "cpus = \"two\"\nmemory_gib = -1")), ["validate", "demo"];
    no_machine: Project::new("[stacks.web]\npath = \"../web\"\n"), ["validate", "demo"];
    unknown_provider: Project::new(&DEMO.replace("machine.local", "machine.azure")), ["validate", "demo"];
    unknown_stack: demo("\n[stacks.postgrse]\n"), ["validate", "demo"];
    stack_folder_missing: Project::new(&DEMO.replace("../web", "../wbe")), ["validate", "demo"];
    unknown_parameter: demo("\n[stacks.postgres]\ndatabase = [\"app\"]\n"), ["validate", "demo"];
    wrong_parameter: demo("\n[stacks.postgres]\ndatabases = \"app\"\n"), ["validate", "demo"];
    unknown_variable: Project::new(&DEMO.replace("path = \"../web\"", "path = \"../web\"\nenv = { NAME = \"{{vars.customer}}\" }")), ["validate", "demo"];
    unknown_url: Project::new(&DEMO.replace("path = \"../web\"", "path = \"../web\"\nenv = { DATABASE_URL = \"{{stacks.postgres.url.shop}}\" }\n[stacks.postgres]\ndatabases = [\"app\"]")), ["validate", "demo"];
    route_to_nothing: Project::new(&DEMO.replace("web:8000", "wbe:8000")), ["validate", "demo"];
    settings_and_what_they_do_not_touch: Project::new(&DEMO.replace("image", "imgae").replace("web:8000", "wbe:8000")), ["validate", "demo"];
    route_without_port: Project::new(&DEMO.replace("web:8000", "web")), ["validate", "demo"];
    published_port: with_compose("services:\n  web:\n    image: web:1\n    ports: [\"5432:5432\"]\n"), ["validate", "demo"];
    host_network: with_compose("services:\n  web:\n    image: web:1\n    network_mode: host\n"), ["validate", "demo"];
    more_memory_than_there_is: demo("\n[stacks.keycloak]\n[stacks.postgres]\ndatabases = [\"keycloak\"]\n[stacks.elasticsearch]\n"), ["validate", "demo"];
    instances_count: {
        let project = Project::new(&DEMO.replace("path = \"../web\"", "path = \"../web\"\nscale = { web = 20 }").replace("image =", "memory_gib = 4\nimage ="));
        project.write("web/compose.yaml", "services:\n  web:\n    image: web:1\n    mem_limit: ${WEB_MEMORY:-200m}\n");
        project
    }, ["validate", "demo"];
    instances_of_one_container: {
        let project = Project::new(&DEMO.replace("path = \"../web\"", "path = \"../web\"\nscale = { web = 2 }"));
        project.write("web/compose.yaml", "services:\n  web:\n    image: web:1\n    container_name: the-web\n");
        project
    }, ["validate", "demo"];
    included_services_count: {
        let project = with_compose(
            "include: [more/compose.yaml]\nservices:\n  web:\n    image: web:1\n    extends: {file: base.yaml, service: base}\n",
        );
        project.write("web/base.yaml", "services:\n  base:\n    image: web:1\n    mem_limit: 300m\n");
        project.write("web/more/.env", "WORKER_MEMORY=700m\n");
        project.write(
            "web/more/compose.yaml",
            "services:\n  worker:\n    image: worker:1\n    mem_limit: ${WORKER_MEMORY}\n    deploy: {replicas: 3}\n  \
             by-hand:\n    image: worker:1\n    mem_limit: 8g\n    profiles: [by-hand]\n",
        );
        project
    }, ["validate", "demo"];
    stacks_one: Project::empty(), ["stacks", "postgres"];
    stacks_unknown: Project::empty(), ["stacks", "postgrse"];
    stacks_with_a_mistake: {
        let project = Project::new(DEMO);
        project.write("compose/app/compose.yaml", COMPOSE);
        project.write("compose/app/stack.toml", "[backup]\nvolumes = [\"data\"]\n");
        project
    }, ["stacks"];
    export_extends: {
        let project = with_compose("services:\n  web:\n    image: web:1\n    extends: {file: other.yaml, service: web}\n");
        project.write("web/other.yaml", COMPOSE);
        project
    }, ["export", "compose", "demo"];
    unset_secret_variable: with_compose("services:\n  web:\n    image: web:1\n    secrets: [key]\nsecrets:\n  key:\n    environment: API_KEY\n"), ["validate", "demo"];
    item_in_two_lists: demo("\n[stacks.postgres]\ndatabases = [\"shop\", \"mail\"]\nschemas = [\"mail\"]\n"), ["validate", "demo"];
    files_of_the_stacks_own_names: {
        let project = Project::new(&DEMO.replace("path = \"../web\"", "path = \"../web\"\nfiles = \"../own\""));
        project.write("web/files/site.conf", "a");
        project.write("own/site.conf", "b");
        project
    }, ["validate", "demo"];
    memory_not_known: {
        let project = Project::new(&DEMO.replace("[machine.local]\nimage = \"base.qcow2\"", "[machine.aws]\nregion = \"eu-central-1\"\nsize = \"x2gd.large\""));
        project.write("web/compose.yaml", "services:\n  web:\n    image: web:1\n    deploy: {resources: {limits: {memory: 1.5g}}}\n");
        project
    }, ["validate", "demo"];
    files_missing: Project::new(&DEMO.replace("path = \"../web\"", "path = \"../web\"\nfiles = \"../own\"")), ["validate", "demo"];
    not_yaml: with_compose("services:\n  web:\n   image: [web\n"), ["validate", "demo"];
    unset_compose_variable: with_compose("services:\n  web:\n    image: web:1\n    environment:\n      KEY: ${API_KEY:?what the provider gave you}\n"), ["validate", "demo"];
    clashing_services: {
        let project = demo("\n[stacks.other]\npath = \"../other\"\n");
        project.write("other/compose.yaml", COMPOSE);
        project
    }, ["validate", "demo"];
    missing_image_archive: demo("\n[images]\n\"web:1\" = \"../web.tar\"\n"), ["validate", "demo"];
    damaged_image_archive: {
        let project = demo("\n[images]\n\"web:1\" = \"../web.tar\"\n");
        project.write("web.tar", "404 not found\n");
        project
    }, ["validate", "demo"];
    everything_at_once: {
        let project = Project::new("domian = \"example.com\"\nprotect = \"yes\"\n[machine.local]\ndisk_gib = 0\n[stacks.web]\npath = \"../web\"\nreplicas = 2\n[routes]\n\"/\" = \"wbe:80\"\n");
        project.write("web/stack.toml", "descripton = \"the shop\"\n[jobs]\nonce = [\"sead\"]\n");
        project.write("web/compose.yaml", "services:\n  web:\n    image: web:1\n    ports: [\"80:80\"]\n  seed:\n    build: .\n");
        project
    }, ["validate", "demo"];
    mistakes_across_files: {
        let project = Project::new(&DEMO.replace("path = \"../web\"", "path = \"../web\"\nreplicas = 2").replace("web:8000", "wbe:80"));
        project.write("web/stack.toml", "[jobs]\nonce = [\"sead\"]\n");
        project.write("web/compose.yaml", "services:\n  web:\n    image: web:1\n    ports: [\"80:80\"]\n  seed:\n    image: web:1\n");
        project
    }, ["validate", "demo"];
    init_over_a_file: Project::new(DEMO), ["init", "demo"];
    init_with_another_provider: Project::empty(), ["init", "demo", "--provider", "azure"];
}
