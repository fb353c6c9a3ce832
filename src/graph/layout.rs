//! Where everything stands. Cards in columns from left to right: the internet, what is public, then every stack right of what
//! needs it. Lines run in the space between two columns; one that is longer has a lane of its own through the columns between.

mod card;
mod order;

#[cfg(test)]
pub use card::width;
pub use card::{Area, Card, Label, Look, Size};

use std::collections::BTreeSet;

use super::mermaid::about;
use super::{Edge, Kind, Picture, Stack};
use crate::svg::columns;
use card::{Draft, INSET, label};
use order::{Item, Order};

/// Pixels.
pub const MARGIN: f64 = 24.0;
const HEAD: f64 = 64.0;
const FOOT: f64 = 44.0;
/// Between columns, for lines.
const GUTTER: f64 = 84.0;
/// Between cards.
const GAP: f64 = 16.0;
/// A line that passes a column has this much of it.
const LANE: f64 = 10.0;
/// Around the cards in a frame, and its title.
const FRAME: f64 = 18.0;
const FRAME_TITLE: f64 = 30.0;
/// Cards are at least as wide.
const NARROW: f64 = 150.0;
/// Where cards begin.
const TOP: f64 = HEAD + 2.0 * FRAME_TITLE + 8.0;
/// So many that nothing leads to stand side by side, however narrow the rest is.
const FEW: usize = 4;
/// A column that is higher continues in the next one.
const HIGHEST: f64 = 1_400.0;

/// A frame around cards.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Where.
    pub area: Area,
    /// How it looks: the machine is reached from outside, its network is not.
    pub look: Look,
    /// What it is.
    pub title: Label,
}

/// A line from left to right: its points, two for each gutter that it crosses.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Whether requests of the outside go along it; else it tells what needs what.
    pub public: bool,
    /// Its points.
    pub points: Vec<(f64, f64)>,
}

/// The whole picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// Its size.
    pub width: f64,
    /// Its size.
    pub height: f64,
    /// Around everything that follows.
    pub frames: Vec<Frame>,
    /// Boxes.
    pub cards: Vec<Card>,
    /// Between them.
    pub lines: Vec<Line>,
}

/// Half of a connection: a card, and a row of it or its title.
type End = (usize, Option<usize>);

/// A line before it has a place.
struct Link {
    from: End,
    to: End,
    public: bool,
}

/// Finds a place for everything.
pub fn layout(picture: &Picture) -> Layout {
    let (drafts, links, first_stack) = drafts(picture);
    let linked: BTreeSet<usize> = links.iter().flat_map(|link| [link.from.0, link.to.0]).collect();
    let alone: Vec<usize> = (first_stack..drafts.len())
        .filter(|card| !linked.contains(card))
        .collect();
    let order = Order::of(&drafts, &links, &levels(picture, first_stack, &linked, &drafts));

    let mut lefts = Vec::new();
    let mut right = MARGIN;
    for wide in &order.widths {
        lefts.push(right);
        right += wide + GUTTER;
    }
    right -= GUTTER;
    let private = lefts.get(2).copied().unwrap_or(right + GUTTER);
    let mut bottom = TOP;
    let mut cards: Vec<Option<Card>> = drafts.iter().map(|_| None).collect();
    for (column, items) in order.columns.iter().enumerate() {
        for item in items {
            bottom = bottom.max(TOP + order.tops[item] + item.height(&drafts));
            if let Item::Card(card) = item {
                cards[*card] = Some(drafts[*card].at(lefts[column], TOP + order.tops[item], order.widths[column]));
            }
        }
    }
    let lines = links.iter().enumerate().map(|(at, link)| {
        let y = |item: Item, row| TOP + order.tops[&item] + item.port(row, &drafts);
        let mut points = Vec::new();
        for (column, item) in &order.chains[at] {
            let (left, right) = (lefts[*column], lefts[*column] + order.widths[*column]);
            match item {
                Item::Card(card) if *card == link.from.0 => points.push((right, y(*item, link.from.1))),
                Item::Card(_) => points.push((left, y(*item, link.to.1))),
                Item::Lane(..) => points.extend([(left, y(*item, None)), (right, y(*item, None))]),
            }
        }
        Line {
            public: link.public,
            points,
        }
    });
    let lines = lines.collect();

    // What nothing leads to: below, as wide as the rest.
    let wide = alone.iter().map(|card| drafts[*card].width).fold(NARROW, f64::max);
    let beside = alone.len().min(FEW).max(fitting(right - private, wide));
    let mut heights = vec![if order.columns.len() > 2 { bottom + GAP } else { TOP }; beside.max(1)];
    for card in alone {
        let (place, top) = heights
            .iter()
            .copied()
            .enumerate()
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .unwrap_or_default();
        let x = private + columns(place) * (wide + GAP);
        cards[card] = Some(drafts[card].at(x, top, wide));
        heights[place] = top + drafts[card].height() + GAP;
        right = right.max(x + wide);
        bottom = bottom.max(heights[place] - GAP);
    }

    let frame = |look, x: f64, y: f64, w: f64, h: f64, title: &str| Frame {
        area: Area { x, y, w, h },
        look,
        title: label(x + INSET, y + 19.0, title, Size::Normal, w - 2.0 * INSET),
    };
    let outer = lefts.get(1).copied().unwrap_or(MARGIN) - FRAME;
    let inner = HEAD + FRAME_TITLE;
    let mut frames = vec![frame(
        Look::Public,
        outer,
        HEAD,
        right + 2.0 * FRAME - outer,
        bottom + 2.0 * FRAME - HEAD,
        &format!("machine: {}", picture.machine),
    )];
    if right > private {
        let ways = match picture.open().next() {
            Some(_) => "a route or an allowed port",
            None => "a route",
        };
        let title = format!(
            "network {}: nothing in here is reached from outside, but through {ways}",
            picture.network
        );
        frames.push(frame(
            Look::Private,
            private - FRAME,
            inner,
            right + 2.0 * FRAME - private,
            bottom + FRAME - inner,
            &title,
        ));
    }
    Layout {
        width: right + 2.0 * FRAME + MARGIN,
        height: bottom + 2.0 * FRAME + FOOT,
        frames,
        cards: cards.into_iter().flatten().collect(),
        lines,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of cards"
)]
fn fitting(room: f64, wide: f64) -> usize {
    ((room + GAP) / (wide + GAP)).max(0.0) as usize
}

/// All cards and lines, and which card is the first stack.
fn drafts(picture: &Picture) -> (Vec<Draft>, Vec<Link>, usize) {
    let mut drafts = vec![
        Draft::new(Look::Internet, "internet".to_owned(), Vec::new()),
        Draft::new(
            Look::Public,
            "sshd".to_owned(),
            vec![(Look::Public, vec!["22".to_owned(), "keys only".to_owned()])],
        ),
    ];
    let mut links = vec![Link {
        from: (0, None),
        to: (1, Some(0)),
        public: true,
    }];
    if let Some(edge) = &picture.edge {
        links.push(Link {
            from: (0, None),
            to: (drafts.len(), Some(0)),
            public: true,
        });
        drafts.push(self::edge(edge));
    }
    let first_stack = drafts.len();
    for (at, route) in picture.edge.iter().flat_map(|edge| &edge.routes).enumerate() {
        if let Some((stack, service)) = route.target {
            links.push(Link {
                from: (first_stack - 1, Some(at + 1)),
                to: (first_stack + stack, Some(service)),
                public: true,
            });
        }
    }
    links.extend(picture.open().map(|(stack, service)| Link {
        from: (0, None),
        to: (first_stack + stack, Some(service)),
        public: true,
    }));
    drafts.extend(picture.stacks.iter().map(stack));
    for (from, to) in &picture.needs {
        links.push(Link {
            from: (first_stack + from, None),
            to: (first_stack + to, None),
            public: false,
        });
    }
    (drafts, links, first_stack)
}

fn edge(edge: &Edge) -> Draft {
    let own = vec![
        "80, 443, 443/udp".to_owned(),
        edge.image.clone(),
        edge.certificates.to_owned(),
    ];
    let routes = edge.routes.iter().map(|route| {
        let lines = [route.from.clone(), format!("to {}", route.to)].into_iter();
        (Look::Public, lines.chain(route.guard.clone()).collect())
    });
    let rows = std::iter::once((Look::Public, own))
        .chain(routes)
        .chain(volumes(&edge.volumes));
    Draft::new(Look::Public, "edge".to_owned(), rows.collect())
}

fn stack(stack: &Stack) -> Draft {
    let services = stack.services.iter().map(|service| {
        let look = match service.kind {
            _ if service.public => Look::Public,
            Kind::Runs(_) => Look::Private,
            Kind::Job(_) => Look::Job,
        };
        let mut lines = vec![service.name.clone()];
        lines.extend(about(service));
        let list = |names: &BTreeSet<String>| names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        if !service.after.is_empty() {
            lines.push(format!("after {}", list(&service.after)));
        }
        // Where there is more than one, who has which.
        if stack.services.len() > 1 && !service.volumes.is_empty() {
            lines.push(format!("keeps {}", list(&service.volumes)));
        }
        (look, lines)
    });
    Draft::new(
        Look::Private,
        stack.name.clone(),
        services.chain(volumes(&stack.volumes)).collect(),
    )
}

fn volumes(volumes: &BTreeSet<String>) -> impl Iterator<Item = (Look, Vec<String>)> {
    volumes.iter().map(|name| (Look::Volume, vec![name.clone()]))
}

/// The column of each card that has one: the internet, what is public, then every stack right of what needs it. A column that
/// becomes too high goes on in the next.
fn levels(picture: &Picture, first_stack: usize, linked: &BTreeSet<usize>, drafts: &[Draft]) -> Vec<Vec<usize>> {
    let mut level = vec![0_usize; picture.stacks.len()];
    // A stack stands behind what it needs, so its own level is known when it is asked for.
    for (from, to) in picture.needs.iter().rev() {
        level[*to] = level[*to].max(level[*from] + 1);
    }
    let mut columns = vec![vec![0], (1..first_stack).collect()];
    for depth in 0..=level.iter().copied().max().unwrap_or(0) {
        let mut column = Vec::new();
        let mut height = 0.0;
        for card in
            (first_stack..drafts.len()).filter(|card| level[card - first_stack] == depth && linked.contains(card))
        {
            if height > 0.0 && height + drafts[card].height() > HIGHEST {
                columns.push(std::mem::take(&mut column));
                height = 0.0;
            }
            height += drafts[card].height() + GAP;
            column.push(card);
        }
        if !column.is_empty() {
            columns.push(column);
        }
    }
    columns
}
