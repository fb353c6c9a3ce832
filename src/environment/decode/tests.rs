use super::*;

#[test]
fn dump() {
    println!("{}", serde_json::to_string_pretty(&crate::environment::schema::schema()).unwrap());
    for text in ["protct = 1\n[machine.local]\ncpus = \"2\"\ndisk = 3\nmemory_gib=-1\n[tls]\nmode='acmee'\n[stacks.a]\nscale='é'\nüü=1.5\n[secrets]\nA={}\nB={env='x',file='y'}\n[data]\n",
      "a = \n b = [", "[machine.local]\n[machine.ssh]\n", "domain='a'\ndomain='b'\n[machine.local]\n[machine.local]\n",
      "\u{feff}# hé\r\ndomain = 1\r\n", "machine={}", "[[machine]]\nlocal={}", "x\0"] {
        let source = Source::new("environments/demo.toml", text);
        match decode(&source) { Ok(e) => println!("{e:?}"), Err(p) => println!("{}", p.render(false, 100)) }
    }
}
