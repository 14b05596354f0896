//! `anki-syncd check`: what is wrong, and putting it right.

use std::{
    io::{self, BufRead, IsTerminal, Write},
    path::Path,
};

use super::{
    context::{CommandError, Context, print_json},
    password,
    table::printable,
};
use crate::check::{
    self,
    finding::{Finding, Findings, Severity},
    login::{self, Login},
    repair,
    subject::Subject,
};

/// What to check.
#[derive(clap::Args)]
pub struct Arguments {
    /// Put right what needs no decision of yours, after a question
    #[arg(long)]
    repair: bool,
    /// Do not ask
    #[arg(long, requires = "repair")]
    yes: bool,
    /// Try whether a device could log in at this address, as typed into Anki
    #[arg(long)]
    url: Option<String>,
    /// Log in as this user there; the password is asked for, or taken from standard input
    #[arg(long, requires = "url")]
    user: Option<String>,
    /// For programs
    #[arg(long)]
    json: bool,
}

/// Looks, tells, and repairs.
///
/// # Errors
/// [`CommandError::Found`] when there are problems left.
pub fn run(context: &Context, arguments: &Arguments) -> Result<(), CommandError> {
    let login = arguments.user.as_deref().map(ask_login).transpose()?;
    let mut subject = Subject::find(context.sources());
    let mut findings = look(&subject);
    if arguments.repair && findings.0.iter().any(|finding| finding.repair.is_some()) {
        if !arguments.json {
            print(&findings, &mut io::stdout().lock())?;
        }
        if !agreed(&findings, arguments)? {
            return Err(CommandError::Refused("nothing was repaired".to_owned()));
        }
        repair::carry_out(&subject, &findings.0, |step| match step {
            Ok(done) => eprintln!("done: {}", printable(&done)),
            Err(failure) => eprintln!("not done: {}", printable(&failure)),
        });
        if !arguments.json {
            println!();
        }
        // Anew, since what was found first may have hidden something else.
        subject = Subject::find(context.sources());
        findings = look(&subject);
    }
    if let Some(url) = &arguments.url {
        let settings = subject.settings.as_ref().ok();
        let limit = settings.map(|settings| settings.limits.sent);
        login::check(url, login.as_ref(), limit, &mut findings);
    }
    findings.0.sort_by_key(|finding| finding.severity);
    if arguments.json {
        print_json(&findings.0)?;
    } else {
        print(&findings, &mut io::stdout().lock())?;
    }
    match findings.count(Severity::Problem) {
        0 => Ok(()),
        1 => Err(CommandError::Found("one problem".to_owned())),
        many => Err(CommandError::Found(format!("{many} problems"))),
    }
}

/// The part of a repair that is done as the server's account: told what to do on standard
/// input, it tells what it did on standard output.
///
/// # Errors
/// When either is closed or garbled.
pub fn mend(base: &Path) -> Result<(), CommandError> {
    let data = serde_json::from_reader(io::stdin().lock()).map_err(io::Error::from)?;
    repair::here(base, data, |step| {
        if let Ok(line) = serde_json::to_string(&step) {
            println!("{line}");
        }
    });
    Ok(())
}

fn look(subject: &Subject) -> Findings {
    let mut findings = Findings::default();
    check::look(subject, &mut findings);
    findings.0.sort_by_key(|finding| finding.severity);
    findings
}

fn ask_login(user: &str) -> Result<Login, CommandError> {
    Ok(Login {
        user: user.to_owned(),
        password: password::ask(&format!("Password of {user}"))?,
    })
}

fn agreed(findings: &Findings, arguments: &Arguments) -> Result<bool, CommandError> {
    if arguments.yes {
        return Ok(true);
    }
    if !io::stdin().is_terminal() {
        return Err(CommandError::Refused(
            "nobody is there to be asked: add --yes to have it repaired".to_owned(),
        ));
    }
    eprintln!("To repair:");
    for repair in findings
        .0
        .iter()
        .filter_map(|finding| finding.repair.as_ref())
    {
        eprintln!("  - {}", repair.describe());
    }
    eprint!("Do that? [y/N] ");
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

fn print(findings: &Findings, out: &mut impl Write) -> io::Result<()> {
    for finding in &findings.0 {
        print_one(finding, out)?;
    }
    let counts = [
        (Severity::Problem, "problem"),
        (Severity::Warning, "warning"),
        (Severity::Note, "note"),
    ]
    .map(|(severity, name)| match findings.count(severity) {
        1 => format!("1 {name}"),
        many => format!("{many} {name}s"),
    });
    writeln!(out, "{}", counts.join(", "))
}

fn print_one(finding: &Finding, out: &mut impl Write) -> io::Result<()> {
    let Finding {
        severity,
        id,
        place,
        what,
        remedy,
        ..
    } = finding;
    // Files and tables have names that users choose.
    let found = printable(&format!("{severity}: {place}: {what}  [{id}]"));
    writeln!(out, "{found}\n    {}", printable(remedy))
}
