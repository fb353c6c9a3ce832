//! Mistakes in what shall be public, and in certificates: told at their line by `validate`.

use crate::project::{DEMO, Project, told};

/// The demo with other routes, at a cloud.
fn routes(routes: &str) -> Project {
    let text = DEMO.replace("\"/\" = \"web:8000\"\n", routes);
    let project = Project::new(&format!("domain = \"shop.example.com\"\n{text}"));
    project.write(
        "web/stack.toml",
        "admin = [\"web:9000\"]\n[secrets]\nADMIN = { generate = 32 }\n",
    );
    project
}

/// With `[tls]` and the files that it names.
fn tls(tls: &str) -> Project {
    let project = routes(&format!(
        "\"/\" = \"web:8000\"\n\"example.org\" = \"web:8000\"\n[tls]\n{tls}"
    ));
    project.write("environments/shop.crt", include_str!("tls/shop.crt"));
    project.write("environments/shop.key", include_str!("tls/shop.key"));
    project.write("environments/other.key", include_str!("tls/other.key"));
    project.write("environments/ended.crt", include_str!("tls/ended.crt"));
    project
}

told! {
    admin_page_made_public: routes("\"/\" = \"web:9000\"\n\"/a/*\" = { to = \"web:9000\", headers = { A = \"b\" } }\n\"/b/*\" = { to = \"web:9000\", public = \"a demo\" }\n\"/c/*\" = { to = \"web:9000\", public = \" \" }\n"), ["validate", "demo"];
    admin_page_of_no_service: {
        let project = routes("\"/\" = \"web:8000\"\n");
        project.write("web/stack.toml", "admin = [\"wbe:9000\", \"web\"]\n");
        project
    }, ["validate", "demo"];
    route_keys: routes("\"/\" = { to = \"web:8000\", stirp = true }\n\"/a\" = 8000\n\"/b\" = { to = 8000 }\n"), ["validate", "demo"];
    route_to_nowhere: routes("\"/\" = {}\n\"/a/*\" = { to = \"web:8000\", redirect = \"example.org\" }\n\"/b/*\" = { to = \"h2c://wbe:8000\" }\n\"/c/*\" = \"https://web:8000\"\n"), ["validate", "demo"];
    route_strip: routes("\"/\" = { to = \"web:8000\", strip = true }\n\"/a\" = { to = \"web:8000\", strip = true }\n\"/b/*\" = { to = \"web:8000\", strip = false }\n"), ["validate", "demo"];
    route_redirect: routes("\"/\" = { redirect = \"https://shop.example.com/\" }\n\"/a/*\" = { redirect = \"ftp://example.org\" }\n\"/b/*\" = { redirect = \"example org\", max_body = \"1MB\" }\n\"/c/*\" = { redirect = \"/\" }\n"), ["validate", "demo"];
    route_guards: routes("\"/a/*\" = { to = \"web:8000\", users = { \"an admin\" = \"{{secrets.ADMIN}}\", root = \"letmein\", eve = \"x{{secrets.ADMIN}}\" } }\n\"/b/*\" = { to = \"web:8000\", forward_auth = \"proxy:4180\", users = { root = \"{{secrets.ADMIN}}\" } }\n\"/c/*\" = { to = \"web:8000\", keep_authorization = true }\n"), ["validate", "demo"];
    edge_settings: routes("\"/\" = { to = \"web:8000\", max_body = \"much\", headers = { \"X Frame\" = \"a\", A = true, B = \"`\" } }\n[edge]\nmax_body = \"10\"\nmaintenance = \"page.html\"\nsnippets = \"../web\"\ncompresion = false\n"), ["validate", "demo"];
    edge_files: routes("\"/\" = \"web:8000\"\n[edge]\nmaintenance = \"page.html\"\nsnippets = \"../web\"\n"), ["validate", "demo"];
    tls_of_other_hosts: tls("certificate = \"shop.crt\"\nkey = \"shop.key\"\n"), ["validate", "demo"];
    tls_key_of_another: tls("certificate = \"shop.crt\"\nkey = \"other.key\"\n"), ["validate", "demo"];
    tls_ended: tls("mode = \"files\"\ncertificate = \"ended.crt\"\nkey = \"shop.key\"\n"), ["validate", "demo"];
    tls_no_certificate: tls("mode = \"files\"\ncertificate = \"shop.key\"\nkey = \"shop.crt\"\n"), ["validate", "demo"];
    tls_half: tls("mode = \"files\"\nkey = \"absent.key\"\n"), ["validate", "demo"];
    tls_key_in_words: tls("certificate = \"shop.crt\"\nkey = \"-----{{secrets.ADMIN}}\"\n"), ["validate", "demo"];
    tls_misplaced: tls("mode = \"internal\"\ncertificate = \"shop.crt\"\ndirectory = \"https://ca.internal/\"\n"), ["validate", "demo"];
    tls_directory: tls("mode = \"acme\"\ndirectory = \"ca.internal\"\ndirectory_root = \"shop.key\"\n"), ["validate", "demo"];
}
