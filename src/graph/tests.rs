use std::collections::BTreeSet;

use super::layout::{Area, Layout, Size, layout, width};
use super::{Edge, Kind, Picture, Route, Service, Stack, mermaid, svg};
use crate::fixture::Lab;
use crate::svg::tests::well_formed;

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn service(name: &str) -> Service {
    Service {
        name: name.to_owned(),
        image: format!("registry.example.com/shop/{name}:1.2.3"),
        kind: Kind::Runs(1),
        after: BTreeSet::new(),
        volumes: BTreeSet::new(),
        networks: BTreeSet::new(),
        shared: true,
        allowed: Vec::new(),
        public: false,
    }
}

/// Forty services: some alone in their stack, one stack of many, long names, chains of needs, routes to each depth.
fn forty() -> Picture {
    let mut stacks = Vec::new();
    for at in 0..14 {
        let count = if at == 3 { 12 } else { 2 };
        let mut services: Vec<Service> = (0..count).map(|own| service(&format!("service-{at}-{own}"))).collect();
        services[0].volumes = names(&["data"]);
        services[1].after = names(&[&services[0].name.clone()]);
        services[1].networks = names(&["inner"]);
        stacks.push(Stack {
            name: format!("stack-{at}"),
            volumes: if at % 2 == 0 {
                names(&["data", "a-volume-with-quite-a-long-name-for-a-volume"])
            } else {
                BTreeSet::new()
            },
            services,
        });
    }
    stacks[2].name = "w".repeat(40);
    stacks[4].services[1].kind = Kind::Job("job before each deploy");
    stacks[5].services[0].image =
        "registry.example.com/a/very/deep/path/to/an/image/of/somebody@sha256:0123456789abcdef".to_owned();
    stacks.push(Stack {
        name: "lonely".to_owned(),
        services: vec![service("one"), service("two")],
        volumes: BTreeSet::new(),
    });
    let needs = [
        (13, 0),
        (13, 1),
        (12, 1),
        (11, 3),
        (10, 3),
        (9, 0),
        (8, 4),
        (4, 0),
        (7, 5),
        (6, 5),
        (5, 2),
        (3, 2),
        (12, 2),
    ];
    let route = |at: usize, (stack, service): (usize, usize)| Route {
        from: format!("host-{at}.shop.example.com/some/path/*"),
        to: format!("service-{stack}-{service}:8080"),
        guard: None,
        target: Some((stack, service)),
    };
    let targets = [
        (13, 0),
        (13, 1),
        (12, 0),
        (11, 0),
        (10, 1),
        (9, 0),
        (8, 0),
        (7, 0),
        (6, 1),
        (0, 0),
        (3, 7),
        (13, 0),
    ];
    Picture {
        environment: "forty".to_owned(),
        machine: "local, volumes on its own disk".to_owned(),
        network: "forty-net".to_owned(),
        edge: Some(Edge {
            image: "caddy:2".to_owned(),
            certificates: "certificates from Let's Encrypt",
            routes: targets
                .into_iter()
                .enumerate()
                .map(|(at, target)| route(at, target))
                .collect(),
            volumes: names(&["data", "state"]),
        }),
        stacks,
        needs: needs.into(),
    }
}

fn apart(a: Area, b: Area) -> bool {
    a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y
}

fn inside(inner: Area, outer: Area) -> bool {
    inner.x >= outer.x
        && inner.y >= outer.y
        && inner.x + inner.w <= outer.x + outer.w
        && inner.y + inner.h <= outer.y + outer.h
}

/// Nothing stands on anything else, nothing sticks out, no line crosses a box.
fn legible(layout: &Layout) {
    let page = Area {
        x: 0.0,
        y: 0.0,
        w: layout.width,
        h: layout.height,
    };
    for (at, card) in layout.cards.iter().enumerate() {
        assert!(inside(card.area, page), "{card:?}");
        for other in &layout.cards[at + 1..] {
            assert!(
                apart(card.area, other.area),
                "{} and {}",
                card.title.text,
                other.title.text
            );
        }
        let within = |label: &super::layout::Label, area: Area| {
            let wide = width(&label.text, label.size);
            assert!(
                label.x >= area.x && label.x + wide <= area.x + area.w,
                "{label:?} in {area:?}"
            );
            assert!(
                label.y <= area.y + area.h && label.y - 8.0 >= area.y,
                "{label:?} in {area:?}"
            );
        };
        within(&card.title, card.area);
        for (at, row) in card.rows.iter().enumerate() {
            assert!(inside(row.area, card.area), "{row:?} in {:?}", card.area);
            assert!(card.rows[at + 1..].iter().all(|other| apart(row.area, other.area)));
            row.labels.iter().for_each(|label| within(label, row.area));
        }
    }
    for frame in &layout.frames {
        assert!(inside(frame.area, page), "{frame:?}");
        assert!(frame.title.x + width(&frame.title.text, Size::Normal) <= frame.area.x + frame.area.w);
        assert!(
            layout
                .cards
                .iter()
                .all(|card| apart(card.area, frame.area) || inside(card.area, frame.area))
        );
    }
    for line in &layout.lines {
        assert!(line.points.windows(2).all(|pair| pair[0].0 < pair[1].0), "{line:?}");
        // Through columns straight, between them within the gutter, where no card is.
        for pair in line.points.windows(2) {
            let ((x, y), (to_x, to_y)) = (pair[0], pair[1]);
            let run = Area {
                x: x + 0.1,
                y: y.min(to_y),
                w: to_x - x - 0.2,
                h: (y - to_y).abs() + 0.1,
            };
            assert!(layout.cards.iter().all(|card| apart(card.area, run)), "{line:?}");
        }
    }
}

#[test]
fn forty_services_stand_apart_with_words_that_fit() {
    let picture = forty();
    let layout = layout(&picture);
    assert_eq!(
        picture.stacks.iter().map(|stack| stack.services.len()).sum::<usize>(),
        40
    );
    assert_eq!(layout.lines.len(), 2 + 12 + 13);
    legible(&layout);
    assert!(
        layout.width < 2_400.0 && layout.height < 2_400.0,
        "{} {}",
        layout.width,
        layout.height
    );
    let drawn = svg(&picture);
    well_formed(&drawn);
    assert_eq!(drawn, svg(&picture));
    for stack in &picture.stacks {
        for service in &stack.services {
            assert!(drawn.contains(&format!(">{}<", service.name)), "{}", service.name);
        }
    }
}

#[test]
fn forty_stacks_that_nothing_leads_to_and_one_of_forty_services() {
    let mut picture = forty();
    picture.edge = None;
    picture.needs.clear();
    let one = |at: usize| Stack {
        name: format!("stack-{at}"),
        services: vec![service("web")],
        volumes: names(&["data"]),
    };
    picture.stacks = (0..40).map(one).collect();
    legible(&layout(&picture));
    picture.stacks = vec![Stack {
        name: "all".to_owned(),
        services: (0..40).map(|at| service(&format!("s{at}"))).collect(),
        volumes: BTreeSet::new(),
    }];
    legible(&layout(&picture));
    picture.stacks.clear();
    legible(&layout(&picture));
}

#[test]
fn hostile_words_stay_words() {
    let mut picture = forty();
    let hostile = "<script>alert(\"1\")</script> & \u{1b}[31m]\n#quot; `x` end %%";
    picture.stacks[0].name = hostile.to_owned();
    picture.stacks[0].services[0].image = hostile.to_owned();
    picture.stacks[1].name = "漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字".to_owned();
    legible(&layout(&picture));
    let drawn = svg(&picture);
    well_formed(&drawn);
    assert!(!drawn.contains("<script"));
    let chart = mermaid(&picture);
    assert!(
        !chart.contains("<script") && !chart.contains('`') && !chart.contains("%%"),
        "{chart}"
    );
    assert!(chart.lines().all(|line| line.matches('"').count() % 2 == 0), "{chart}");
}

#[test]
fn the_demo_in_mermaid() {
    let picture = Picture::of(&Lab::demo().desired(None));
    well_formed(&svg(&picture));
    legible(&layout(&picture));
    insta::assert_snapshot!(mermaid(&picture), @r#"
    flowchart LR
      internet((internet))
      subgraph machine["machine of demo: local, volumes on a data volume of 5 GiB that outlives it"]
        sshd["sshd<br/>22, keys only"]
        edge["edge: caddy:2<br/>80, 443, 443/udp"]
        subgraph network["network provision, private"]
          subgraph s0["postgres"]
            s0_0["postgres<br/>postgres:17"]:::private
            s0_1["databases<br/>postgres:17<br/>job after each deploy"]:::job
            v0_0[("data")]:::volume
            v0_1[("socket")]:::volume
          end
          subgraph s1["demo"]
            s1_0["web<br/>provision-demo:1"]:::private
            s1_1["migrate<br/>provision-demo:1<br/>job before each deploy"]:::job
            s1_2["seed<br/>provision-demo:1<br/>job that runs once"]:::job
          end
        end
      end
      internet --> sshd
      internet --> edge
      edge -->|"the machine's address / to :8000"| s1_0
      s0_0 --- v0_0
      s0_0 --- v0_1
      s0_1 --- v0_1
      s1 -.->|needs| s0
      classDef public fill:#ffe3d3,stroke:#bc4c00,color:#1f2328
      classDef private fill:#ddf4ff,stroke:#0969da,color:#1f2328
      classDef job fill:#ffffff,stroke:#59636e,color:#1f2328,stroke-dasharray:4 3
      classDef volume fill:#dafbe1,stroke:#1a7f37,color:#1f2328
      class internet,sshd,edge public
    "#);
}

/// A port that is allowed leads past the edge; one at the loopback and a power do not, and are told all the same.
#[test]
fn what_is_allowed_is_drawn() {
    let lab = Lab::demo();
    lab.write(
        "broker/compose.yaml",
        "services:\n  broker:\n    image: broker:1\n    mem_limit: 16m\n    ports: [\"8883:8883\", \"127.0.0.1:9000:9000\"]\n  \
         watcher:\n    image: watcher:1\n    mem_limit: 16m\n    volumes: [\"/var/run/docker.sock:/var/run/docker.sock:ro\"]\n",
    );
    lab.change(
        "[stacks.postgres]",
        "[stacks.broker]\npath = \"../broker\"\n[stacks.broker.allow]\n\
         broker = { ports = [\"8883:8883\", \"127.0.0.1:9000:9000\"], reason = \"devices speak MQTT\" }\n\
         watcher = { may = [\"docker-socket\"], reason = \"it watches\" }\n[stacks.postgres]",
    );
    let picture = Picture::of(&lab.desired(None));
    let (chart, drawn) = (mermaid(&picture), svg(&picture));
    legible(&layout(&picture));
    well_formed(&drawn);
    let own: Vec<&str> = chart
        .lines()
        .map(str::trim)
        .filter(|line| line.contains("broker") || line.contains("watcher") || line.starts_with("internet -->"))
        .collect();
    insta::assert_snapshot!(own.join("\n"), @r#"
    subgraph s0["broker"]
    s0_0["broker<br/>broker:1<br/>publishes 8883:8883, 127.0.0.1:9000:9000"]:::public
    s0_1["watcher<br/>watcher:1<br/>may docker-socket"]:::private
    internet --> sshd
    internet --> edge
    internet --> s0_0
    "#);
    for words in [
        ">publishes 8883:8883, 127.0.0.1:9000:9000<",
        ">may docker-socket<",
        "but through a route or an allowed port<",
    ] {
        assert!(drawn.contains(words), "{words} in {drawn}");
    }
    let public = |layout: &Layout| layout.lines.iter().filter(|line| line.public).count();
    let without = Picture::of(&Lab::demo().desired(None));
    assert_eq!(public(&layout(&picture)), public(&layout(&without)) + 1);
    assert!(svg(&without).contains("but through a route<"));
}
