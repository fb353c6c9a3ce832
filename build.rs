//! The stack catalogue is compiled in: a new file in `compose/` must cause a build, which `include_dir!` does not tell.

fn main() {
    println!("cargo::rerun-if-changed=compose");
}
