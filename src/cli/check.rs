//! `anki-syncd check`: what is wrong, and putting it right.

use std::{
    io::{self, Write},
    path::Path,
};

use super::{
    context::{CommandError, Context, print_json},
    password, question,
    table::printable,
};
use crate::check::{
    self,
    data::Data,
    finding::{Finding, Findings, Repair, Severity},
    login::{self, Login},
    repair,
    subject::Subject,
    users_data,
};

/// How often at most repairs are followed by further ones.
const ROUNDS: usize = 2;

/// A finding as programs get it.
#[derive(serde::Serialize)]
struct ForPrograms<'a> {
    severity: Severity,
    id: &'static str,
    r#where: &'a str,
    what: &'a str,
    remedy: &'a str,
    repairable: bool,
}

impl<'a> From<&'a Finding> for ForPrograms<'a> {
    fn from(finding: &'a Finding) -> Self {
        Self {
            severity: finding.severity,
            id: finding.id.name(),
            r#where: &finding.place,
            what: &finding.what,
            remedy: &finding.remedy,
            repairable: finding.repair.is_some(),
        }
    }
}

/// What to check.
#[derive(clap::Args)]
pub struct Arguments {
    /// Fix what needs no decision of yours; asks before it changes anything
    #[arg(long)]
    repair: bool,
    /// Skip the confirmation
    #[arg(long, requires = "repair")]
    yes: bool,
    /// Test whether a device could log in at this address, as typed into Anki
    #[arg(long)]
    url: Option<String>,
    /// Log in as this user; asks for the password, or reads it from standard input
    #[arg(long, requires = "url")]
    user: Option<String>,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

/// Looks, tells, and repairs.
///
/// Ends with [`CommandError::Found`] when there are problems left.
pub fn run(context: &Context, arguments: &Arguments) -> Result<(), CommandError> {
    let login = arguments.user.as_deref().map(ask_login).transpose()?;
    let mut subject = Subject::find(context.sources());
    let mut findings = look(&subject);
    let mut tried = Vec::new();
    // What is another account's can be looked into once it is the server's.
    let rounds = if arguments.repair { ROUNDS } else { 0 };
    for _ in 0..rounds {
        let mut repairs = findings.repairs();
        repairs.retain(|repair| !tried.contains(repair));
        if repairs.is_empty() {
            break;
        }
        put_right(&subject, &findings, &repairs, arguments)?;
        tried = repairs;
        subject = Subject::find(context.sources());
        findings = look(&subject);
    }
    if let Some(url) = &arguments.url {
        let settings = subject.settings.as_ref().ok();
        let limit = settings.map(|settings| settings.limits.sent);
        login::check(url, login.as_ref(), limit, &mut findings)?;
    }
    findings.0.sort_by_key(|finding| finding.severity);
    if arguments.json {
        let found: Vec<_> = findings.0.iter().map(ForPrograms::from).collect();
        print_json(&found)?;
    } else {
        print(&findings, &mut io::stdout().lock())?;
    }
    match findings.count(Severity::Problem) {
        0 => Ok(()),
        1 => Err(CommandError::Found("one problem".to_owned())),
        many => Err(CommandError::Found(format!("{many} problems"))),
    }
}

fn put_right(
    subject: &Subject,
    findings: &Findings,
    repairs: &[Repair],
    arguments: &Arguments,
) -> Result<(), CommandError> {
    if !arguments.json {
        print(findings, &mut io::stdout().lock())?;
    }
    if !agreed(repairs, arguments)? {
        let refused = "the repairs were not made".to_owned();
        return Err(CommandError::Refused(refused));
    }
    repair::carry_out(subject, repairs, |step| match step {
        Ok(done) => eprintln!("done: {}", printable(&done)),
        Err(failure) => eprintln!("not done: {}", printable(&failure)),
    });
    if !arguments.json {
        println!();
    }
    Ok(())
}

/// The part of a repair that is done as the server's account: told what to do on standard
/// input, it tells what it did on standard output.
pub fn mend(base: &Path) -> Result<(), CommandError> {
    let data = serde_json::from_reader(io::stdin().lock()).map_err(io::Error::from)?;
    repair::here(base, data, |step| {
        if let Ok(line) = serde_json::to_string(&step) {
            println!("{line}");
        }
    });
    Ok(())
}

/// The part of a check that is done as the server's account: told about the server on
/// standard input, it tells its findings on standard output.
pub fn look_at_data() -> Result<(), CommandError> {
    let data: Data = serde_json::from_reader(io::stdin().lock()).map_err(io::Error::from)?;
    let mut findings = Findings::default();
    users_data::look(&data, &mut findings);
    let found = serde_json::to_string(&findings.0).map_err(io::Error::from)?;
    Ok(writeln!(io::stdout(), "{found}")?)
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

fn agreed(repairs: &[Repair], arguments: &Arguments) -> Result<bool, CommandError> {
    if arguments.yes {
        return Ok(true);
    }
    let mut what = vec!["Repairs:".to_owned()];
    what.extend(
        repairs
            .iter()
            .map(|repair| format!("  - {}", repair.describe())),
    );
    what.push("Make these repairs?".to_owned());
    question::agreed(
        &what.join("\n"),
        io::stderr(),
        "there is no terminal to ask on: add --yes to repair without a confirmation",
    )
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
    let found = printable(&format!("{severity}: {place}: {what}  [{}]", id.name()));
    writeln!(out, "{found}\n    {}", printable(remedy))
}
