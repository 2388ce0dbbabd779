//! What a request costs: CPU time of dimmer's process per request and per streamed event, beside a bare hyper proxy's.
//!
//!     cargo bench --bench proxy                          # three minutes
//!     cargo bench --bench proxy -- --quick               # under one
//!     cargo bench --bench proxy -- --markdown FILE       # writes the tables too
//!     cargo bench --bench proxy -- --against PROGRAM     # another build of dimmer in the same rounds
//!     cargo bench --bench proxy -- --streams 9000        # nothing but so many streams, held open: memory, and that each ends whole
//!
//! Time on a clock says more about the machine's other work than about a proxy. So: CPU time, each process on a CPU of its
//! own, the targets in turn in every round, and ratios within a round. docs/performance.md has the method and the results.

mod bare;
mod http1;
mod load;
mod process;
mod provider;
mod scenario;
mod table;
mod target;
mod traffic;

use std::path::{Path, PathBuf};
use std::time::Duration;

use process::{Cpus, Outcome, Process, on_one_thread};
use scenario::{Latency, SCENARIOS, Scenario, Taken};
use table::{Series, markdown};
use target::Target;
use traffic::Kind;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["provider"] => provider::run(),
        ["bare", provider] => bare::run(provider.parse()?),
        ["config", name, provider] => {
            print(&target::config(name, provider.parse()?)?);
            Ok(())
        }
        ["load", target, scenario, millis] => {
            let measured = Duration::from_millis(millis.parse()?);
            match scenario.split_once(':') {
                Some(("streams", count)) => {
                    load::run(target.parse()?, Kind::Stream, count.parse()?, measured)
                }
                _ => {
                    let scenario = SCENARIOS.get(scenario.parse::<usize>()?).ok_or("no such scenario")?;
                    load::run(target.parse()?, scenario.kind, scenario.connections, measured)
                }
            }
        }
        ["paced", target, millis] => load::paced(target.parse()?, Duration::from_millis(millis.parse()?)),
        // For who counts instead of clocking: exactly so many requests.
        ["ask", target, scenario, requests] => {
            let scenario = SCENARIOS.get(scenario.parse::<usize>()?).ok_or("no such scenario")?;
            let (target, requests) = (target.parse()?, requests.parse()?);
            let asked = load::exactly(target, scenario.kind, scenario.connections, requests);
            print(&format!("{:?}", on_one_thread(asked)?));
            Ok(())
        }
        // `cargo test` runs benches too, without this word: there is nothing to test.
        words if !words.contains(&"--bench") => Ok(()),
        words => measure(&Options::parse(words)?),
    }
}

/// What was asked for.
#[derive(Debug, Default)]
struct Options {
    quick: bool,
    markdown: Option<PathBuf>,
    against: Option<PathBuf>,
    streams: Option<usize>,
}

impl Options {
    fn parse(words: &[&str]) -> Outcome<Self> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().map(PathBuf::from).ok_or(format!("{word} wants a file"));
            match *word {
                "--bench" => {}
                "--quick" => options.quick = true,
                "--markdown" => options.markdown = Some(value()?),
                "--against" => options.against = Some(value()?),
                "--streams" => options.streams = Some(words.next().ok_or("how many streams?")?.parse()?),
                other => {
                    return Err(format!(
                        "`{other}` is not known: --quick, --markdown FILE, --against PROGRAM, --streams NUMBER"
                    )
                    .into());
                }
            }
        }
        Ok(options)
    }
}

fn measure(options: &Options) -> Outcome<()> {
    let cpus = Cpus::find();
    let mut provider = Process::start(&std::env::current_exe()?, &["provider"], cpus.others)?;
    let address = provider.address()?;
    let dir = tempfile::tempdir()?;
    let mut targets = vec![Target::bare(address)?];
    let own = Path::new(env!("CARGO_BIN_EXE_dimmer"));
    targets.extend(Target::dimmers(own, "dimmer", address, dir.path())?);
    if let Some(other) = &options.against {
        targets.extend(Target::dimmers(other, "against", address, dir.path())?);
    }
    if let Some(streams) = options.streams {
        let mut text = vec![
            ["", "streams", "CPU time per event, µs", "per open stream, KiB"].map(str::to_owned).to_vec(),
        ];
        for target in &targets {
            let taken = scenario::held(target, &cpus, streams)?;
            let numbers = [format!("{:.1}", taken.cpu_us), format!("{:.0}", taken.kib_per_connection)];
            let [cpu, memory] = numbers;
            text.push(vec![target.name.clone(), streams.to_string(), cpu, memory]);
        }
        print(&markdown(&text));
        return Ok(());
    }
    let mut rows = Vec::new();
    for scenario in &SCENARIOS {
        let rounds = if options.quick { scenario.rounds_quick } else { scenario.rounds };
        let mut taken = vec![Vec::with_capacity(rounds); targets.len()];
        for round in 0..rounds {
            progress(&format!("{}, round {} of {rounds}", scenario.name, round + 1));
            for (target, taken) in targets.iter().zip(&mut taken) {
                taken.push(scenario.take(target, &cpus, options.quick)?);
            }
        }
        rows.push((scenario, taken));
    }
    let paced = scenario::paced(&targets, address, &cpus, options.quick)?;
    let report = format!("{}\n{}", report(&targets, &rows, &cpus), markdown(&paced_rows(&targets, &paced)));
    print(&report);
    if let Some(file) = &options.markdown {
        std::fs::write(file, &report)?;
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "who waits for minutes wants to see for what")]
fn progress(text: &str) {
    eprintln!("{text}");
}

#[expect(clippy::print_stdout, reason = "the report is what a bench is for")]
fn print(text: &str) {
    println!("{text}");
}

type Row<'s> = (&'s Scenario, Vec<Vec<Taken>>);

fn report(targets: &[Target], rows: &[Row<'_>], cpus: &Cpus) -> String {
    let pinned = match (cpus.target, cpus.others) {
        (Some(target), Some(others)) => format!("target on CPU {target}, provider and load on CPU {others}"),
        _ => "processes not pinned (one CPU, or no taskset): ratios say less".to_owned(),
    };
    format!(
        "{}\n{}\nMedians; in brackets the range of the rounds' own ratios. {pinned}.\n",
        markdown(&cpu_rows(targets, rows)),
        markdown(&memory_rows(targets, rows))
    )
}

/// CPU time, a line per scenario.
fn cpu_rows(targets: &[Target], rows: &[Row<'_>]) -> Vec<Vec<String>> {
    let mut heading = vec!["CPU time per request or event, µs".to_owned()];
    for (number, target) in targets.iter().enumerate() {
        heading.push(target.name.clone());
        if number > 0 {
            heading.push("× bare".to_owned());
        }
    }
    heading.push("goal".to_owned());
    let mut text = vec![heading];
    for (scenario, taken) in rows {
        let series: Vec<Series> =
            taken.iter().map(|taken| Series(taken.iter().map(|taken| taken.cpu_us).collect())).collect();
        let mut line = vec![scenario.name.to_owned()];
        for (number, own) in series.iter().enumerate() {
            line.push(format!("{:.1}", own.median()));
            if let Some(bare) = series.first().filter(|_| number > 0) {
                line.push(own.by(bare).spread());
            }
        }
        line.push(format!("{:.2}", scenario.goal));
        text.push(line);
    }
    text
}

/// What each target adds to the provider's own latency at a fixed rate, a line per target.
fn paced_rows(targets: &[Target], rounds: &[Vec<Latency>]) -> Vec<Vec<String>> {
    let heading = ["1,000 requests per second", "added p50, µs", "× bare", "added p99, µs"];
    let mut text = vec![heading.map(str::to_owned).to_vec()];
    let added = |place: usize, of: fn(&Latency) -> f64| {
        let one = |round: &Vec<Latency>| Some(of(round.get(place)?) - of(round.first()?));
        Series(rounds.iter().filter_map(one).collect())
    };
    let bare = added(1, |latency| latency.p50_us);
    for (place, target) in (1..).zip(targets) {
        let own = added(place, |latency| latency.p50_us);
        text.push(vec![
            target.name.clone(),
            format!("{:.0}", own.median()),
            own.by(&bare).spread(),
            format!("{:.0}", added(place, |latency| latency.p99_us).median()),
        ]);
    }
    text
}

/// What is not CPU time, a line per target.
fn memory_rows(targets: &[Target], rows: &[Row<'_>]) -> Vec<Vec<String>> {
    let heading = ["", "start to first answer, ms", "resident when idle, MiB", "per open stream, KiB"];
    let mut text = vec![heading.map(str::to_owned).to_vec()];
    for (number, target) in targets.iter().enumerate() {
        let of = |wanted: &dyn Fn(&Scenario, &Taken) -> Option<f64>| {
            let all = rows.iter().flat_map(|(scenario, taken)| {
                let own = taken.get(number).into_iter().flatten();
                own.filter_map(|taken| wanted(scenario, taken))
            });
            Series(all.collect()).median()
        };
        let many = |scenario: &Scenario| scenario.kind == Kind::Stream && scenario.connections >= 1000;
        text.push(vec![
            target.name.clone(),
            format!("{:.0}", of(&|_, taken| Some(taken.first_answer.as_secs_f64() * 1e3))),
            format!("{:.1}", of(&|_, taken| Some(taken.idle_kib as f64 / 1024.0))),
            format!("{:.0}", of(&|scenario, taken| many(scenario).then_some(taken.kib_per_connection))),
        ]);
    }
    text
}
