//! Scenarios: several side by side, each on an account of its own that was emptied before.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Mutex;

use super::cloud::{Cloud, SIDE_BY_SIDE};

/// Those that nobody uses now. They end with this process, as it holds their standard input.
static IDLE: Mutex<Vec<Cloud>> = Mutex::new(Vec::new());

/// Works all of `scenarios` off, each on an empty account of its own, and then fails with what all of them had to say.
pub fn all<T: Send>(scenarios: Vec<(String, T)>, work: impl Fn(&mut Cloud, T) + Sync) {
    if !lab().join("python").exists() {
        eprintln!("skipped: the lab's Python is not there; `tests/lab/python` makes it");
        return;
    }
    let begun = std::time::Instant::now();
    let count = scenarios.len();
    let queue = Mutex::new(VecDeque::from(scenarios));
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE.min(count) {
            scope.spawn(|| {
                let idle = IDLE.lock().unwrap().pop();
                let mut cloud = idle.unwrap_or_else(Cloud::start);
                loop {
                    let Some((name, scenario)) = queue.lock().unwrap().pop_front() else {
                        break;
                    };
                    cloud.empty();
                    let done = catch_unwind(AssertUnwindSafe(|| work(&mut cloud, scenario)));
                    if let Err(why) = done {
                        let text = why.downcast_ref::<String>().cloned();
                        let text = text.or_else(|| why.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                        failures
                            .lock()
                            .unwrap()
                            .push(format!("{name}: {}", text.unwrap_or_default()));
                    }
                }
                IDLE.lock().unwrap().push(cloud);
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    eprintln!("{count} scenarios in {:.0} s", begun.elapsed().as_secs_f64());
    assert!(
        failures.is_empty(),
        "{} of {count} failed\n\n{}",
        failures.len(),
        failures.join("\n\n")
    );
}

/// One scenario.
pub fn alone(work: impl Fn(&mut Cloud) + Sync) {
    all(vec![("it".to_owned(), ())], |cloud, ()| work(cloud));
}

/// One request. The double speaks plain HTTP and these tests are plain threads.
pub fn http(method: &str, base: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let host = base.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).unwrap();
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("Content-Length: {}\r\n\r\n", body.len());
    stream.write_all((head + body).as_bytes()).unwrap();
    // Some answers have no length and end with the connection, others leave it open.
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let status = line.split(' ').nth(1).unwrap().parse().unwrap();
    let mut length = None;
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse::<u64>().ok();
        }
    }
    let mut text = Vec::new();
    match length {
        Some(length) => reader.take(length).read_to_end(&mut text).unwrap(),
        None => reader.read_to_end(&mut text).unwrap(),
    };
    (status, String::from_utf8(text).unwrap())
}

fn lab() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let cache = || set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    let lab = set("PROVISION_LAB_DIR").or_else(|| Some(cache()?.join("provision-lab")));
    lab.unwrap_or_default()
}
