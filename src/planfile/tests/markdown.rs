//! A plan as a comment.

use super::super::{COMMENT_MAX, Mode, PlanFile, markdown};
use super::saved;
use crate::fixture::{Lab, Run};
use crate::plan::{Change, Difference, Origin, OutlineStep};

fn file() -> PlanFile {
    PlanFile::parse(include_bytes!("version-1.json")).unwrap()
}

#[test]
fn a_comment_has_everything_at_a_glance_and_folds_the_rest() {
    insta::assert_snapshot!(markdown(&file()), @r"
    <!-- provision: demo -->
    ### demo: 1 to add, 1 to change, 1 to replace, 1 to remove

    - **note:** only edge.caddy, as asked for with --target

    | | address | what |
    |---|---|---|
    | ± | `machine.instance` | **replace**, because asked for with --replace; the data volume is kept |
    | + | `host.base` | add: script d937380f7cef |
    | - | `stack.old` | **remove**: data its volumes stay on the host |
    | ~ | `edge.caddy` | change: service caddy (drift), config/Caddyfile |

    <details><summary>+ <code>host.base</code></summary>

    ```diff
    + script: d937380f7cef
    ```

    </details>

    <details><summary>- <code>stack.old</code></summary>

    ```diff
    - data: its volumes stay on the host
    ```

    </details>

    <details><summary>~ <code>edge.caddy</code></summary>

    ```diff
    - service caddy (drift): 0 running
    + service caddy (drift): 1 running
    @@ config/Caddyfile @@
    + a
    + b
    ```

    </details>

    <sub>Planned by provision 0.1.0 at 2026-11-21 17:04 UTC, from the state with serial 7.</sub>
    ");
}

#[test]
fn nothing_to_do_is_one_line() {
    let lab = Lab::demo();
    let run = Run::settled(&lab);
    let text = markdown(&saved(&run, &lab));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..2],
        ["<!-- provision: demo -->", "### demo is as it shall be: nothing to do."]
    );
    assert!(!text.contains("<details>"), "{text}");
}

#[test]
fn a_destroy_says_so() {
    let mut file = file();
    file.mode = Mode::Destroy { keep_volume: false };
    assert!(markdown(&file).contains("### destroy demo: "));
}

#[test]
fn refusals_stand_on_top_and_nothing_of_them_is_markup() {
    let mut file = file();
    file.plan.refusals = vec!["a | b `c` <script> @ada *x*\n# y".into()];
    let text = markdown(&file);
    assert_eq!(
        text.lines().nth(3).unwrap(),
        "- **refused:** a \\| b \\`c\\` &lt;script&gt; @\u{200B}ada \\*x\\* \\# y"
    );
}

#[test]
fn what_changed_outside_stands_on_top() {
    let lab = Lab::demo();
    let mut run = Run::settled(&lab);
    run.world.container("demo-web-1").state = "exited".into();
    let text = markdown(&saved(&run, &lab));
    assert!(text.contains("\n- **changed outside:** `stack.demo`: "), "{text}");
}

fn update(old: &str, new: &str) -> OutlineStep {
    OutlineStep {
        address: "stack.web".parse().unwrap(),
        change: Change::Update {
            differences: vec![Difference {
                subject: "a|b".into(),
                old: Some(old.into()),
                new: Some(new.into()),
                origin: Origin::Files,
            }],
        },
    }
}

#[test]
fn no_text_ends_its_own_fold() {
    let mut file = file();
    file.plan.steps = vec![update("x\n```\n</details>\n", "x\n````\n</details>\n\u{1b}[2J")];
    let text = markdown(&file);
    assert!(text.contains("| ~ | `stack.web` | change: a\\|b |"), "{text}");
    assert!(text.contains("\n`````diff\n"), "{text}");
    assert!(text.contains("\n- ```\n") && text.contains("\n+ ````\n"), "{text}");
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn no_comment_is_too_long() {
    let long = |lines: usize, width: usize| {
        (0..lines)
            .map(|n| format!("{n} {}\n", "ü".repeat(width)))
            .collect::<String>()
    };
    let cases = [
        vec![update("a\n", &long(10_000, 20))],
        vec![update("a\n", &long(3, 100_000))],
        vec![update("a\n", &long(10_000, 20)), update("a\n", "b\n")],
        (0..300).map(|_| update("a\n", &long(50, 50))).collect(),
        (0..5000).map(|_| update("a\n", "b\n")).collect(),
    ];
    for steps in cases {
        let mut file = file();
        let count = steps.len();
        file.plan.steps = steps;
        file.plan.notes = (0..500).map(|_| long(1, 200)).collect();
        let text = markdown(&file);
        assert!(text.len() <= COMMENT_MAX, "{count} steps: {} bytes", text.len());
        assert!(text.len() > COMMENT_MAX / 8, "{count} steps: {} bytes", text.len());
        assert_eq!(text.matches("<details>").count(), text.matches("</details>").count());
        assert!(text.contains("left out") || text.contains("are cut"));
        assert!(text.ends_with("</sub>\n"));
    }
}

#[test]
fn what_is_short_stays_whole_beside_what_is_cut() {
    let mut file = file();
    let long: String = (0..20_000).map(|n| format!("{n}\n")).collect();
    file.plan.steps = vec![update("a\n", &long), update("short\n", "brief\n")];
    let text = markdown(&file);
    assert!(text.contains("\n- short\n+ brief\n"));
    assert!(text.contains("more lines are cut"));
    assert!(text.len() > COMMENT_MAX * 9 / 10, "{}", text.len());
}
