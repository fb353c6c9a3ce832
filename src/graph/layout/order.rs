//! In which order cards and lanes stand in their columns, and how far down: so that lines are short and cross seldom.

use std::collections::BTreeMap;

use super::{Draft, GAP, LANE, Link, NARROW};
use crate::svg::columns as number;

/// How often the order is bettered, to and fro. The last time to the right: lines from the outside cross least.
const SWEEPS: usize = 7;

/// What stands in a column: a card, or the lane of a line that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// This card.
    Card(usize),
    /// The lane of this line.
    Lane(usize, usize),
}

impl Item {
    /// How high it is.
    pub fn height(self, drafts: &[Draft]) -> f64 {
        match self {
            Self::Card(card) => drafts[card].height(),
            Self::Lane(..) => LANE,
        }
    }

    /// How far below its top a line meets it.
    pub fn port(self, row: Option<usize>, drafts: &[Draft]) -> f64 {
        match self {
            Self::Card(card) => drafts[card].port(row),
            Self::Lane(..) => LANE / 2.0,
        }
    }
}

/// Columns with everything in its place.
pub struct Order {
    /// What stands in each column, from the top.
    pub columns: Vec<Vec<Item>>,
    /// How wide each column is.
    pub widths: Vec<f64>,
    /// How far down each item begins, from 0.
    pub tops: BTreeMap<Item, f64>,
    /// What each line goes through, with its column.
    pub chains: Vec<Vec<(usize, Item)>>,
}

/// One step of a line: between neighbouring columns, with the height at which it meets each item.
struct Hop {
    from: (usize, Item, f64),
    to: (usize, Item, f64),
}

impl Order {
    /// Orders cards that have a column.
    pub fn of(drafts: &[Draft], links: &[Link], cards: &[Vec<usize>]) -> Self {
        let mut columns: Vec<Vec<Item>> = cards
            .iter()
            .map(|column| column.iter().copied().map(Item::Card).collect())
            .collect();
        let place: BTreeMap<usize, usize> = cards
            .iter()
            .enumerate()
            .flat_map(|(at, column)| column.iter().map(move |card| (*card, at)))
            .collect();
        let mut chains = Vec::new();
        let mut hops = Vec::new();
        for (line, link) in links.iter().enumerate() {
            let (from, to) = (place[&link.from.0], place[&link.to.0]);
            let mut chain = vec![(from, Item::Card(link.from.0))];
            for (column, items) in columns.iter_mut().enumerate().take(to).skip(from + 1) {
                items.push(Item::Lane(line, column));
                chain.push((column, Item::Lane(line, column)));
            }
            chain.push((to, Item::Card(link.to.0)));
            let port = |(_, item): (usize, Item)| match item == Item::Card(link.from.0) {
                true => item.port(link.from.1, drafts),
                false => item.port(link.to.1, drafts),
            };
            hops.extend(chain.windows(2).map(|pair| Hop {
                from: (pair[0].0, pair[0].1, port(pair[0])),
                to: (pair[1].0, pair[1].1, port(pair[1])),
            }));
            chains.push(chain);
        }
        untangle(&mut columns, &hops, drafts);
        let tops = tops(&columns, &hops, drafts);
        let wide = |items: &Vec<Item>| {
            items
                .iter()
                .filter_map(|item| match item {
                    Item::Card(card) => Some(drafts[*card].width),
                    Item::Lane(..) => None,
                })
                .fold(NARROW, f64::max)
        };
        Self {
            widths: columns.iter().map(wide).collect(),
            columns,
            tops,
            chains,
        }
    }
}

/// Each item moves to the middle of its neighbours, column by column, to the right and back.
fn untangle(columns: &mut [Vec<Item>], hops: &[Hop], drafts: &[Draft]) {
    for sweep in 0..SWEEPS {
        let right = sweep % 2 == 0;
        let count = columns.len();
        for step in 1..count {
            let (column, beside) = if right {
                (step, step - 1)
            } else {
                (count - 1 - step, count - step)
            };
            let places: BTreeMap<Item, f64> = columns[beside]
                .iter()
                .enumerate()
                .map(|(at, item)| (*item, number(at)))
                .collect();
            let middle = |at: usize, item: Item| {
                let met = hops.iter().filter_map(|hop| {
                    let (own, other) = if right {
                        (&hop.to, &hop.from)
                    } else {
                        (&hop.from, &hop.to)
                    };
                    (own.1 == item && own.0 == column).then(|| places[&other.1] + other.2 / other.1.height(drafts))
                });
                mean(met).unwrap_or(number(at))
            };
            let mut keyed: Vec<(f64, Item)> = columns[column]
                .iter()
                .enumerate()
                .map(|(at, item)| (middle(at, *item), *item))
                .collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            columns[column] = keyed.into_iter().map(|(_, item)| item).collect();
        }
    }
}

/// Each item as level as can be with what leads to it, without touching the one above; at last the outside beside what it reaches.
fn tops(columns: &[Vec<Item>], hops: &[Hop], drafts: &[Draft]) -> BTreeMap<Item, f64> {
    let mut tops: BTreeMap<Item, f64> = BTreeMap::new();
    for items in columns {
        let mut below = f64::NEG_INFINITY;
        let mut late = Vec::new();
        for item in items {
            let level = hops
                .iter()
                .filter(|hop| hop.to.1 == *item)
                .filter_map(|hop| Some(tops.get(&hop.from.1)? + hop.from.2 - hop.to.2));
            let wanted = mean(level);
            let free = if below.is_finite() {
                below
            } else {
                wanted.unwrap_or(0.0)
            };
            let top = wanted.map_or(free, |wanted| wanted.max(free));
            late.extend(wanted.map(|wanted| top - wanted));
            tops.insert(*item, top);
            below = top + item.height(drafts) + if matches!(item, Item::Lane(..)) { GAP / 2.0 } else { GAP };
        }
        // All were only ever pushed down: back by what they are late on average.
        let up = mean(late.into_iter()).unwrap_or(0.0);
        items.iter().for_each(|item| *tops.entry(*item).or_default() -= up);
    }
    for item in columns.first().into_iter().flatten() {
        let beside = hops
            .iter()
            .filter(|hop| hop.from.1 == *item)
            .filter_map(|hop| Some(tops.get(&hop.to.1)? + hop.to.2 - hop.from.2));
        if let Some(top) = mean(beside) {
            tops.insert(*item, top);
        }
    }
    let highest = tops.values().copied().fold(f64::INFINITY, f64::min);
    tops.values_mut().for_each(|top| *top -= highest);
    tops
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / number(count))
}
